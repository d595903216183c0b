"""`inv bench search`: an index beside exact search, beside FAISS, and behind the service."""
