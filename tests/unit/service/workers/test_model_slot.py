"""The model that workers serve together, with the real files that they share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shelfmark.artifacts.aliases import Pin
from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import Model
from shelfmark.models.card import ModelCard
from shelfmark.models.registry import Registry
from shelfmark.service import model_slot
from shelfmark.service.model_slot import LoadError, ModelSlot
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import Telemetry
from shelfmark.service.workers.board import Board, Overview, Wanted
from shelfmark.service.workers.failures import Failures
from shelfmark.service.workers.preload import Preloaded
from tests.support.moments import FOREVER, PATIENCE, POLL

REASONS = [
    ShelfmarkError("no model in /secret/two: train one"),
    MemoryError(),
    OSError(24, "Too many open files"),
    RuntimeError("first line\nsecond line"),
    ZeroDivisionError("division by zero"),
]


def digest_of(version: str) -> str:
    return f"the digest of {version}"


class ControlledRegistry(Registry):
    """Opens empty models of any name, fails as it is told to, and waits where it is told to."""

    def __init__(self) -> None:
        super().__init__("models")
        self.aliases: dict[str, str] = {}
        self.failures: list[BaseException] = []
        self.opened: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def pin(self, version: str) -> Pin:
        named = self.aliases.get(version, version)
        return Pin(named, digest_of(named))

    def open(self, version: str, digest: str = "") -> Model:
        assert digest == digest_of(version), "what is opened is what was wanted"
        self.opened.append(version)
        assert self.gate.wait(PATIENCE)
        if self.failures and version != "one":
            raise self.failures.pop(0)
        classifier: Any = None
        card = ModelCard(name=version, config={}, classes=[], digest=digest)
        return Model(classifier, card)


Slots = Callable[..., ModelSlot]


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """The folder that workers share, as the supervisor leaves it."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    Board(folder).write_wanted(Wanted("one"))
    return folder


@pytest.fixture
def slot_of(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Slots:
    """Makes the slot of a worker; it polls often, and tries again at once."""
    monkeypatch.setattr(model_slot, "POLL_SECONDS", POLL)
    monkeypatch.setattr(model_slot, "WAIT_SECONDS", POLL)
    monkeypatch.setattr(model_slot, "Failures", partial(Failures, POLL))

    def make(
        pid: int,
        registry: Registry | None = None,
        seconds: float = FOREVER,
        shared: bool = True,
        preloaded: Preloaded | None = None,
    ) -> ModelSlot:
        settings = Settings(model="one", runtime=runtime if shared else None, load_seconds=seconds)
        return ModelSlot(settings, Telemetry(), registry or ControlledRegistry(), pid, preloaded)

    return make


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(POLL)


async def load_in_vain(slot: ModelSlot, version: str) -> Overview:
    """Load a version; the time to wait for the others ends when this worker serves it."""
    loading = asyncio.create_task(slot.load(version))
    await until(lambda: slot.model.version == version)
    loading.cancel()
    return await slot._wait_for_workers(slot._wanted, deadline=0)


async def start(*slots: ModelSlot) -> tuple[ModelSlot, ...]:
    """Start slots, one after the other."""
    for slot in slots:
        await slot.start()
    return slots


async def stop(*slots: ModelSlot) -> None:
    for slot in slots:
        await slot.stop()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow during the block, which the system refuses as it does on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_preloaded_model_is_served_where_it_is_the_wanted_one(slot_of: Slots) -> None:
    registry = ControlledRegistry()
    registry.aliases["one"] = "first"
    pin = registry.pin("one")
    model = registry.open(pin.version, pin.digest)
    registry.aliases["one"] = "later"  # the alias has moved since

    async def check() -> None:
        slots = [
            slot_of(pid, registry, shared=True, preloaded=Preloaded("one", pin, model))
            for pid in (1, 2)
        ]
        await start(*slots)
        assert [slot.model for slot in slots] == [model, model]
        await load_in_vain(slots[0], "two")
        await until(lambda: slots[1].model.version == "two")
        await load_in_vain(slots[0], "first")
        await until(lambda: slots[1].model is model)
        await stop(*slots)

    asyncio.run(check())
    assert registry.opened == ["first", "two", "two"]


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: type(reason).__name__)
@pytest.mark.parametrize("shared", [True, False])
def test_whatever_opening_raises_the_current_model_stays(
    slot_of: Slots, log: Callable[[], str], reason: Exception, shared: bool
) -> None:
    async def run() -> None:
        registry = ControlledRegistry()
        slot = slot_of(1, registry, shared=shared)
        await slot.start()
        registry.failures = [reason]
        with pytest.raises(LoadError) as error:
            await slot.load("two")
        assert str(error.value).startswith("two was not loaded: it ")
        assert "secret" not in str(error.value)
        assert not error.value.retry
        assert slot.model.version == "one"
        assert (await slot.overview()).all_follow
        assert (await slot.load("two")).all_follow
        assert slot.model.version == "two"
        await stop(slot)

    asyncio.run(run())
    (line,) = [line for line in log().splitlines() if line.startswith("WARNING")]
    assert "load of two: " in line


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: type(reason).__name__)
def test_a_worker_that_fails_to_follow_tries_again_and_a_load_waits_for_it(
    slot_of: Slots, log: Callable[[], str], reason: Exception
) -> None:
    async def run() -> list[str]:
        other = ControlledRegistry()
        first, second = await start(slot_of(1), slot_of(2, other))
        other.failures = [reason] * 3
        overview = await first.load("two")
        assert overview.all_follow
        assert [(state.pid, state.model, state.problem) for state in overview.workers] == [
            (1, "two", ""), (2, "two", "")]  # fmt: skip
        await stop(first, second)
        return other.opened

    assert asyncio.run(run()) == ["one", "two", "two", "two", "two"]
    lines = [line for line in log().splitlines() if "cannot follow" in line]
    assert len(lines) == 3


