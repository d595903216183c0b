"""The static encoder: a text is the mean of the vectors of its terms."""
