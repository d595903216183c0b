"""Google Cloud: storage, training jobs, deployment. Nothing else needs it."""
