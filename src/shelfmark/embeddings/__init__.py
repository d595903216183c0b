"""From texts to vectors: the encoders, their artifacts, and how files of papers are encoded."""
