"""Shelfmark classifies arXiv papers: from title and abstract to the category where they belong.

```python
import shelfmark

model = shelfmark.load("latest")
answer = model.predict("We train a robot arm to grasp unseen objects from depth images.")
```

All names are imported when they are first used, so that `import shelfmark` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from shelfmark.core import environment

if TYPE_CHECKING:
    from shelfmark.api.classifier import PaperClassifier, load, load_config, train
    from shelfmark.api.encoder import Encoder
    from shelfmark.api.index import Index
    from shelfmark.config.schema import Config
    from shelfmark.errors import ShelfmarkError
    from shelfmark.models.answers import Answer
    from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Config",
    "Encoder",
    "FastTfidfVectorizer",
    "Index",
    "PaperClassifier",
    "ShelfmarkError",
    "__version__",
    "load",
    "load_config",
    "train",
]
_MODULES = {
    "Answer": "shelfmark.models.answers",
    "Config": "shelfmark.config.schema",
    "Encoder": "shelfmark.api.encoder",
    "FastTfidfVectorizer": "shelfmark.tfidf.vectorizer",
    "Index": "shelfmark.api.index",
    "PaperClassifier": "shelfmark.api.classifier",
    "ShelfmarkError": "shelfmark.errors",
    "load": "shelfmark.api.classifier",
    "load_config": "shelfmark.api.classifier",
    "train": "shelfmark.api.classifier",
}

# OpenMP's threads spin while they wait for one another. Beside a busy neighbour that makes the
# trees twenty times slower, so they sleep instead; read when the libraries that use it are loaded.
environment.set_default("OMP_WAIT_POLICY", "PASSIVE")


if not TYPE_CHECKING:  # or a type checker would take any name for one of them

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module 'shelfmark' has no attribute {name!r}")
        value = getattr(importlib.import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
