"""Objects in files: their structure as a pickle, their arrays and other bulk in files beside it.

A pickle can run code only through the names that it imports and the objects that it calls. The
pickles of this module import nothing and call nothing: they are trees of plain values and of the
states of the classes in `CLASSES`. Such a state is a dict, and each entry is checked before the
object exists. Everything else that an ordinary pickle can say, such as a call, a name, or a
reference to an object read before, is refused.
"""

from __future__ import annotations

import copyreg
import importlib
import io
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Protocol

import numpy as np

from shelfmark.core import checks, npy
from shelfmark.core.arrays import Array
from shelfmark.core.checks import State
from shelfmark.core.npy import Writable
from shelfmark.errors import ShelfmarkError, one_line

# The classes whose states a structure may hold: the module and the name of each.
CLASSES = {
    ("shelfmark.embeddings.static.encoder", "StaticEncoder"),
    ("shelfmark.models.boosted.decision", "CalibratedClassifier"),
    ("shelfmark.models.boosted.features", "ChosenTerms"),
    ("shelfmark.models.boosted.features", "FastFeatureUnion"),
    ("shelfmark.models.boosted.network", "NetworkBlock"),
    ("shelfmark.models.boosted.pipeline", "TextPipeline"),
    ("shelfmark.models.boosted.features", "TitleVectorizer"),
    ("shelfmark.models.boosted.heads", "LinearHead"),
    ("shelfmark.models.boosted.heads", "RerankerHead"),
    ("shelfmark.models.boosted.heads", "TreeHead"),
    ("shelfmark.models.boosted.low_rank", "LowRankLinear"),
    ("shelfmark.models.boosted.scorers", "Bayes"),
    ("shelfmark.models.boosted.scorers", "Svm"),
    ("shelfmark.models.boosted.stacking", "CrossFittedScores"),
    ("shelfmark.models.boosted.votes", "NeighbourVotes"),
    ("shelfmark.models.calibration.cross_lists", "CrossLists"),
    ("shelfmark.models.scope.detector", "ScopeDetector"),
    ("shelfmark.models.transformer.classifier", "CalibratedNetwork"),
    ("shelfmark.models.transformer.network", "NetworkScores"),
    ("shelfmark.tfidf.vectorizer", "FastTfidfVectorizer"),
}
# Where older models have them.
RENAMED = {
    ("shelfmark.models.boosted.decision", "CrossLists"): (
        "shelfmark.models.calibration.cross_lists",
        "CrossLists",
    ),
}
# An object takes up to 64 bytes of memory for a byte of a structure; 150 categories need 20,000.
MOST_BYTES = 1 << 18
_PROTOCOL = 4
_PLAIN = {type(None), bool, int, float, str, tuple, list, dict}
_READABLE = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.BINPERSID,
    pickle.STACK_GLOBAL, pickle.NEWOBJ, pickle.BUILD,
    pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT,
    pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1,
    pickle.SHORT_BINUNICODE, pickle.BINUNICODE,
    pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.TUPLE,
    pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS,
    pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS,
)  # fmt: skip


class Structured:
    """A class whose state may stand in a structure, as a dict of values that are each checked.

    Attributes:
        STATE: the check of each value. Names that end in an underscore are those of fitted
            attributes, of which an object has all or none. Attributes whose names begin with one
            are derived from the state, and not saved.
    """

    STATE: ClassVar[State] = {}

    def structure_state(self) -> dict[str, Any]:
        """Return the state that is saved.

        Raises:
            TypeError: the object has an attribute that would be lost.
        """
        own = vars(self)
        if lost := {name for name in own if name[0] != "_"} - self.STATE.keys():
            raise TypeError(f"{type(self).__name__}: {', '.join(sorted(lost))} would be lost")
        return {name: own[name] for name in self.STATE if name in own}

    @classmethod
    def from_structure_state(cls, state: dict[str, Any]) -> Any:
        """Return an object with a state whose values have been checked one by one.

        Raises:
            ValueError: the values do not fit together.
        """
        new = cls.__new__(cls)
        vars(new).update(state)
        new.check_structure()
        return new

    def check_structure(self) -> None:
        """Check that the attributes fit together.

        Raises:
            ValueError: they do not.
        """

    @classmethod
    def check_state(cls, state: Any) -> None:
        """Check the values of a state one by one.

        Raises:
            ValueError: one is missing, unknown or invalid.
        """
        checks.mapping(lambda value: None, len(cls.STATE))(state)
        needed = {name for name in cls.STATE if not name.endswith("_")}
        if not needed <= state.keys() <= cls.STATE.keys() or len(state) not in (
            len(needed),
            len(cls.STATE),
        ):
            raise ValueError(f"should have the attributes {', '.join(cls.STATE)}")
        for name, value in state.items():
            try:
                cls.STATE[name](value)
            except ValueError as error:
                raise ValueError(f"{name} {error}") from None


