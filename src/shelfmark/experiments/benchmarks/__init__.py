"""Speed, memory, load and drift detection, measured."""
