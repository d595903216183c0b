"""arXiv's taxonomy: complete, closed under its old names, and rolled up without a gap."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.taxonomy import (
    archive_of,
    archives_under,
    canonical_name,
    current_name,
    full_name,
    group_of,
    label_among,
    label_at,
)

# Spelt out a second time on purpose: old archives, then the second of two names for one category.
TODAY = {
    "cmp-lg": "cs.CL", "adap-org": "nlin.AO", "comp-gas": "nlin.CG", "chao-dyn": "nlin.CD",
    "solv-int": "nlin.SI", "patt-sol": "nlin.PS", "alg-geom": "math.AG", "dg-ga": "math.DG",
    "funct-an": "math.FA", "q-alg": "math.QA", "mtrl-th": "cond-mat.mtrl-sci",
    "supr-con": "cond-mat.supr-con", "acc-phys": "physics.acc-ph", "ao-sci": "physics.ao-ph",
    "atom-ph": "physics.atom-ph", "bayes-an": "physics.data-an", "chem-ph": "physics.chem-ph",
    "plasm-ph": "physics.plasm-ph",
    "math.MP": "math-ph", "stat.TH": "math.ST", "math.IT": "cs.IT", "q-fin.EC": "econ.GN",
    "cs.SY": "eess.SY", "cs.NA": "math.NA",
}  # fmt: skip


def test_it_is_complete() -> None:
    second_names = {name for name in taxonomy.ALIASES if "." in name}
    assert len(taxonomy.CATEGORIES.keys() | second_names) == 155
    assert len(taxonomy.ARCHIVES) == 20
    assert set(taxonomy.GROUPS) == set("cs econ eess math physics q-bio q-fin stat".split())


def test_how_many_categories_each_archive_has() -> None:
    counts = Counter(map(archive_of, taxonomy.CATEGORIES))
    assert set(counts) == set(taxonomy.ARCHIVES)
    assert counts["cs"] == 38
    assert counts["math"] == 30
    assert counts["physics"] == 22
    assert counts["cond-mat"] == 9
    undivided = {archive for archive in counts if archive in taxonomy.CATEGORIES}
    assert undivided == set(
        "gr-qc hep-ex hep-lat hep-ph hep-th math-ph nucl-ex nucl-th quant-ph".split()
    )
    assert all(counts[archive] == 1 for archive in undivided)


def test_every_old_name_is_known_and_no_other() -> None:
    assert taxonomy.ALIASES == TODAY


@pytest.mark.parametrize(("old", "new"), TODAY.items())
def test_an_old_name_becomes_todays(old: str, new: str) -> None:
    assert current_name(old) == new
    assert old not in taxonomy.KNOWN
    assert new in taxonomy.CATEGORIES


@pytest.mark.parametrize("name", ["cs.XX", "cs", "CS.AI", " cs.AI", "cs.ai", "math.", "", "cs.AI "])
def test_a_name_must_be_exact(name: str) -> None:
    assert current_name(name) == ("cs" if name == "cs" else None)


@pytest.mark.parametrize("name", sorted(taxonomy.KNOWN | set(TODAY)))
def test_a_name_is_known_in_any_case(name: str) -> None:
    for form in (name, name.upper(), name.lower()):
        assert canonical_name(form) == current_name(name)


@pytest.mark.parametrize(
    ("category", "archive", "group"),
    [("cs.NW", "cs", "cs"), ("astro-ph.XX", "astro-ph", "physics"), ("q-bio.ZZ", "q-bio", "q-bio"),
     ("physics.new-ph", "physics", "physics"), ("bio.AB", None, None), ("bio-ph", None, None)],
)  # fmt: skip
def test_a_category_that_is_not_listed(
    category: str, archive: str | None, group: str | None
) -> None:
    assert canonical_name(category) == category
    assert canonical_name(category.lower()) == category
    assert label_at(category, "category") == category
    assert label_at(category, "archive") == archive
    assert label_at(category, "group") == group
    assert full_name(category) == category
    assert full_name(category, {category: "Its name"}) == "Its name"
    assert taxonomy.find_unlisted(["cs.AI", category]) == [category]
    assert taxonomy.find_unlisted(["cs.AI", category], {category: "Its name"}) == []
    assert label_among(category, {"a": ["math"], "b": [archive or "stat"]}) == (
        "b" if archive else None
    )


def test_the_list_of_the_taxonomy_has_the_date_of_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "kaggle.md").read_text("utf-8")
    assert f"as of {taxonomy.AS_OF}" in page


@given(st.text())
def test_a_canonical_name_stays_so(name: str) -> None:
    today = canonical_name(name)
    assert today is None or canonical_name(today) == today


@given(st.one_of(st.text(), st.sampled_from(sorted(taxonomy.KNOWN | set(TODAY)))))
def test_what_is_current_stays_so(name: str) -> None:
    today = current_name(name)
    assert today is None or (today in taxonomy.KNOWN and current_name(today) == today)


@pytest.mark.parametrize("category", sorted(taxonomy.KNOWN))
def test_everything_rolls_up_to_names_that_exist(category: str) -> None:
    assert archive_of(category) in taxonomy.ARCHIVES
    assert group_of(category) in taxonomy.GROUPS
    assert group_of(archive_of(category)) == group_of(category)


@pytest.mark.parametrize(
    ("category", "archive", "group"),
    [
        ("cs.AI", "cs", "cs"),
        ("hep-th", "hep-th", "physics"),
        ("math-ph", "math-ph", "physics"),
        ("math.PR", "math", "math"),
        ("nlin.CD", "nlin", "physics"),
        ("physics.optics", "physics", "physics"),
        ("cond-mat.soft", "cond-mat", "physics"),
        ("q-bio.NC", "q-bio", "q-bio"),
    ],
)
def test_a_category_at_each_level(category: str, archive: str, group: str) -> None:
    assert label_at(category, "category") == category
    assert label_at(category, "archive") == archive
    assert label_at(category, "group") == group


@pytest.mark.parametrize("bare", ["astro-ph", "cond-mat", "q-bio", "cs", "math"])
def test_a_bare_archive_has_no_label_as_fine_as_a_category(bare: str) -> None:
    assert current_name(bare) == bare
    assert label_at(bare, "category") is None
    assert label_at(bare, "archive") == bare


OWN = {
    "heaven": ["astro-ph", "gr-qc"],
    "planets": ["astro-ph.EP"],
    "physics": ["physics"],
    "theory": ["cs.CC", "cs.DS"],
    "machines": ["cs", "stat.ML"],
}


@pytest.mark.parametrize(
    ("category", "label"),
    [
        ("astro-ph.EP", "planets"),
        ("astro-ph.GA", "heaven"),
        ("astro-ph", "heaven"),
        ("gr-qc", "heaven"),
        ("hep-th", "physics"),
        ("physics.optics", "physics"),
        ("cs.DS", "theory"),
        ("cs.AI", "machines"),
        ("cs", "machines"),
        ("stat.ML", "machines"),
        ("stat.ME", None),
        ("math.PR", None),
    ],
)
def test_the_most_specific_name_decides_among_custom_labels(
    category: str, label: str | None
) -> None:
    assert label_among(category, OWN) == label
    assert label_among(category, dict(reversed(OWN.items()))) == label


@pytest.mark.parametrize("level", taxonomy.NAMES)
def test_names_that_gather_themselves_are_the_labels_of_their_level(level: taxonomy.Level) -> None:
    alone = {name: [name] for name in taxonomy.NAMES[level]}
    for category in taxonomy.CATEGORIES:
        assert label_among(category, alone) == label_at(category, level)


def test_the_archives_under_a_name() -> None:
    assert archives_under("cs.AI") == archives_under("cs") == {"cs"}
    assert archives_under("hep-th") == {"hep-th"}
    assert archives_under("physics") == set(taxonomy.PHYSICS_ARCHIVES)
    assert set().union(*map(archives_under, taxonomy.GROUPS)) == set(taxonomy.ARCHIVES)


def test_full_names() -> None:
    assert full_name("cs.CL") == "Computation and Language"
    assert full_name("cond-mat") == "Condensed Matter"
    assert full_name("eess") == "Electrical Engineering and Systems Science"
    assert full_name("hep-th") == "High Energy Physics - Theory"
    assert full_name("spam") == "spam"


def test_no_two_categories_of_an_archive_share_a_name() -> None:
    for archive in taxonomy.ARCHIVES:
        names = [full for key, full in taxonomy.CATEGORIES.items() if archive_of(key) == archive]
        assert len(names) == len(set(names))