def test_a_load_names_the_worker_that_does_not_follow_in_time(
    slot_of: Slots, runtime: Path
) -> None:
    async def run() -> None:
        other = ControlledRegistry()
        first, second = await start(slot_of(1), slot_of(2, other))
        other.failures = [MemoryError()] * 1_000_000
        await load_in_vain(first, "two")
        await until(lambda: Board(runtime).workers()[1].problem)
        overview = await first.overview()
        assert not overview.all_follow
        (behind,) = overview.behind
        assert (behind.pid, behind.model) == (2, "one")
        assert behind.problem == "two failed to open with MemoryError"
        # The worker keeps its model, and both of them say so.
        assert second.model.version == "one"
        for slot in (first, second):
            assert [state.pid for state in (await slot.overview()).behind] == [2]
        other.failures = []
        await until(lambda: second.model.version == "two")
        await until(lambda: not Board(runtime).workers()[1].problem)
        assert (await first.overview()).all_follow
        await stop(first, second)

    asyncio.run(run())


def test_a_worker_that_hangs_is_named_without_a_reason(slot_of: Slots) -> None:
    async def run() -> None:
        other = ControlledRegistry()
        first, second = await start(slot_of(1), slot_of(2, other))
        other.gate.clear()
        overview = await load_in_vain(first, "two")
        assert [(state.pid, state.problem) for state in overview.behind] == [(2, "")]
        other.gate.set()
        await until(lambda: second.model.version == "two")
        await stop(first, second)

    asyncio.run(run())


def test_of_two_loads_at_once_the_last_wins_in_all_workers(slot_of: Slots, runtime: Path) -> None:
    async def run() -> None:
        slots = [slot_of(pid) for pid in (1, 2, 3)]
        for slot in slots:
            await slot.start()
        for turn in range(20):
            loads = (slots[turn % 3].load(f"a{turn}"), slots[(turn + 1) % 3].load(f"b{turn}"))
            ends = await asyncio.gather(*loads, return_exceptions=True)
            last = Board(runtime).read_wanted()
            assert last is not None
            assert last.version in {f"a{turn}", f"b{turn}"}
            await until(lambda: all(slot.model.version == last.version for slot in slots))  # noqa: B023
            replaced = [end for end in ends if isinstance(end, LoadError)]
            assert len(replaced) <= 1  # it was told that the other one has won
            for end in replaced:
                assert last.version in str(end)
        await stop(*slots)

    asyncio.run(run())


def test_a_worker_that_starts_during_a_load_serves_the_new_model(slot_of: Slots) -> None:
    async def run() -> None:
        other = ControlledRegistry()
        other.gate.clear()
        first, late = slot_of(1), slot_of(2, other)
        await first.start()
        starting = asyncio.create_task(late.start())
        await until(lambda: other.opened == ["one"])
        assert (await first.load("two")).all_follow  # the late worker answers nothing yet
        other.gate.set()
        await starting
        assert late.model.version == "two"
        await stop(first, late)

    asyncio.run(run())


def test_the_first_worker_resolves_the_alias_for_all(slot_of: Slots, runtime: Path) -> None:
    async def run() -> None:
        Board(runtime).write_wanted(Wanted("latest"))
        registry = ControlledRegistry()
        first, second = slot_of(1, registry), slot_of(2, registry)
        registry.aliases = {"latest": "five"}
        await first.start()
        registry.aliases = {"latest": "six"}
        await second.start()
        assert first.model.version == second.model.version == "five"
        await stop(first, second)

    asyncio.run(run())


