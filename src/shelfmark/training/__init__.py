"""One training from configuration to artifact, and its record."""
