"""The evaluation of encoders: its record, its table, its page, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.preprocessing import normalize

from shelfmark.artifacts.card import TrainingData
from shelfmark.config.load import load_config
from shelfmark.core.arrays import Floats
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import Splits
from shelfmark.embeddings import artifact
from shelfmark.embeddings.locate import LocatedEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation.encoders import run, subjects
from shelfmark.evaluation.encoders.records import EncoderReport, describe_key
from shelfmark.evaluation.encoders.samples import Sample
from shelfmark.evaluation.encoders.subjects import PartVectors, Subject
from tests.conftest import paths_in
from tests.support import hashed_encoder

NAMES = ["hashed", "hashed:16", "other", "TF-IDF", "LSA"]


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    papers = ["data.options.papers=600", "data.min_papers=5"]
    return prepare_splits(load_config([*papers, *paths_in(tmp_path_factory.mktemp("home"))]))


@pytest.fixture(scope="module", autouse=True)
def _hashed_family() -> Iterator[None]:
    monkeypatch = pytest.MonkeyPatch()
    hashed_encoder.register(monkeypatch)
    # As few as a busy machine encodes at once.
    monkeypatch.setattr(subjects, "MOST_TIMED", 20)
    yield
    monkeypatch.undo()


@pytest.fixture(scope="module")
def encoders(splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "encoders"
    texts = splits.read("train", ["text"])["text"].to_pylist()
    for name, sizes in (("other", []), ("hashed", [16, 64])):
        data = data_of(splits, splits.digest)
        hashed_encoder.save_encoder(folder, texts, name, sizes, data=data)
    return folder


def data_of(splits: Splits, digest: str) -> TrainingData:
    card = splits.card
    return TrainingData(
        str(splits.folder), digest, card["source"], card["synthetic"], card["splits"]
    )


def located(encoders: Path, *names: str) -> list[LocatedEncoder]:
    return [LocatedEncoder(encoders / name, "") for name in names]


@pytest.fixture(scope="module")
def report(encoders: Path) -> EncoderReport:
    pair = located(encoders, "latest", "other")
    return run.evaluate_encoders(pair, encoders.parent / "reports", "validation")


@pytest.fixture(scope="module")
def folder(encoders: Path, report: EncoderReport) -> Path:
    return encoders.parent / "reports" / "encoders" / "hashed-validation"


def test_the_record_is_the_report(folder: Path, report: EncoderReport) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "metrics.json", "quality.png",
    ]  # fmt: skip
    assert EncoderReport.from_json((folder / "metrics.json").read_bytes()) == report
    with Image.open(folder / "quality.png") as picture:
        assert picture.info["Source"] == "hashed-validation"
        assert picture.info["Creation Time"] == report.created


def test_a_record_names_its_papers_and_its_encoders(
    encoders: Path, splits: Splits, report: EncoderReport
) -> None:
    assert report.data_card_sha256 == splits.digest
    assert report.synthetic
    assert report.papers == splits.card["splits"]["validation"]
    assert report.encoders["hashed"]["digest"] == artifact.read_card(encoders / "hashed").digest
    assert report.encoders["TF-IDF"]["papers"] == splits.card["splits"]["train"]
    assert report.machine["cores"]


def test_encoders_their_shorter_vectors_and_baselines_have_every_figure(
    report: EncoderReport,
) -> None:
    assert [*report.figures] == NAMES
    for name in NAMES:
        figures = report.figures[name]
        assert [*figures] == [*report.titles()]
        for key in report.tasks:
            assert 0 <= figures[key].value <= 1
            assert figures[key].error is not None
        assert figures["abstracts_a_second"].value > 0
    assert report.figures["hashed"]["train_seconds"].value == 1.5
    assert report.figures["hashed"]["bytes_float32"].value == 64 * 4
    assert report.figures["hashed:16"]["bytes_int8"].value == 16


@pytest.mark.parametrize("size", [16, 64])
def test_a_figure_is_that_of_the_vectors_of_the_encoder(
    encoders: Path, splits: Splits, report: EncoderReport, size: int
) -> None:
    table = splits.read("validation")
    opened = artifact.load(encoders / "hashed")
    titles, abstracts = (
        normalize(opened.encode(table[name].to_pylist())[:, :size])
        for name in ("title", "abstract")
    )
    own = (titles * abstracts).sum(axis=1)
    ranks = (titles @ abstracts.T >= own[:, None] - 1e-6).sum(axis=1)
    name = "hashed" if size == 64 else "hashed:16"
    key = f"title_{table.num_rows}_mrr"
    assert report.figures[name][key].value == pytest.approx((1 / ranks).mean(), abs=1e-6)
    assert report.tasks[key].pool == report.tasks[key].queries == table.num_rows


def test_the_table_and_the_page_show_the_figures(folder: Path, report: EncoderReport) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert report.table().markdown() in page
    rows = {row[0]: row[1:] for row in report.table().rows}
    size = report.tasks["same_shelf_p10"]
    shelf = rows[f"same shelf, P@10 ({size.queries:,} in {size.pool:,})"]
    figure = report.figures["hashed"]["same_shelf_p10"]
    assert shelf[0] == f"{figure.value:.3f} ± {figure.error:.3f}"
    assert "synthetic" in page
    assert run.NO_AUTHORS in page
    assert "no shared author" in report.table().note


def test_a_second_evaluation_has_the_same_figures(encoders: Path, report: EncoderReport) -> None:
    again = run.evaluate_encoders(
        located(encoders, "hashed"), encoders.parent / "again", "validation", baselines=False
    )
    assert [*again.figures] == ["hashed", "hashed:16"]
    for key in report.tasks:
        assert again.figures["hashed"][key] == report.figures["hashed"][key]


def test_the_standard_error_is_that_of_the_mean() -> None:
    figure = run.summarize(np.array([0.0, 1.0, 1.0, 0.0]))
    assert figure.value == 0.5
    assert figure.error == pytest.approx(np.sqrt((4 * 0.25 / 3) / 4))
    assert run.summarize(np.array([1.0])).error is None


def test_encoders_of_other_splits_are_refused(
    encoders: Path, splits: Splits, tmp_path: Path
) -> None:
    other = data_of(splits, "0" * 64)
    hashed_encoder.save_encoder(tmp_path, ["a text"], "elsewhere", data=other)
    pair = [*located(encoders, "hashed"), *located(tmp_path, "elsewhere")]
    with pytest.raises(ShelfmarkError, match=r"^elsewhere was trained on .*one table needs"):
        run.evaluate_encoders(pair, tmp_path / "reports")
    with pytest.raises(ShelfmarkError, match="is not the data elsewhere was trained on"):
        run.evaluate_encoders(located(tmp_path, "elsewhere"), tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_an_encoder_that_is_named_twice_is_refused(encoders: Path, tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="hashed stands twice"):
        run.evaluate_encoders(located(encoders, "hashed", "latest"), tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.7])
def test_vectors_that_are_not_of_unit_length_are_refused(splits: Splits, value: float) -> None:
    def encode(texts: Sequence[str]) -> Floats:
        return np.full((len(texts), 1), value, dtype=np.float32)

    subject = Subject("broken", encode, encode, 1, None)
    sample = Sample(splits.read("validation"), "keep")
    with pytest.raises(ShelfmarkError, match="broken: a vector is neither"):
        subjects.encode_parts(subject, sample, {"title": np.arange(3)})


def test_vectors_are_cut_and_have_unit_length_again() -> None:
    vectors = np.array([[0.6, 0.0, 0.8], [0.0, 0.0, 1.0]], dtype=np.float32)
    cut = PartVectors("x", {"paper": (np.arange(2), vectors)}).cut(2)
    assert cut.name == "x:2"
    assert cut.parts["paper"][1].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert vectors[0, 0] == np.float32(0.6)


def test_a_slow_encoder_is_timed_on_fewer_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    clock = [0.0]

    def encode(texts: Sequence[str]) -> Floats:
        asked.append(len(texts))
        clock[0] += len(texts) / 50  # fifty a second
        return np.ones((len(texts), 1), dtype=np.float32)

    monkeypatch.setattr(subjects.time, "perf_counter", lambda: clock[0])
    subject = Subject("slow", encode, encode, 1, None)
    assert subjects.measure_speed(subject, ["text"] * 4000) == pytest.approx(50)
    assert asked == [16, 16, *[20] * 5]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("same_shelf_p10", "same shelf, P@10"),
        ("title_50000_r1", "title finds abstract, R@1"),
        ("half_4000_mrr", "half finds half, MRR"),
        ("shared_author_ndcg10", "shared author, nDCG@10"),
        ("bytes_int8", "bytes a paper, int8"),
    ],
)
def test_the_names_of_figures(key: str, name: str) -> None:
    assert describe_key(key) == name