def test_without_room_on_the_disk_a_load_changes_nothing(slot_of: Slots) -> None:
    async def run() -> None:
        first, second = await start(slot_of(1), slot_of(2))
        with full_disk():
            with pytest.raises(LoadError, match="cannot be told") as error:
                await first.load("two")
            assert error.value.retry
        assert (await first.overview()).all_follow
        assert first.model.version == second.model.version == "one"
        assert (await first.load("two")).all_follow
        await stop(first, second)

    asyncio.run(run())


def test_a_worker_that_cannot_report_follows_and_reports_later(slot_of: Slots) -> None:
    async def run() -> None:
        first, second = await start(slot_of(1), slot_of(2))
        report = second._board.report

        def refuse(state: object) -> None:
            raise ShelfmarkError("cannot write: No space left on device")

        second._board.report = refuse  # type: ignore[method-assign]
        overview = await load_in_vain(first, "two")
        assert [state.pid for state in overview.behind] == [2]
        await until(lambda: second.model.version == "two")
        second._board.report = report  # type: ignore[method-assign]
        assert (await first.load("three")).all_follow
        await stop(first, second)

    asyncio.run(run())


@pytest.mark.parametrize("damage", ["removed", "a folder", "damaged"])
def test_a_board_that_cannot_be_read_is_reported_and_read_again(
    slot_of: Slots, runtime: Path, damage: str
) -> None:
    async def run() -> None:
        slot = slot_of(1)
        await slot.start()
        file = runtime / "wanted.json"
        content = file.read_bytes()
        file.unlink()
        if damage == "a folder":
            file.mkdir()
        elif damage == "damaged":
            file.write_bytes(content[:-5])
        await until(lambda: slot.state.problem == "the shared version cannot be read")
        assert slot.model.version == "one"
        if damage == "a folder":
            file.rmdir()
        file.write_bytes(content)
        await until(lambda: not slot.state.problem)
        await stop(slot)
        file.unlink()
        with pytest.raises(OSError, match="wanted"):  # rather than another model than the others'
            await slot_of(2).start()

    asyncio.run(run())


def test_without_the_runtime_folder_the_others_are_not_taken_to_follow(
    slot_of: Slots, runtime: Path
) -> None:
    async def run() -> None:
        first, second = await start(slot_of(1), slot_of(2))
        moved = runtime.rename(runtime.with_name("moved"))
        overview = await first.overview()
        assert not overview.complete
        assert not overview.all_follow
        with pytest.raises(LoadError, match="cannot be told"):
            await first.load("two")
        moved.rename(runtime)
        assert (await first.load("two")).all_follow
        await stop(first, second)

    asyncio.run(run())


def test_a_worker_that_has_died_is_waited_for_until_it_is_forgotten(
    slot_of: Slots, runtime: Path
) -> None:
    async def run() -> None:
        first, dead = await start(slot_of(1), slot_of(2))
        await dead.stop()
        loading = asyncio.create_task(first.load("two"))
        await until(lambda: first.model.version == "two")
        assert not loading.done()
        Board(runtime).forget(2)
        assert [state.pid for state in (await loading).workers] == [1]
        await stop(first)

    asyncio.run(run())


def test_a_load_that_is_given_up_leaves_all_workers_on_one_version(
    slot_of: Slots, runtime: Path
) -> None:
    async def run() -> None:
        first, second = await start(slot_of(1), slot_of(2))
        for turn in range(30):
            loading = asyncio.create_task(first.load(f"v{turn}"))
            await asyncio.sleep(turn * 0.0003)
            loading.cancel()
            await asyncio.wait([loading])

        def agree() -> bool:
            wanted = Board(runtime).read_wanted()
            assert wanted is not None
            return {wanted.version} == {first.model.version, second.model.version}

        await until(agree)
        await stop(first, second)

    asyncio.run(run())


def test_a_load_that_does_not_open_in_time_is_given_up(slot_of: Slots) -> None:
    async def run() -> None:
        registry = ControlledRegistry()
        slot = slot_of(1, registry, seconds=0.2)
        await slot.start()
        registry.gate.clear()
        with pytest.raises(TimeoutError):
            await slot.load("two")
        registry.gate.set()
        assert slot.model.version == "one"
        await stop(slot)

    asyncio.run(run())


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: type(reason).__name__)
def test_a_start_raises_what_opening_raises(
    slot_of: Slots, runtime: Path, reason: Exception
) -> None:
    async def run() -> None:
        registry = ControlledRegistry()
        registry.failures = [reason]
        Board(runtime).write_wanted(Wanted("two"))
        slot = slot_of(1, registry)
        with pytest.raises(type(reason)):
            await slot.start()
        await slot.stop()

    asyncio.run(run())
