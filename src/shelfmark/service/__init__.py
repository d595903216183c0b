"""HTTP: routes, contract, limits, workers, the page."""
