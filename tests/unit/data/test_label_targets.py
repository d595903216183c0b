"""The targets of a model: labels, and categories with enough cross-lists, at every level."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfmark.config.load import load_config
from shelfmark.config.schema import DataConfig
from shelfmark.data import labels
from shelfmark.data.labels import Targets, label_of
from tests.support.tables import table

CATEGORIES = ["cs.AI", "cs.CC", "cs.DS", "math.PR", "hep-th", "astro-ph"]
OWN = {"theory": ["cs.CC", "cs.DS"], "rest": ["cs", "math"]}


def data(level: str = "category", labels: dict[str, list[str]] | None = None) -> DataConfig:
    return DataConfig.model_validate(
        load_config().data.model_dump() | {"level": level, "labels": labels}
    )


DATA = [data(), data("archive"), data("group"), data(labels=OWN)]
LISTS = st.lists(
    st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=4, unique=True), max_size=12
)


def filed(kind: DataConfig, *categories: str) -> pa.Table:
    """Return papers with these space-separated categories, those that get no label left out."""
    split = [(label_of(kind, names.split()[0]), names.split()) for names in categories]
    kept = [(label, names) for label, names in split if label]
    return table([label for label, _ in kept], None, [names for _, names in kept])


def named(kind: DataConfig, category: str) -> str | None:
    return label_of(kind, category) or (category if kind.labels else None)


def test_classes_are_the_labels_of_train_in_order() -> None:
    papers = filed(DATA[0], "math.PR", "cs.AI", "math.PR cs.DS")
    assert labels.learn_targets(papers, DATA[0], 1).classes == ("cs.AI", "math.PR")


def test_only_cross_lists_count_towards_being_listed() -> None:
    papers = filed(DATA[0], *["cs.AI"] * 9, "math.PR cs.DS", "cs.AI cs.DS", "cs.DS math.PR")
    assert labels.learn_targets(papers, DATA[0], 1).listed == ("cs.DS", "math.PR")
    assert labels.learn_targets(papers, DATA[0], 2).listed == ("cs.DS",)
    assert labels.learn_targets(papers, DATA[0], None).listed == ()


def test_a_paper_reaches_an_archive_once_and_never_its_own() -> None:
    kind = data("archive")
    papers = filed(kind, "cs.AI cs.DS", "math.PR cs.AI cs.DS", "hep-th math.PR")
    assert labels.learn_targets(papers, kind, 1).listed == ("cs", "math")
    assert labels.learn_targets(papers, kind, 2).listed == ()


def test_custom_labels_group_categories_and_others_keep_their_name() -> None:
    kind = data(labels=OWN)
    papers = filed(kind, "cs.CC cs.DS", "math.PR cs.DS cs.CC", "cs.AI cs.CC", "cs.CC hep-th")
    assert labels.learn_targets(papers, kind, 1).listed == ("hep-th", "theory")
    assert labels.learn_targets(papers, kind, 2).listed == ("theory",)


def test_a_category_without_a_label_is_never_listed() -> None:
    papers = filed(DATA[0], *["cs.AI astro-ph"] * 5)
    assert labels.learn_targets(papers, DATA[0], 1).listed == ()


@pytest.mark.parametrize("kind", DATA)
def test_a_source_without_cross_lists_has_nothing_listed(kind: DataConfig) -> None:
    papers = filed(kind, "cs.AI", "math.PR", "cs.CC")
    learnt = labels.learn_targets(papers, kind, 1)
    assert learnt.listed == ()
    assert learnt.membership(papers).shape == (3, 0)


def test_numbers_are_places_among_the_classes_and_an_unknown_label_has_none() -> None:
    known = Targets(("cs.AI", "math.PR"), (), DATA[0])
    assert known.encode(filed(DATA[0], "math.PR", "cs.DS", "cs.AI")).tolist() == [1, -1, 0]


def test_the_membership_has_what_a_paper_is_listed_under_once() -> None:
    known = Targets(("cs.AI", "math.PR"), ("cs.DS", "math.PR"), DATA[0])
    papers = filed(DATA[0], "math.PR", "cs.AI cs.DS math.PR", "hep-th cs.DS")
    assert known.membership(papers).tolist() == [[0, 1], [1, 1], [1, 0]]
    kind = data("archive")
    papers = filed(kind, "hep-th cs.DS cs.AI", "math.PR")
    assert Targets((), ("cs",), kind).membership(papers).tolist() == [[1], [0]]


def test_of_many_listed_labels_those_with_the_most_cross_lists_stay() -> None:
    papers = filed(DATA[0], *["cs.AI cs.DS"] * 3, *["cs.AI math.PR"] * 2, "cs.AI hep-th")
    assert labels.learn_targets(papers, DATA[0], 1, 2).listed == ("cs.DS", "math.PR")
    assert labels.learn_targets(papers, DATA[0], 1, 1).listed == ("cs.DS",)


def test_shelves_hold_every_category_by_its_label() -> None:
    papers = [filed(kind, "cs.AI cs.DS astro-ph", "math.PR") for kind in DATA]
    result = [
        Targets((), (), kind).label_sets(part) for kind, part in zip(DATA, papers, strict=True)
    ]
    assert result == [
        [{"cs.AI", "cs.DS"}, {"math.PR"}],
        [{"cs", "astro-ph"}, {"math"}],
        [{"cs", "physics"}, {"math"}],
        [{"rest", "theory", "astro-ph"}, {"rest"}],
    ]


@settings(max_examples=60, deadline=None)
@given(LISTS, st.sampled_from(DATA), st.integers(1, 3), st.data())
def test_tables_in_slices_and_chunks_give_what_counting_by_hand_gives(
    lists: list[list[str]], kind: DataConfig, least: int, more: st.DataObject
) -> None:
    papers = filed(kind, *map(" ".join, lists))
    start = more.draw(st.integers(0, papers.num_rows))
    cut = more.draw(st.integers(start, papers.num_rows))
    parts = pa.concat_tables([papers.slice(cut), papers.slice(start, cut - start)])
    names = [[named(kind, x) for x in row] for row in parts["categories"].to_pylist()]
    counts = Counter(name for own, *rest in names for name in {*rest} - {own, None})
    learnt = labels.learn_targets(parts, kind, least)
    assert learnt.listed == tuple(sorted(x for x, papers in counts.items() if papers >= least))
    wanted = [[name in row for name in learnt.listed] for row in names]
    np.testing.assert_array_equal(
        learnt.membership(parts), np.array(wanted).reshape(len(names), len(learnt.listed))
    )
    assert learnt.label_sets(parts) == [{*row} - {None} for row in names]
