"""Embedding landscapes: papers of a split in a plane, as pictures and as data for a page."""
