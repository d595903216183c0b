"""Training and prediction on more and more papers: time, memory and accuracy."""
