"""Structures: trees of plain values and checked states, of which nothing runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfmark.core import structure
from shelfmark.core.structure import CLASSES, Blob, Structured
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.heads import LinearHead
from shelfmark.models.boosted.scorers import Svm
from shelfmark.models.calibration.cross_lists import CrossLists
from tests.support.structures import Files, dump

HEAD = b"\x80\x04\x8c\x1eshelfmark.models.boosted.heads\x8c\x0aLinearHead\x93"
CALL = b"c__builtin__\neval\n"


def load(content: bytes) -> Any:
    files = Files()
    files.specs = {}
    return structure.load(content, files)


def test_plain_values_arrays_and_states_come_back() -> None:
    svm = Svm(0.5, 3)
    svm.weights_ = np.arange(6, dtype=np.float32).reshape(3, 2)
    svm.intercept_ = np.zeros(2, np.float32)
    value = {"a": [1, -2, 2**40, 0.5, None, True, "é"], "b": (svm, Svm()), "c": np.arange(3)}
    content, files = dump(value)
    assert sorted(files) == ["00-svm-weights.npy", "01-svm-intercept.npy", "02-array.npy"]
    read = structure.load(content, files)
    assert read["a"] == value["a"]
    assert read["c"].tolist() == [0, 1, 2]
    fitted, unfitted = read["b"]
    assert (fitted.C, fitted.random_state) == (0.5, 3)
    assert fitted.weights_.tobytes() == svm.weights_.tobytes()
    assert "weights_" not in vars(unfitted)


def test_equal_values_give_equal_bytes_whatever_their_identity() -> None:
    text = "".join(["repea", "ted"])
    again = "".join(["repea", "ted"])
    assert text is not again
    assert dump([text, again])[0] == dump([text, text])[0]


def test_few_classes_may_stand_in_a_structure_and_all_are_ours() -> None:
    assert len(CLASSES) < 22
    assert all(module.startswith("shelfmark.") for module, _ in CLASSES)
    for module, name in CLASSES:
        kind = getattr(__import__(module, fromlist=[name]), name)
        assert issubclass(kind, Structured)
        assert kind.STATE
        assert kind.__qualname__ == name


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", 1j, np.float32(1), range(3), Path])
def test_other_objects_are_refused_when_they_are_written(value: Any) -> None:
    with pytest.raises(pickle.PicklingError, match="a structure holds no"):
        dump([value])


def test_an_attribute_that_would_be_lost_is_refused_when_it_is_written() -> None:
    head = LinearHead(3)
    head.more = 1
    with pytest.raises(TypeError, match="LinearHead: more would be lost"):
        dump(head)


def test_an_attribute_that_is_derived_is_not_saved() -> None:
    head = LinearHead(3)
    before = dump(head)
    head._derived = 1
    assert dump(head) == before


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_pickle_of_another_kind_is_read(protocol: int, tmp_path: Path) -> None:
    proof = tmp_path / "it ran"
    for value in (Runs(proof), [Runs(proof)], np.zeros(3), np.dtype("f4"), bytearray(3), {1}):
        with pytest.raises(ShelfmarkError, match="it is damaged or foreign") as raised:
            load(pickle.dumps(value, protocol))
        assert "\n" not in str(raised.value)
    assert not proof.exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(HEAD + b")\x81}\x8c\x07classesK\x02sb0N.", id="a value is dropped"),
        pytest.param(HEAD + b"K\x02\x85R.", id="a class is called"),
        pytest.param(HEAD + b"K\x02\x85\x81}\x8c\x07classesK\x02sb.", id="made with an argument"),
        pytest.param(HEAD + b")}\x92.", id="made with names"),
        pytest.param(b"(" + HEAD[2:] + b"o.", id="made as old classes are"),
        pytest.param(b"(ishelfmark.models.boosted.heads\nLinearHead\n.", id="made by name"),
        pytest.param(HEAD + b")\x81}\x8c\x07classesK\x02sN\x86b.", id="two states"),
        pytest.param(HEAD + b")\x81}\x8c\x07classesK\x02sbb.", id="a state of nothing"),
        pytest.param(b"\x80\x04K\x01}b.", id="a state of a number"),
        pytest.param(HEAD + b")\x81}b.", id="an attribute is missing"),
        pytest.param(HEAD + b")\x81}(\x8c\x07classesK\x02\x8c\x01aK\x02ub.", id="one too many"),
        pytest.param(HEAD + b")\x81}\x8c\x07classesK\x01sb.", id="one class"),
        pytest.param(HEAD + b")\x81}\x8c\x07classes\x88sb.", id="true is no number"),
        pytest.param(HEAD + b")\x81}\x8c\x07classes]sb.", id="a list is no number"),
        pytest.param(HEAD + b")\x81]b.", id="the state is no dict"),
        pytest.param(b"\x80\x04}K\x01K\x02s.", id="a key is a number"),
        pytest.param(b"\x80\x04})" + b"\x85" * 1000 + b"K\x02s.", id="a key is deep"),
        pytest.param(b"\x80\x04}\x94h\x00.", id="a reference"),
        pytest.param(b"\x80\x04}r\xff\xff\xff\x7f.", id="a reference far away"),
        pytest.param(b"\x80\x04\x82\x01.", id="an extension"),
        pytest.param(b"\x80\x04P00-array.npy\n.", id="a file's name in text"),
        pytest.param(b"\x80\x04K\x01Q.", id="a file's name is a number"),
        pytest.param(b"\x80\x04\x8c\x0500.npyQ.", id="a file that is not there"),
        pytest.param(b"\x80\x04\x8c\x0b/etc/passwdQ.", id="a file elsewhere"),
        pytest.param(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x00a.", id="a string without end"),
        pytest.param(b"\x80\x04\x96\xff\xff\xff\xff\x00\x00\x00\x00.", id="bytes without end"),
        pytest.param(b"\x80\x04X\xff\xff\xff\x7fa.", id="a string longer than the file"),
        pytest.param(b"\x80\x04K\x01K\x02a.", id="a number is extended"),
        pytest.param(b"\x80\x04)K\x02s.", id="an item of a tuple"),
        pytest.param(b"\x80\x04N.N.", id="more behind the end"),
        pytest.param(b"\x80\x04N", id="no end"),
        pytest.param(b"\x80\x04.", id="nothing"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\x80\x09N.", id="a later protocol"),
        pytest.param(CALL + b".", id="a name of old"),
    ],
)
def test_what_a_structure_may_not_say_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(ShelfmarkError) as raised:
        load(content)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_structure_that_is_too_large_is_refused_unread() -> None:
    with pytest.raises(ShelfmarkError, match="at most 262,144 are read"):
        load(b"\x80\x04" + b"]" * structure.MOST_BYTES + b".")
    with pytest.raises(pickle.PicklingError, match="at most 262,144 bytes"):
        dump(["x" * structure.MOST_BYTES])


def test_a_blob_comes_back_with_its_name() -> None:
    content, files = dump({"trees": Blob("booster.ubj", b"{}")})
    assert files == {"booster.ubj": b"{}"}
    assert structure.load(content, files)["trees"] == Blob("booster.ubj", b"{}")


def test_a_state_of_arrays_that_do_not_fit_is_refused() -> None:
    svm = Svm()
    svm.weights_, svm.intercept_ = np.zeros((3, 2), np.float32), np.zeros(5, np.float32)
    content, files = dump(svm)
    with pytest.raises(ShelfmarkError, match=r"Svm: should be intercept_ of shape \(2,\)"):
        structure.load(content, files)
    svm.weights_ = np.zeros((3, 2))
    content, files = dump(svm)
    with pytest.raises(ShelfmarkError, match="Svm: weights_ should be a float32 array of 2"):
        structure.load(content, files)


def test_a_file_that_is_named_twice_is_refused() -> None:
    _, files = dump(np.arange(3))
    named = b"\x8c\x0c00-array.npyQa"
    assert len(structure.load(b"\x80\x04]" + named + b".", files)) == 1
    with pytest.raises(ShelfmarkError, match="a file is named twice"):
        structure.load(b"\x80\x04]" + 2 * named + b".", files)


def test_the_name_of_a_missing_file_cannot_command_a_terminal() -> None:
    name = "\x1b[2Ja\nb\ud800".encode("utf-8", "surrogatepass")
    with pytest.raises(ShelfmarkError) as raised:
        load(b"\x80\x04\x8c" + bytes([len(name)]) + name + b"Q.")
    assert str(raised.value) == r"\x1b[2Ja b\ud800: there is no such file"


def test_a_class_that_has_moved_is_read_by_its_older_name() -> None:
    random = np.random.default_rng(2)
    membership = random.integers(0, 2, (400, 1)).astype(np.uint8)
    probabilities = random.dirichlet([1, 1], 400).astype(np.float32)
    lists = CrossLists(2, ("stat.ML",), [-1, -1]).learn_habits(np.arange(400) % 2, membership)
    lists.fit(membership.astype(np.float32), probabilities, membership)
    content, files = dump(lists)
    (older, present), *_ = structure.RENAMED.items()
    for new, old in zip(present, older, strict=True):
        content = content.replace(_text(new), _text(old))
    assert _text(older[0]) in content
    read = structure.load(content, files)
    assert type(read) is CrossLists
    given, wanted = (one.probabilities(membership, probabilities) for one in (read, lists))
    np.testing.assert_array_equal(given, wanted)


def _text(value: str) -> bytes:
    """Return a string as a pickle holds it."""
    return b"\x8c" + bytes([len(value)]) + value.encode()
