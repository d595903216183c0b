"""Imports that wait until something is used."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def defer_imports(*names: str) -> Iterator[None]:
    """Let the imports of some modules during the block wait until an attribute is used.

    What the block imports keeps a stand-in, which imports its module then. An import after the
    block, such as one in a function, is an ordinary one.

    Args:
        names: of modules; those that are imported already or not installed stay as they are.
    """
    waiting = {
        name: _StandIn(name) for name in names if name not in sys.modules and _is_installed(name)
    }
    sys.modules.update(waiting)
    try:
        yield
    finally:
        for stand_in in waiting.values():
            stand_in.leave()


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # what it is a part of
        return False


class _StandIn(ModuleType):
    def leave(self) -> None:
        """Give the name to the module itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system looks for those
            raise AttributeError(name)
        self.leave()
        return getattr(importlib.import_module(self.__name__), name)
