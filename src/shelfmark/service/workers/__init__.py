"""The processes that answer requests, the one that supervises them, and the state they share."""
