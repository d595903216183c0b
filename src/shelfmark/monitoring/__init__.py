"""The prediction log, reference statistics, and drift."""
