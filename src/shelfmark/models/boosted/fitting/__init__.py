"""The training of the boosted family: from the papers of the splits to a fitted pipeline."""
