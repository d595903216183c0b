"""Transformers: a pretrained encoder with a linear layer on the mean of its rows."""
