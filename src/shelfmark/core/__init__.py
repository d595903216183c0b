"""Files, storage, processes, checkpoints and logging; nothing here depends on papers or models."""
