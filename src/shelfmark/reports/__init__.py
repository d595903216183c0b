"""Pages for people: all runs, the moderators' table."""
