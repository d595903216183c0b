"""The detector's fit: its samples, its known words, and what it tells apart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from shelfmark.core.arrays import Array
from shelfmark.data.splits import TableGroups
from shelfmark.models.scope import features, fit
from shelfmark.models.scope.detector import ALIKE, RARE, ScopeDetector
from shelfmark.models.scope.made_texts import MADE
from tests.support import detectors
from tests.support.detectors import OWN
from tests.support.structures import dump
from tests.support.tables import rows_of_splits


def share_above(one: Array, other: Array) -> float:
    """Return how often a number of the first array is above one of the second."""
    return float(np.greater.outer(one, other).mean())


def test_the_labels_are_those_of_the_model_then_of_others_then_kinds_of_texts() -> None:
    detector = detectors.detector()
    others = ("cs.CV", "cs.LG", "cs.RO", "math.PR", "quant-ph", "stat.ML")
    assert detector.labels == (*OWN, *others, *MADE)
    assert (detector.own, detector.papers) == (2, 8)


def test_own_papers_have_the_subject_of_the_model_sooner_than_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit, "ENOUGH_TEXTS", 0)  # with vectors as long as those of real papers
    fitted = detectors.fit(*(detectors.papers(own=which, train=True) for which in (True, False)))
    own, other = (fitted.weigh(detectors.texts(which)) for which in (True, False))
    assert share_above(own.subject, other.subject) > 0.9
    assert np.median(own.subject) > np.median(other.subject) + 1


def test_abstracts_have_the_form_of_papers_and_made_texts_have_not() -> None:
    abstracts = detectors.texts(own=True) + detectors.texts(own=False)
    papers, made = (detectors.detector().weigh(x) for x in (abstracts, detectors.made().texts))
    assert share_above(papers.form, made.form) > 0.98
    assert (papers.form > 0).mean() > 0.98
    assert (made.form < 0).mean() > 0.9


def test_the_kind_of_a_text_and_the_label_of_another_paper_are_told() -> None:
    detector, made = detectors.detector(), detectors.made()
    kinds = [detector.labels[kind] for kind in detector.weigh(made.texts).kind]
    assert np.mean([one == other for one, other in zip(kinds, made.labels, strict=True)]) > 0.9
    papers = detectors.papers(own=False, train=False)
    others = [detector.labels[x] for x in detector.weigh(detectors.texts(own=False)).other]
    labels = papers["label"].to_pylist()
    assert np.mean([one == other for one, other in zip(others, labels, strict=True)]) > 0.5


def test_without_other_papers_every_text_has_the_subject_of_the_model() -> None:
    own = detectors.papers(own=True, train=True)
    detector = detectors.fit(own, own.slice(0, 0))
    assert detector.labels == (*OWN, *MADE)
    abstracts, made = detectors.texts(own=True), detectors.made().texts
    evidence = detector.weigh(abstracts + made)
    assert set(evidence.other) == {-1}
    assert set(evidence.subject) == {ALIKE}
    form = evidence.form
    assert share_above(form[: len(abstracts)], form[len(abstracts) :]) > 0.9


def test_two_fits_with_one_seed_are_equal_and_with_another_are_not() -> None:
    papers = [detectors.papers(own, train=True).slice(0, 200) for own in (True, False)]
    groups = [TableGroups(one) for one in papers]
    one, other, third = (
        dump(fit.fit_detector(OWN, groups[0], groups[1], "keep", seed, detectors.BUDGET))
        for seed in (1, 1, 2)
    )
    assert one == other
    assert one[1] != third[1]


def test_a_class_may_be_named_as_the_papers_of_rare_categories_are() -> None:
    own = detectors.papers(own=True, train=True)
    renamed = ["NLP" if name == "cs.CL" else RARE for name in own["label"].to_pylist()]
    own = own.set_column(own.schema.get_field_index("label"), "label", pa.array(renamed))
    few = detectors.papers(own=False, train=True).slice(0, 40)  # of each category too few
    detector = detectors.fit(own, few, ("NLP", RARE))
    galaxies = detectors.papers(own=True, train=False)
    galaxies = galaxies.filter(pa.array([x != "cs.CL" for x in galaxies["label"].to_pylist()]))
    assert (detector.weigh(galaxies["text"].to_pylist()).subject > 0).mean() > 0.9


# --- samples


def test_a_sample_keeps_the_order_and_is_the_same_for_a_seed() -> None:
    titles = pa.array([f"{number}" for number in range(200)])
    papers = rows_of_splits(200).set_column(1, "title", titles)
    sample = fit.sample_papers(TableGroups(papers), 50, 3)
    rows = [int(title) for title in sample["title"].to_pylist()]
    assert rows == sorted(set(rows))
    assert len(rows) == 50
    assert sample.column_names == ["title", "abstract", "label", "categories"]
    assert sample.equals(fit.sample_papers(TableGroups(papers), 50, 3))
    assert not sample.equals(fit.sample_papers(TableGroups(papers), 50, 4))


@pytest.mark.parametrize("papers", [0, 1, 30])
def test_a_sample_of_more_than_there_are_is_all(papers: int) -> None:
    table = rows_of_splits(30).slice(0, papers)
    sample = fit.sample_papers(TableGroups(table), 1000, 3)
    assert sample.equals(table.select(sample.column_names))


def test_papers_of_few_papers_are_named_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "MIN_PAPERS", 3)
    names = [["a", "c"], ["b"], ["a"], ["b", "a"], ["a"], ["c", "a"]]
    papers = pa.table({"categories": pa.array(names)})
    assert fit.name_others(papers) == ["a", RARE, "a", RARE, "a", RARE]
    assert fit.name_others(papers.slice(0, 0)) == []


def test_of_some_papers_a_part_is_read() -> None:
    papers = rows_of_splits(1800)
    texts = fit.shorten_some(papers, "keep", 5)
    counts: Counter[str] = Counter()
    columns = (papers[name].to_pylist() for name in ("title", "abstract", "text"))
    for title, abstract, whole, text in zip(*columns, texts, strict=True):
        if text == whole:
            counts["whole"] += 1
        elif text in (title, abstract):
            counts["title" if text == title else "abstract"] += 1
        else:
            assert whole.startswith(text)
            assert len(text) > len(title)
            counts["begun"] += 1
    assert counts["whole"] / 1800 == pytest.approx(1 - fit.SHORTENED, abs=0.03)
    for kind in ("title", "abstract", "begun"):
        assert counts[kind] / 1800 == pytest.approx(fit.SHORTENED / 3, abs=0.02)
    assert fit.shorten_some(papers, "keep", 5) == texts


def test_papers_without_abstract_or_title_are_shortened_too() -> None:
    papers = pa.table({"title": ["", "Stars", ""] * 60, "abstract": ["Dust.", "", ""] * 60})
    assert set(fit.shorten_some(papers, "keep", 5)) == {"Dust.", "Stars", ""}


def test_formulas_of_made_texts_are_read_as_the_model_reads_them() -> None:
    assert fit.clean_lines("On  $x$\nWe  show\n$y$.", "keep") == "On $x$\nWe show $y$."
    assert "$" not in fit.clean_lines("On $x$\nWe show $y$.", "mask")
    assert fit.clean_lines("one line", "keep") == "one line"
    assert fit.clean_lines("", "keep") == ""


def test_made_texts_are_as_many_as_asked_or_as_there_are_papers() -> None:
    papers = rows_of_splits(60)
    assert len(fit.made_of(papers, 30, "keep", 1, "test").texts) == 30
    made = fit.made_of(papers, 1000, "keep", 1, "test")
    assert len(made.texts) == len(made.labels) == 60
    assert Counter(made.labels) == dict.fromkeys(MADE, 10)
    assert made == fit.made_of(papers, 1000, "keep", 1, "test")
    assert made.texts != fit.made_of(papers, 1000, "keep", 1, "train").texts


# --- known words


def known(vocabulary: Array, *words: str) -> list[bool]:
    return [bool(vocabulary[features.read_tokens([word]).places[1]]) for word in words]


def test_a_word_of_three_papers_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["dust dust dust dust halo", "dust ring", "dust ring Ring", "halo", "arm"]
    vocabulary = fit.learn_vocabulary(texts)
    assert vocabulary.dtype == np.uint8
    assert known(vocabulary, "dust", "DUST", "ring", "halo", "arm") == [True, True, *[False] * 3]
    monkeypatch.setattr(fit, "BATCH", 2)
    np.testing.assert_array_equal(fit.learn_vocabulary(texts), vocabulary)


def test_no_papers_make_no_word_known() -> None:
    assert not fit.learn_vocabulary([]).any()
    assert not fit.learn_vocabulary(["", " "]).any()


def test_the_share_of_memory_bounds_the_samples() -> None:
    papers = [TableGroups(detectors.papers(own, train=True)) for own in (True, False)]
    detector = fit.fit_detector(OWN, papers[0], papers[1], "keep", 1, fit.ENOUGH // 200)
    assert isinstance(detector, ScopeDetector)
    whole = detectors.detector().vocabulary.sum()
    assert 0 < detector.vocabulary.sum() < whole