@dataclass(frozen=True)
class Blob:
    """Bytes in a file of their own beside a structure.

    Args:
        name: of the file.
        content: its bytes.
    """

    name: str
    content: bytes | bytearray | memoryview


class Source(Protocol):
    """Where the files beside a structure are read."""

    def array(self, name: str) -> Array:
        """Return the array of a .npy file, of the shape in its specification.

        Raises:
            ShelfmarkError: there is no such file, or it is not as its specification says.
        """

    def content(self, name: str) -> bytes | memoryview:
        """Return the content of another file.

        Raises:
            ShelfmarkError: there is no such file, or it is not as its digest says.
        """


Create = Callable[[str], AbstractContextManager[Writable]]


def dump(value: Any, create: Create, prefix: str = "") -> tuple[bytes, dict[str, npy.ArraySpec]]:
    """Write the arrays and blobs of a value to files.

    Args:
        value: of plain types, arrays, blobs, and the classes in `CLASSES`.
        create: returns a context with a new file of a name.
        prefix: of the names of the arrays' files, where those of several values share a folder.

    Returns:
        The structure, and the specification of the array in each .npy file.

    Raises:
        pickle.PicklingError: the value holds an object of another class, or is too large.
    """
    written = io.BytesIO()
    pickler = _Pickler(written, create, prefix)
    pickler.dump(value)
    if written.tell() > MOST_BYTES:
        raise pickle.PicklingError(f"a structure has at most {MOST_BYTES:,} bytes")
    return written.getvalue(), pickler.arrays


def load(structure: bytes | memoryview, source: Source) -> Any:
    """Return the value of a structure.

    Raises:
        ShelfmarkError: it is damaged, or says something that a structure may not say.
    """
    if len(structure) > MOST_BYTES:
        raise ShelfmarkError(f"it has {len(structure):,} bytes, at most {MOST_BYTES:,} are read")
    file = io.BytesIO(structure)
    try:
        value = _Unpickler(file, source).load()
    except ShelfmarkError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise ShelfmarkError(f"it is damaged or foreign: {one_line(error)}") from error
    if file.read(1):
        raise ShelfmarkError("it is damaged: bytes follow its end")
    return value


class _Pickler(pickle.Pickler):
    """Writes a tree: equal values at two places are written twice, so that bytes never vary."""

    def __init__(self, file: IO[bytes], create: Create, prefix: str) -> None:
        super().__init__(file, _PROTOCOL)
        self.fast = True  # no references to objects written before
        self.arrays: dict[str, npy.ArraySpec] = {}
        self._create = create
        self._prefix = prefix

    def reducer_override(self, given: Any) -> Any:
        """Return how an object is written: a class and the state of one of its objects."""
        kind = type(given)
        if _name(kind) in CLASSES:
            state = {
                name: _Attribute(f"{kind.__name__}-{name.strip('_')}".lower(), value)
                if type(value) is np.ndarray
                else value
                for name, value in given.structure_state().items()
            }
            return copyreg.__newobj__, (kind,), state  # type: ignore[attr-defined]
        return NotImplemented

    def persistent_id(self, given: Any) -> str | None:
        """Write an array or a blob to its file, and return the file's name."""
        if isinstance(given, Blob):
            with self._create(given.name) as file:
                file.write(given.content)
            return given.name
        if type(given) is np.ndarray:
            given = _Attribute("array", given)
        if isinstance(given, _Attribute):
            name = f"{self._prefix}{len(self.arrays):02}-{given.name}{npy.SUFFIX}"
            with self._create(name) as file:
                self.arrays[name] = npy.write_array(file, given.array)
            return name
        kind = given if isinstance(given, type) else type(given)
        if kind not in _PLAIN and _name(kind) not in CLASSES:
            raise pickle.PicklingError(f"a structure holds no {'.'.join(_name(kind))}")
        return None


