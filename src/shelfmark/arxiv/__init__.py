"""The conventions of arXiv: categories, identifiers, TeX text, OAI-PMH."""
