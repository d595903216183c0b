"""The commands that speak to Google Cloud, which tasks.py takes in."""
