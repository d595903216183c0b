"""Whether a text is a paper for a model: its subject, and whether it reads like an abstract."""
