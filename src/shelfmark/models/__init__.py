"""Classifiers: artifact, answers, registry, and one folder for each family."""
