"""What a classifier is: artifact, answers, registry, and one folder for each family."""
