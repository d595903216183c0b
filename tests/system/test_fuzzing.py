"""The fuzzing of the tests: it finds what a check of files must never do."""

from __future__ import annotations

import ctypes
import sys
import time

import pytest

from shelfmark.errors import ShelfmarkError
from tests.support.fuzzing import Limits, Mutation, mutations, read_in_children
from tests.support.moments import FOREVER

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak")
LIMITS = Limits(seconds=10, memory=64 << 20, multiple=16)
KEPT = []


def act(content: bytes) -> None:
    """Do what a file says."""
    what = content.decode()
    if what == "refuse":
        raise ShelfmarkError("refused")
    if what == "fail":
        raise ValueError("another exception")
    if what == "crash":
        ctypes.string_at(0)
    if what == "hang":
        time.sleep(FOREVER)
    if what == "reserve memory":
        KEPT.append(bytearray(1 << 40))
    if what == "keep memory":
        KEPT.append(b"x" * (1 << 20) * 80)


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("fail", "error"),
        ("crash", "crash"),
        ("reserve memory", "memory"),
        ("keep memory", "memory"),
    ],
)
def test_a_finding_is_reported_and_the_other_files_are_read(what: str, kind: str) -> None:
    contents = [b"read", what.encode(), b"refuse", b"read"]
    report = read_in_children(act, b"read", [Mutation(str(one), one) for one in contents], LIMITS)
    assert [(one.kind, one.mutation.content) for one in report.findings] == [(kind, what.encode())]
    assert len(report.accepted) == 2
    assert report.refused == {"refused": 1}


def test_a_file_that_is_read_for_ever_is_reported() -> None:
    limits = Limits(seconds=1)
    contents = [Mutation("hang", b"hang")]
    assert [one.kind for one in read_in_children(act, b"read", contents, limits).findings] == [
        "hang"
    ]


def test_mutations_are_those_of_their_seed_and_differ_from_the_file() -> None:
    content = b"{name: 12, size: 345}" * 20
    made = list(mutations(content, 3, 200))
    assert made == list(mutations(content, 3, 200))
    assert made != list(mutations(content, 4, 200))
    assert len(made) == 200
    assert all(one.content != content for one in made)


def test_an_empty_file_can_be_altered() -> None:
    assert len(list(mutations(b"", 0, 20))) == 20
