"""The vectors of a segment, and the methods that find those nearest to a query."""
