"""What arXiv is: categories, identifiers, TeX text, OAI-PMH."""
