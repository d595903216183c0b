"""The fit of a transformer, with PyTorch: base, papers, training, export."""
