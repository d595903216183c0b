"""The budget of the memory that bodies and unsent answers occupy."""

from __future__ import annotations

from shelfmark.service.limits.memory import MemoryBudget


def test_the_oldest_share_that_waits_for_its_client_is_closed_for_a_new_one() -> None:
    budget = MemoryBudget(100, patience=0)
    closed: list[str] = []
    first = budget.share(lambda: closed.append("first"))
    second = budget.share(lambda: closed.append("second"))
    assert first.try_grow(40)
    assert second.try_grow(40)
    third = budget.share(lambda: closed.append("third"))
    assert third.try_grow(50)
    assert closed == ["first"]
    assert budget.used == 90


def test_a_share_that_waits_for_the_model_is_not_closed() -> None:
    budget = MemoryBudget(100, patience=0)
    closed: list[str] = []
    complete = budget.share(lambda: closed.append("complete"))
    assert complete.try_grow(80)
    complete.keep()
    assert not budget.share(lambda: closed.append("new")).try_grow(30)
    assert closed == []
    complete.release()
    assert budget.share(lambda: closed.append("new")).try_grow(100)


def test_a_share_is_not_closed_before_its_client_had_time() -> None:
    budget = MemoryBudget(100, patience=10**9)
    closed: list[str] = []
    assert budget.share(lambda: closed.append("first")).try_grow(80)
    assert not budget.share(lambda: closed.append("second")).try_grow(30)
    assert closed == []


def test_the_oldest_share_does_not_grow_over_the_budget_itself() -> None:
    budget = MemoryBudget(100, patience=0)
    share = budget.share(lambda: None)
    assert share.try_grow(90)
    assert not share.try_grow(20)
    share.release()
    share.release()
    assert budget.used == 0
