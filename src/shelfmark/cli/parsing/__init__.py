"""Parses the words of a command: its options, overrides of the configuration, and its errors."""
