"""The index of papers in the service: which one is served, its requests, and their turns."""
