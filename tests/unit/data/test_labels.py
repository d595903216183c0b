"""Custom labels and a balance among labels, from the configuration to an answer."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.config.load import load_config
from shelfmark.config.schema import DataConfig
from shelfmark.data.labels import LEFT_OUT, label_of, surplus_rows
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import SPLITS, Splits, open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.models import answers, artifact
from shelfmark.service.app import create_app
from shelfmark.service.settings import Settings
from shelfmark.training import train
from tests.conftest import QUICK, ROOT, paths_in

OWN = {
    "cs": ["cs"],
    "learning": ["cs.LG", "stat.ML"],
    "nature": ["astro-ph", "quant-ph"],
    "words": ["cs.CL"],
}
GATHERED = {
    "cs.CL": "words",
    "cs.CV": "cs",
    "cs.LG": "learning",
    "cs.RO": "cs",
    "quant-ph": "nature",
    "astro-ph.GA": "nature",
    "stat.ML": "learning",
}
OVERRIDE = "data.labels=" + str(OWN).replace("'", "").replace(" ", "")
TIMES = ("data.split=time", "data.cuts.validation=2016-01-01", "data.cuts.test=2017-01-01")
BASE = load_config(["data.min_papers=1"]).data
BY_TIME = load_config([*TIMES, "data.min_papers=1"]).data
SHARES = BASE.fractions.model_dump()


def balanced(data: DataConfig, most: int) -> DataConfig:
    return DataConfig.model_validate(data.model_dump() | {"max_papers": most})


def rows(splits: Splits) -> list[dict[str, Any]]:
    return [row | {"split": split} for split in SPLITS for row in splits.read(split).to_pylist()]


# --- the choice among too many papers, from numbers alone

# Of each paper the hash of its identifier, the number of its split and that of its label.
PAPERS = st.lists(
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2), st.integers(LEFT_OUT, 2)),
    unique_by=lambda paper: paper[0],
    max_size=120,
)
MOST = st.integers(1, 40)
Paper = tuple[int, int, int]


def kept(data: DataConfig, papers: list[Paper]) -> set[Paper]:
    """Return the labelled papers that are not in surplus."""
    ids, splits, codes = np.array(papers, np.int64).reshape(-1, 3).T
    gone = set(surplus_rows(data, ids, splits, codes).tolist())
    assert all(codes[row] != LEFT_OUT for row in gone)
    labelled = [number for number, code in enumerate(codes) if code != LEFT_OUT]
    return {papers[row] for row in labelled if row not in gone}


@given(PAPERS, MOST, st.randoms(use_true_random=False))
def test_the_order_of_the_papers_has_no_say(
    papers: list[Paper], most: int, chance: random.Random
) -> None:
    shuffled = papers.copy()
    chance.shuffle(shuffled)
    for data in (BASE, BY_TIME):
        data = balanced(data, most)
        assert kept(data, shuffled) == kept(data, papers)


@given(PAPERS, MOST)
def test_each_split_keeps_its_share_of_a_label_and_the_lowest_hashes(
    papers: list[Paper], most: int
) -> None:
    stay = kept(balanced(BASE, most), papers)
    for label in range(3):
        assert sum(paper[2] == label for paper in stay) <= most
        for split, share in enumerate(SHARES.values()):
            mine = sorted(paper for paper in papers if paper[1:] == (split, label))
            number = len(stay & set(mine))
            assert stay & set(mine) == set(mine[:number])
            assert number == len(mine) or abs(number - most * share) < 1


@given(PAPERS, MOST)
def test_by_time_a_label_is_shared_by_no_rule(papers: list[Paper], most: int) -> None:
    stay = kept(balanced(BY_TIME, most), papers)
    for label in range(3):
        mine = sorted(paper for paper in papers if paper[2] == label)
        assert {paper for paper in stay if paper[2] == label} == set(mine[:most])


@given(PAPERS, MOST)
def test_more_room_takes_no_paper_away(papers: list[Paper], most: int) -> None:
    for data in (BASE, BY_TIME):
        # Ten more are one more for the smallest split.
        assert kept(balanced(data, most), papers) <= kept(balanced(data, most + 10), papers)
        assert kept(data, papers) == {paper for paper in papers if paper[2] != LEFT_OUT}


def test_what_twelve_keeps_of_a_label() -> None:
    papers = [(number, number % 3, 0) for number in range(9000)]
    counts = Counter(paper[1] for paper in kept(balanced(BASE, 3125), papers))
    assert counts == {0: 2500, 1: 312, 2: 313}


# --- the task of twelve


@pytest.mark.parametrize(
    ("label", "categories"),
    {
        "astro-ph": "astro-ph astro-ph.GA",
        "cond-mat": "cond-mat.soft",
        "cs.AI": "cs.AI",
        "cs.CL": "cs.CL",
        "cs.CV": "cs.CV",
        "cs.LG": "cs.LG",
        "eess": "eess.AS eess.SY",
        "math": "math.PR math.NA",
        "q-bio": "q-bio.NC",
        "quant-ph": "quant-ph",
        "stat": "stat.ML stat.ME",
        "theory": "cs.DS cs.CC cs.DM cs.CG cs.FL cs.GT",
        None: "cs.RO hep-th math-ph cs physics.optics",
    }.items(),
)
def test_what_the_labels_of_twelve_gather(label: str | None, categories: str) -> None:
    twelve = load_config(["experiment=twelve"]).data
    assert twelve.labels is not None
    assert len(twelve.labels) == 12
    assert {label_of(twelve, category) for category in categories.split()} == {label}


# --- the splits


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    """The built-in papers under custom labels, by the command a user types."""
    folder = tmp_path_factory.mktemp("made")
    words = ["data", "data.options.papers=1500", "data.min_papers=20", OVERRIDE]
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), *words]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    (splits,) = (folder / "data").iterdir()
    return open_splits(splits)


def test_each_paper_stands_under_the_label_that_gathers_its_primary_category(made: Splits) -> None:
    result = rows(made)
    assert {row["label"] for row in result} == set(OWN)
    assert {row["categories"][0] for row in result} == set(GATHERED), "math.PR is left out"
    for row in result:
        assert row["label"] == GATHERED[row["categories"][0]]


def test_the_card_lists_the_labels_and_those_left_out(made: Splits) -> None:
    card = made.card
    assert card["config"]["labels"] == OWN
    assert card["dropped"]["other label"] > 50
    assert card["read"] == card["kept"] + sum(card["dropped"].values())
    for split in SPLITS:
        assert card["labels"][split] == Counter(made.read(split)["label"].to_pylist())


def prepared(folder: Path, *overrides: str) -> Splits:
    return prepare_splits(load_config(["data.min_papers=20", *overrides, *paths_in(folder)]))


def snapshot_of(path: Path, categories: list[str]) -> str:
    """Write a paper of each category as a snapshot, in a random order; return its override."""
    records = [
        {
            "id": f"1501.{number:05d}",
            "title": f"Title {number}",
            "abstract": f"Text {number}{' and so on' * 10}",
            "categories": category,
            "versions": [{"created": "Mon, 5 Jan 2015 10:00:00 GMT"}],
        }
        for number, category in enumerate(categories)
    ]
    random.Random(path.name).shuffle(records)
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return f'data.path="{path.as_posix()}"'


def test_a_paper_under_no_name_is_another_labels_even_without_a_category(tmp_path: Path) -> None:
    # Before archives were divided their papers had no category, which here is no hindrance.
    names = ["astro-ph", "cs.AI", "cond-mat", "hep-th"]
    source = snapshot_of(tmp_path / "a.json", names * 40)
    labels = "data.labels={sky:[astro-ph],thought:[cs.AI]}"
    splits = prepared(tmp_path, "data=snapshot", source, labels)
    assert splits.card["dropped"] == {"other label": 80}
    counts = Counter((row["label"], row["categories"][0]) for row in rows(splits))
    assert counts == {("sky", "astro-ph"): 40, ("thought", "cs.AI"): 40}


def test_a_listed_label_with_few_papers_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="data.labels: law has 0 papers, fewer than"):
        prepared(tmp_path, "data.labels={law:[econ],words:[cs.CL]}", "data.options.papers=300")


@pytest.mark.parametrize("labels", ["data.labels=null", OVERRIDE])
def test_balance_leaves_out_the_same_papers_in_any_order(tmp_path: Path, labels: str) -> None:
    categories = ["cs.CL"] * 900 + ["cs.RO"] * 300 + ["stat.ML"] * 100 + ["quant-ph"] * 60
    chosen = []
    for name in ("a.json", "b.json"):
        source = snapshot_of(tmp_path / name, categories)
        splits = prepared(tmp_path, "data=snapshot", source, labels, "data.max_papers=200")
        counted = splits.card["labels"]
        assert splits.card["kept"] == sum(map(len, map(splits.read, SPLITS)))
        assert splits.card["dropped"] == {"more than data.max_papers": 1360 - splits.card["kept"]}
        for split, share in SHARES.items():
            sizes = sorted(counted[split].values())
            assert sizes[-1] == sizes[-2] == 200 * share
        chosen.append({(row["id"], row["split"], row["label"]) for row in rows(splits)})
    assert chosen[0] == chosen[1]


def test_balance_moves_no_paper_to_another_split(tmp_path: Path) -> None:
    sample = "data.options.papers=1500"
    whole, fewer = (prepared(tmp_path, sample, *more) for more in ([], ["data.max_papers=60"]))
    assert whole.folder != fewer.folder
    assert whole.card["kept"] > 2 * fewer.card["kept"]
    places = [{(row["id"], row["split"]) for row in rows(splits)} for splits in (whole, fewer)]
    assert places[1] < places[0]


# --- answers

TEXTS = {
    "cs": "A robot arm with a gripper: motion planning and grasping around an obstacle.",
    "learning": "A neural network, gradient descent and a prior over its kernel.",
    "nature": "A galaxy of high redshift: star formation and dust in a massive halo.",
    "words": "Parsing a sentence of a bilingual corpus with a treebank and a lexicon.",
}
# `cs` is one archive, `learning` lies in two groups, `nature` in two archives of physics.
HOMES = {
    "cs": ("cs", "cs"),
    "learning": (None, None),
    "nature": (None, "physics"),
    "words": ("cs", "cs"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    return train.train_model(load_config([*QUICK, "name=own", OVERRIDE, *paths_in(folder)])).folder


def test_an_answer_under_custom_labels(trained: Path) -> None:
    model = artifact.load(trained, threads=1)
    assert model.classes == list(OWN)
    for label, answer in zip(
        TEXTS, answers.answer_papers(model, [("", text) for text in TEXTS.values()]), strict=True
    ):
        assert answer.category == label
        assert (answer.archive, answer.group) == HOMES[label]
        names = {rank.category: rank.name for rank in answer.ranking}
        assert names == {name: name for name in OWN} | {"cs": "Computer Science"}


def test_the_service_answers_so_too(trained: Path) -> None:
    settings = Settings(models=str(trained.parent), model="own")
    with TestClient(create_app(settings)) as client:
        for label, text in TEXTS.items():
            answer = client.post("/predict", json={"text": text}).json()
            result = (answer["category"], answer["archive"], answer["group"])
            assert result == (label, *HOMES[label])
