"""From the margins of any model to probabilities: temperature, softmax, cross-lists."""
