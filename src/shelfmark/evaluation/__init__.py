"""How good a model is, its card and charts, and whether it may be promoted."""