def _name(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


@dataclass(frozen=True)
class _Attribute:
    """An array and the name of the attribute that holds it."""

    name: str
    array: Array


@dataclass(frozen=True)
class _Blank:
    """An object that has no state yet."""

    kind: type[Structured]


class _Unpickler(pickle._Unpickler):
    """Reads what `_Pickler` writes, and refuses everything else.

    The opcodes, of which an ordinary unpickler knows 68, are those of a tree: nothing is called,
    memory grows no faster than the bytes that are read, and no object contains itself.
    """

    stack: list[Any]  # what typeshed leaves out
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: IO[bytes], source: Source) -> None:
        super().__init__(file)
        self._source = source
        self._read: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        """Return a class of `CLASSES`, by its present name or the one of an older model.

        Raises:
            pickle.UnpicklingError: it is none of them.
        """
        module, name = RENAMED.get((module, name), (module, name))
        if (module, name) not in CLASSES:
            raise pickle.UnpicklingError(f"it uses {module}.{name}, which no model of ours does")
        return getattr(importlib.import_module(module), name)

    def persistent_load(self, pid: Any) -> Any:
        """Return the array or the blob in a file."""
        if type(pid) is not str:
            raise pickle.UnpicklingError("a file's name is no string")
        # Otherwise a few bytes would cost as much work and memory as a large file, each time.
        if pid in self._read:
            raise pickle.UnpicklingError("a file is named twice")
        self._read.add(pid)
        if pid.endswith(npy.SUFFIX):
            return self._source.array(pid)
        return Blob(pid, self._source.content(pid))

    def _load_blank(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if arguments != () or not (isinstance(kind, type) and issubclass(kind, Structured)):
            raise pickle.UnpicklingError("an object is made in another way than ours are")
        self.append(_Blank(kind))

    def _load_state(self) -> None:
        state, blank = self.stack.pop(), self.stack.pop()
        if not isinstance(blank, _Blank):
            raise pickle.UnpicklingError("a state belongs to no object")
        try:
            blank.kind.check_state(state)
            self.append(blank.kind.from_structure_state(state))
        except ValueError as error:
            raise pickle.UnpicklingError(f"{blank.kind.__name__}: {error}") from error

    def _load_items(self) -> None:
        pairs = self.pop_mark()
        self._set_items(list(zip(pairs[::2], pairs[1::2], strict=True)))

    def _load_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([(key, value)])

    def _set_items(self, pairs: list[tuple[Any, Any]]) -> None:
        target = self.stack[-1]
        # The hash of deeply nested tuples would overrun the stack of the interpreter.
        if type(target) is not dict or any(type(key) is not str for key, _ in pairs):
            raise pickle.UnpicklingError("a dict has a key that is no string")
        target.update(pairs)

    def _load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _load_append(self) -> None:
        value = self.stack.pop()
        self._extend([value])

    def _extend(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise pickle.UnpicklingError("something else than a list is extended")
        self.stack[-1].extend(values)

    dispatch: ClassVar[dict[int, Any]] = {
        **{code[0]: pickle._Unpickler.dispatch[code[0]] for code in _READABLE},
        pickle.NEWOBJ[0]: _load_blank,
        pickle.BUILD[0]: _load_state,
        pickle.SETITEMS[0]: _load_items,
        pickle.SETITEM[0]: _load_item,
        pickle.APPENDS[0]: _load_appends,
        pickle.APPEND[0]: _load_append,
    }
