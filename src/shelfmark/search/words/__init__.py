"""The words of a segment as postings, and their search by BM25."""
