"""The way to Google Cloud: storage, training jobs, deployment. Nothing outside needs it."""
