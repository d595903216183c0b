"""Queries of an index, and the papers found."""
