"""`inv bench serve`: the service beside a plain app and beside an empty one."""
