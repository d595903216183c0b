"""From sources to cleaned papers, labels and splits."""
