"""An index answers by meaning, words, identifiers and filters, and says why papers are few."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfmark.config.search import IndexSettings
from shelfmark.errors import ShelfmarkError
from shelfmark.search import index as search_index
from shelfmark.search.filters import Filters
from shelfmark.search.index import Index
from shelfmark.search.query.search_query import QueryError, SearchQuery, SearchResult
from tests.support import hashed_encoder, indexes
from tests.support.indexes import CATEGORIES, paper_record, paper_records

PAPERS = 300


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> IndexSettings:
    """An index of two segments, with codes in the first, that no test changes."""
    folder = tmp_path_factory.mktemp("index")
    with pytest.MonkeyPatch.context() as patch:
        hashed_encoder.register(patch)
        indexes.save_encoder(folder)
        codes = ["index=codes", "index.rescored=60"]
        return indexes.build(folder, paper_records(range(PAPERS)), *codes)


@pytest.fixture(scope="module")
def index(built: IndexSettings) -> Index:
    with pytest.MonkeyPatch.context() as patch:
        hashed_encoder.register(patch)
        return indexes.open_index(built)


def ids(result: SearchResult) -> list[str]:
    return [hit.id for hit in result.hits]


def ask(index: Index, *arguments: str, **options: object) -> SearchResult:
    [result] = index.search([SearchQuery(*arguments, **options)])  # type: ignore[arg-type]
    return result


@pytest.mark.parametrize(
    "text",
    [
        "1501.00042",
        "arXiv:1501.00042v3",
        "https://arxiv.org/abs/1501.00042",
        "https://arxiv.org/pdf/1501.00042v1.pdf",
        paper_record(42)["title"],
        f"  {paper_record(42)['title'].upper()}.",
    ],
)
def test_an_identifier_an_address_and_a_title_find_their_paper_first(
    index: Index, text: str
) -> None:
    result = ask(index, text, k=10)
    assert ids(result)[0] == "1501.00042"
    assert result.hits[0].match == (
        "title" if "On" in text.title() and "0042" not in text else "id"
    )
    assert len(set(ids(result))) == 10


@pytest.mark.parametrize("words", [0.0, 0.5, 0.7, 1.0])
def test_a_whole_abstract_finds_its_paper_first(index: Index, words: float) -> None:
    for number in (3, 77, 250):
        paper = paper_record(number)
        result = ask(index, abstract=paper["abstract"], words=words)
        assert ids(result)[0] == paper["id"]


def test_the_neighbours_of_a_paper_are_other_papers(index: Index) -> None:
    result = ask(index, like=("1501.00042",), k=PAPERS)
    assert "1501.00042" not in ids(result)
    assert len(ids(result)) == len(set(ids(result))) == PAPERS - 1


def test_neighbours_of_a_set_are_near_to_all_and_away_from_others(index: Index) -> None:
    like, unlike = ("1501.00001", "1501.00002"), ("1501.00003",)
    near = ask(index, like=like, words=0.0, k=5)
    away = ask(index, like=like, unlike=unlike, words=0.0, k=5)
    assert not {*like, *unlike} & {*ids(near), *ids(away)} - set(unlike)
    [row] = index.find_ids(["1501.00003"]).values()
    other = index.vectors_of(np.array([row]))[0]

    def mean_cosine(result: SearchResult) -> float:
        rows = np.array(list(index.find_ids(ids(result)).values()))
        return float((index.vectors_of(rows) @ other).mean())

    assert mean_cosine(away) < mean_cosine(near)


def test_an_unknown_paper_is_named(index: Index) -> None:
    result = ask(index, like=("2101.99999", "1501.00001"), k=3)
    assert (result.unknown, len(result.hits)) == (("2101.99999",), 3)
    result = ask(index, like=("2101.99999",))
    assert result.hits == ()
    assert result.note == "The index has no paper 2101.99999."


def test_a_text_of_identifiers_is_a_set_of_papers(index: Index) -> None:
    pair = ("1501.00001", "1501.00002")
    asked = ask(index, "1501.00001, arXiv:1501.00002", k=5)
    assert ids(asked) == ids(ask(index, like=pair, k=5))
    missing = ask(index, "https://arxiv.org/abs/2101.99999v2")
    assert (missing.hits, missing.unknown) == ((), ("https://arxiv.org/abs/2101.99999v2",))
    assert missing.note == "The index has no paper https://arxiv.org/abs/2101.99999v2."


def test_a_set_has_at_most_so_many_papers(index: Index) -> None:
    with pytest.raises(QueryError, match="like: has 101 papers, more than 100"):
        ask(index, like=("1501.00001",) * 101)


def test_a_closed_index_says_so(built: IndexSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed_encoder.register(monkeypatch)
    closed = indexes.open_index(built)
    closed.close()
    with pytest.raises(ShelfmarkError, match="^the index is closed: open it again$"):
        ask(closed, "robot")


FILTERS = st.builds(
    Filters,
    categories=st.lists(st.sampled_from([*CATEGORIES, "cs", "math"]), max_size=2).map(tuple),
    exclude=st.lists(st.sampled_from([*CATEGORIES, "physics"]), max_size=2).map(tuple),
    since=st.none() | st.dates(date(2010, 1, 1), date(2011, 1, 1)),
    until=st.none() | st.dates(date(2010, 1, 1), date(2011, 1, 1)),
    primary=st.booleans(),
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    filters=FILTERS,
    k=st.integers(1, 60),
    number=st.integers(0, PAPERS - 1),
    words=st.floats(0, 0.9),
)
def test_any_filter_keeps_k_while_k_papers_pass(
    index: Index, filters: Filters, k: int, number: int, words: float
) -> None:
    passing = {
        paper["id"]
        for paper in paper_records(range(PAPERS))
        if _passes(filters, paper["categories"].split(), int(paper["id"][-5:]))
    }
    result = ask(
        index, abstract=paper_record(number)["abstract"], k=k, filters=filters, words=words
    )
    assert len(set(ids(result))) == len(result.hits) == min(k, len(passing))
    assert set(ids(result)) <= passing
    assert result.selected == len(passing)
    assert bool(result.note) == (len(passing) < k)


def _passes(filters: Filters, names: list[str], number: int) -> bool:
    groups = {"cs.RO": "cs", "cs.CL": "cs", "hep-th": "physics", "math.AG": "math",
              "astro-ph.GA": "physics", "quant-ph": "physics", "q-bio.NC": "q-bio"}  # fmt: skip
    day = indexes.FIRST_DAY.toordinal() + number
    counted = names[:1] if filters.primary else names
    return (
        (not filters.categories
         or any({name, groups[name]} & set(filters.categories) for name in counted))
        and not any({name, groups[name]} & set(filters.exclude) for name in names)
        and (filters.since is None or day >= filters.since.toordinal())
        and (filters.until is None or day <= filters.until.toordinal())
    )  # fmt: skip


def test_an_empty_answer_names_the_filter_that_empties_it(index: Index) -> None:
    late = Filters(("cs.RO",), since=date(2030, 1, 1))
    result = ask(index, "robot", filters=late)
    assert result.hits == ()
    assert result.note == "No paper passes the filter since 2030-01-01."
    both = Filters(("cs.RO",), ("cs",))
    note = ask(index, "robot", filters=both).note
    assert note.startswith("No paper passes all filters together.")
    assert "category cs.RO: " in note


def test_a_named_paper_that_does_not_pass_the_filters_is_left_out(index: Index) -> None:
    result = ask(index, "1501.00042", filters=Filters(until=date(2010, 1, 10)), k=3)
    assert "1501.00042" not in ids(result)
    assert len(result.hits) == 3
    assert result.note == "The paper that the text names does not pass the filters."


def test_a_category_is_known_by_any_case_and_by_its_old_name(index: Index) -> None:
    named = [ask(index, "robot", filters=Filters((name,))) for name in ("cs.RO", "CS.ro")]
    assert ids(named[0]) == ids(named[1]) != []


def test_the_words_of_a_query_may_be_unknown(index: Index) -> None:
    result = ask(index, "zzzyx", words=1.0)
    assert result.hits == ()
    assert result.note == "No paper has a word of the query."


def test_a_search_for_nothing_and_an_unknown_category_are_refused(index: Index) -> None:
    with pytest.raises(QueryError, match="nothing to search for"):
        ask(index, "  ")
    with pytest.raises(QueryError, match=r"category: no such category.*did you mean") as caught:
        ask(index, "robot", filters=Filters(("cs.ROO",)))
    assert caught.value.field == "category"


def test_a_predicted_shelf_raises_its_papers(index: Index) -> None:
    def shelf(title: str, abstract: str) -> dict[str, float]:
        return {"hep-th": 0.8, "cs.RO": 0.2}

    query = SearchQuery("robot grasp depth", k=10, shelf=0.9)
    [plain], [raised] = (
        index.search([SearchQuery("robot grasp depth")]),
        index.search([query], shelf),
    )
    count = [sum(hit.categories[0] == "hep-th" for hit in x.hits) for x in (plain, raised)]
    assert count[1] > count[0]
    assert raised.shelf is not None
    assert (raised.shelf.category, raised.shelf.probability) == ("hep-th", 0.8)
    assert plain.shelf is None


def test_threads_get_the_answers_of_one_thread(index: Index) -> None:
    queries = [SearchQuery(abstract=paper_record(n)["abstract"], k=20) for n in range(40)]
    expected = index.search(queries)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda query: index.search([query])[0], queries)) == expected


def test_a_large_index_is_searched_by_meaning_and_words_at_the_same_time(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [SearchQuery(abstract=paper_record(n)["abstract"], k=20) for n in range(5)]
    expected = index.search(queries)
    monkeypatch.setattr(search_index, "WORTH_SHARING", 0)
    assert index.search(queries) == expected
    with monkeypatch.context() as patch, pytest.raises(ShelfmarkError, match="a server is away"):

        def fail(*_: object) -> None:
            raise ShelfmarkError("a server is away")

        patch.setattr(index, "nearest", fail)
        index.search(queries[:1])
    assert index.search(queries) == expected


def test_an_index_of_another_encoder_is_refused(
    built: IndexSettings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexes.save_encoder(folder, "other", seed=5)
    with pytest.raises(ShelfmarkError, match="no encoder in"):
        Index.open(Path(built.paths.index), encoders=str(folder / "none"))
    settings = indexes.build(folder, paper_records(range(5)))
    (folder / "encoders" / "hashed").rename(folder / "encoders" / "away")
    indexes.save_encoder(folder, seed=9)
    with pytest.raises(ShelfmarkError, match="made this index, not hashed .*: build it again"):
        indexes.open_index(settings)


@pytest.mark.parametrize(
    "name",
    ["vectors.npy", "scales.npy", "papers.sqlite", "days.npy", "word_rows.npy", "codes.npy",
     "card.json"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_a_damaged_file_is_one_line_that_names_it(folder: Path, name: str, damage: str) -> None:
    settings = indexes.build(folder, paper_records(range(30)), "index=codes")
    path = folder / "index" / "segments" / "000001" / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else changed)
    with pytest.raises(ShelfmarkError) as caught:
        indexes.open_index(settings)
    assert name in str(caught.value) or "000001" in str(caught.value)
    assert "again" in str(caught.value)


def test_a_damaged_manifest_and_deleted_rows_are_refused(folder: Path) -> None:
    records = [*paper_records(range(9)), {"id": "1501.00003", "deleted": True}]
    settings = indexes.build(folder, records)
    [rows] = (folder / "index" / "deleted").iterdir()
    rows.write_bytes(b"\x01" * 8)
    with pytest.raises(ShelfmarkError, match="is damaged"):
        indexes.open_index(settings)
    (folder / "index" / "manifest.json").write_text("{")
    with pytest.raises(ShelfmarkError, match=r"manifest\.json: .*build the index again"):
        indexes.open_index(settings)


def test_opening_and_closing_leaves_no_file_open(folder: Path) -> None:
    settings = indexes.build(folder, paper_records(range(30)), "index=codes")
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("the open files of a process are listed on Linux alone")
    before = len(list(descriptors.iterdir()))
    for _ in range(3):
        with Index.open(Path(settings.paths.index), encoders=settings.paths.encoders) as index:
            index.search([SearchQuery("robot")])
        del index
        gc.collect()  # mapped files are closed with their arrays
    assert len(list(descriptors.iterdir())) == before
