"""Runs of many trainings or measurements."""
