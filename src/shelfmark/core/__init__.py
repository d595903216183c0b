"""Files, storage, processes, checkpoints, logging: what knows no paper and no model."""
