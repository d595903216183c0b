"""HTTP/1.1 of the service: the limits of a connection, and how its requests are read."""
