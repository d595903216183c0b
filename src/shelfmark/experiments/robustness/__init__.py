"""Accuracy on changed and on later papers."""
