"""Output: where a written file goes, and how it is compressed."""
