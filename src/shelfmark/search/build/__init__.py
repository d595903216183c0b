"""Builds an index from papers, and adds papers to it."""
