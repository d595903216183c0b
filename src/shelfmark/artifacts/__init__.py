"""A saved artifact on disk: its files and their digests, the names that stand for it."""
