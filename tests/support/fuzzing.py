"""Fuzzing: many altered versions of a file, each read in a child process under limits.

A check is any function that can be pickled. It takes the bytes of a file and returns if it reads
them, or raises `ShelfmarkError` with one line. All else is a finding: another exception, several
lines, the death of the process, no end, or more memory than the file's size allows. Memory is
measured on Linux alone.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from shelfmark.errors import ShelfmarkError
from tests.support.moments import PATIENCE

Check = Callable[[bytes], object]
Mutate = Callable[[bytes, random.Random], bytes]

EXTREMES = (0, 1, -1, 127, 128, 255, 256, 1 << 15, (1 << 31) - 1, 1 << 31, -(1 << 31),
            (1 << 32) - 1, (1 << 63) - 1, -(1 << 63))  # fmt: skip
DECIMALS = [*(str(number).encode() for number in EXTREMES), b"1e309", b"nan", b"-0", b"00", b""]
WORD = re.compile(rb"[ -~]{3,}")
DIGITS = re.compile(rb"\d+")
OUT_OF_MEMORY = re.compile(r"bad_alloc|memory|allocat", re.IGNORECASE)
NEAR = 12  # bytes around a word: lengths and markers of types
LONGEST_CHUNK = 4096


class Mutation(NamedTuple):
    """An altered file.

    Attributes:
        name: what was altered, and where.
        content: the file.
    """

    name: str
    content: bytes


class Finding(NamedTuple):
    """An altered file that is neither read nor refused in one line.

    Attributes:
        kind: `crash`, `hang`, `memory` or `error`.
        mutation: the file.
        text: the signal, the limit or the exception.
    """

    kind: str
    mutation: Mutation
    text: str


@dataclass
class Report:
    """What became of the altered files.

    Args:
        accepted: the names of those that were read.
        refused: the texts of the refusals, without their numbers, and how many there were of each.
        findings: all others.
        largest: the largest number of bytes of memory that one of them took.
    """

    accepted: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    largest: int = 0

    @property
    def total(self) -> int:
        """How many files were read, refused or found."""
        return len(self.accepted) + self.refused.total() + len(self.findings)

    def summary(self) -> str:
        """Return the counts, and the first findings of each kind."""
        kinds = Counter(finding.kind for finding in self.findings)
        shown = [f"{one.kind}: {one.mutation.name}: {one.text}" for one in self.findings[:20]]
        counts = f"{len(self.accepted)} accepted, {self.refused.total()} refused, {dict(kinds)}"
        return "\n".join([counts, *shown])


@dataclass(frozen=True)
class Limits:
    """What reading one file may take.

    Args:
        seconds: after which it counts as hanging.
        memory: bytes for a file of any size.
        multiple: bytes for each byte of the file.
    """

    seconds: float = PATIENCE
    memory: int = 64 << 20
    multiple: int = 16

    def allowance(self, size: int) -> int:
        """Return the bytes of memory that a file of this size may take."""
        return self.memory + self.multiple * size


def mutations(content: bytes, seed: int, count: int) -> Iterator[Mutation]:
    """Yield so many altered versions of a file, the same for the same seed."""
    chance = random.Random(seed)
    made = 0
    while made < count:
        altered, names = content, []
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            mutate = chance.choice(MUTATORS)
            altered = mutate(altered, chance)
            names.append(mutate.__name__.removeprefix("_"))
        if altered != content:
            yield Mutation(f"{seed}/{made} {'+'.join(names)}", altered)
            made += 1


def read_in_children(
    check: Check, original: bytes, altered: Iterable[Mutation], limits: Limits | None = None
) -> Report:
    """Give altered files to a check, in a child process that is started again after each death.

    Each child reads the original first, so that what it takes once is not held against a file.
    """
    report, limits, child = Report(), limits or Limits(), None
    for mutation in altered:
        child = child or _Child(check, original, limits)
        if not child.read(mutation, report):
            child.kill()
            child = None
    if child is not None:
        child.kill()
    return report


class _Child:
    """A process that reads one file after the other."""

    def __init__(self, check: Check, original: bytes, limits: Limits) -> None:
        context = multiprocessing.get_context("spawn")
        self._limits = limits
        self._pipe, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end, check, limits), daemon=True)
        self._process.start()
        end.close()
        self._pipe.send_bytes(original)
        assert self._pipe.poll(PATIENCE), "the original is not read in time"
        outcome, text, _ = self._pipe.recv()
        assert outcome == "accepted", f"the original is not read: {outcome}, {text}"

    def read(self, mutation: Mutation, report: Report) -> bool:
        """Add what becomes of a file to a report; return whether the process goes on."""
        try:
            self._pipe.send_bytes(mutation.content)
            if not self._pipe.poll(self._limits.seconds):
                report.findings.append(Finding("hang", mutation, f"{self._limits.seconds} s"))
                return False
            outcome, text, taken = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(PATIENCE)
            text = f"exit {self._process.exitcode}"
            report.findings.append(Finding("crash", mutation, text))
            return False
        report.largest = max(report.largest, taken)
        if taken > self._limits.allowance(len(mutation.content)) or (
            outcome != "accepted" and OUT_OF_MEMORY.search(text)
        ):
            report.findings.append(Finding("memory", mutation, f"{taken} bytes; {text}"))
        elif outcome == "accepted":
            report.accepted.append(mutation.name)
        elif outcome == "refused" and text and len(text.splitlines()) == 1:
            report.refused[DIGITS.sub(b"N", text.encode()).decode()] += 1
        else:
            report.findings.append(Finding("error", mutation, text))
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection, check: Check, limits: Limits) -> None:
    """Read files until the pipe ends; the first, the original, has no limit of memory."""
    import resource  # Windows has none

    pipe.send(_read(check, pipe.recv_bytes()))
    while True:
        content = pipe.recv_bytes()
        allowed = _status("VmSize") + limits.allowance(len(content))
        resource.setrlimit(resource.RLIMIT_AS, (allowed, resource.RLIM_INFINITY))
        outcome = _read(check, content)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        pipe.send(outcome)


def _read(check: Check, content: bytes) -> tuple[str, str, int]:
    """Return what becomes of a file, the text of its error, and the memory it takes at most."""
    ctypes.CDLL(None).malloc_trim(0)  # what the last file took is given back
    Path("/proc/self/clear_refs").write_text("5")  # and the peak is that of this one
    before = _status("VmRSS")
    try:
        check(content)
    except ShelfmarkError as error:
        outcome, text = "refused", str(error)
    except BaseException as error:
        outcome, text = "error", f"{type(error).__name__}: {error}"
    else:
        outcome, text = "accepted", ""
    return outcome, text, _status("VmHWM") - before


def _status(name: str) -> int:
    """Return a size of this process in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    assert found, name
    return int(found[1]) << 10


