"""The limits of requests: memory, bodies, connections, JSON, and the cost of predictions."""
