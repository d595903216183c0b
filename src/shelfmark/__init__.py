"""Shelfmark says on which arXiv shelf a paper belongs."""

import os

__version__ = "0.1.0"

# OpenMP's threads spin while they wait for one another. Beside a busy neighbour that makes the
# trees twenty times slower, so they sleep instead; read when the libraries that use it are loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