def _place(content: bytes, chance: random.Random) -> int:
    """Return a position: half of the time near a word, where the structure is."""
    if chance.random() < 0.5:
        return chance.randrange(len(content) + 1)
    start = chance.randrange(len(content) + 1)
    word = WORD.search(content, start) or WORD.search(content)
    if word is None:
        return start
    position = chance.choice(word.span()) + chance.randint(-NEAR, NEAR)
    return min(max(position, 0), len(content))


def _chunk(content: bytes, chance: random.Random) -> slice:
    start = _place(content, chance)
    return slice(start, start + int(LONGEST_CHUNK ** chance.random()))


def _words(content: bytes, chance: random.Random) -> slice:
    """Return the bytes from before one word to before a later one, as of a key and its value."""
    start = chance.randrange(len(content) + 1)
    found = [
        match.start() for match, _ in zip(WORD.finditer(content, start), range(8), strict=False)
    ]
    if len(found) < 2:
        return _chunk(content, chance)
    before = chance.choice((0, 1, 9))
    first, last = sorted(chance.sample(found, 2))
    return slice(max(first - before, 0), max(last - before, 0))


def _flip_a_bit(content: bytes, chance: random.Random) -> bytes:
    place = _place(content, chance)
    altered = bytes(byte ^ 1 << chance.randrange(8) for byte in content[place : place + 1])
    return content[:place] + altered + content[place + 1 :]


def _replace_a_byte(content: bytes, chance: random.Random) -> bytes:
    place = _place(content, chance)
    return content[:place] + chance.randbytes(1) + content[place + 1 :]


def _exchange_a_marker(content: bytes, chance: random.Random) -> bytes:
    """Replace a byte by a printable one of the file, as the marker of a type is."""
    place = _place(content, chance)
    word = WORD.search(content, chance.randrange(len(content) + 1)) or WORD.search(content)
    marker = chance.choice(word[0]) if word else 0
    return content[:place] + bytes([marker]) + content[place + 1 :]


def _write_a_number(content: bytes, chance: random.Random) -> bytes:
    """Write an extreme number over a number, a count or anything else."""
    place, width = _place(content, chance), chance.choice((1, 2, 4, 8))
    number = chance.choice(EXTREMES) % (1 << 8 * width)
    piece = number.to_bytes(width, chance.choice(("big", "little")))
    return content[:place] + piece + content[place + width :]


def _write_digits(content: bytes, chance: random.Random) -> bytes:
    """Replace a number that is written as text."""
    found = DIGITS.search(content, chance.randrange(len(content) + 1)) or DIGITS.search(content)
    if found is None:
        return content
    return content[: found.start()] + chance.choice(DECIMALS) + content[found.end() :]


def _truncate(content: bytes, chance: random.Random) -> bytes:
    return content[: _place(content, chance)]


def _remove(content: bytes, chance: random.Random) -> bytes:
    chunk = _chunk(content, chance)
    return content[: chunk.start] + content[chunk.stop :]


def _remove_words(content: bytes, chance: random.Random) -> bytes:
    chunk = _words(content, chance)
    return content[: chunk.start] + content[chunk.stop :]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    chunk = _chunk(content, chance)
    return content[: chunk.stop] + content[chunk] + content[chunk.stop :]


def _repeat_words(content: bytes, chance: random.Random) -> bytes:
    chunk = _words(content, chance)
    return content[: chunk.stop] + content[chunk] + content[chunk.stop :]


def _splice(content: bytes, chance: random.Random) -> bytes:
    """Write a piece of the file over another."""
    piece, place = content[_chunk(content, chance)], _place(content, chance)
    return content[:place] + piece + content[place + len(piece) :]


def _insert(content: bytes, chance: random.Random) -> bytes:
    place = _place(content, chance)
    return content[:place] + chance.randbytes(chance.randint(1, 16)) + content[place:]


MUTATORS: list[Mutate] = [
    _flip_a_bit,
    _replace_a_byte,
    _exchange_a_marker,
    _write_a_number,
    _write_a_number,
    _write_digits,
    _truncate,
    _remove,
    _remove_words,
    _repeat,
    _repeat_words,
    _splice,
    _insert,
]
