"""Evaluation of a model: scores, report, card, charts, and the checks before promotion."""
