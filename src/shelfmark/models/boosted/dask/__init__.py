"""The training of the boosted family on a Dask cluster."""
