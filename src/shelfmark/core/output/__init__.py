"""Output: where a written file goes, how it is compressed, and what cells and tables show."""
