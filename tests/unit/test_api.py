"""The public interface: `import shelfmark` and its names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import orjson
import pandas as pd
import pytest

import shelfmark
from shelfmark.models import artifact, predict
from tests.conftest import QUICK, paths_in

TITLE = "Grasping unseen objects"
ABSTRACT = "We train a robot arm to grasp objects that it has not seen before."
OTHER = "We measure the rotation curves of two hundred galaxies."


@pytest.fixture(scope="module")
def classifier(home: Path) -> shelfmark.PaperClassifier:
    return shelfmark.load(home / "models" / "quick", threads=1)


def test_the_public_names_are_these() -> None:
    assert shelfmark.__all__ == [
        "Answer", "Config", "Encoder", "FastTfidfVectorizer", "Index", "PaperClassifier",
        "ShelfmarkError", "__version__", "load", "load_config", "train",
    ]  # fmt: skip
    assert all(hasattr(shelfmark, name) for name in shelfmark.__all__)
    assert set(shelfmark.__all__) <= set(dir(shelfmark))
    with pytest.raises(AttributeError, match="has no attribute 'predict'"):
        shelfmark.predict  # type: ignore[attr-defined]  # noqa: B018


def test_the_import_loads_nothing_and_a_name_loads_what_it_needs() -> None:
    code = """
import sys
before = {*sys.modules}
import shelfmark
loaded = {name.partition(".")[0] for name in {*sys.modules} - before}
assert loaded - sys.stdlib_module_names == {"shelfmark"}, loaded
assert "shelfmark.api" not in sys.modules
assert issubclass(shelfmark.ShelfmarkError, Exception)
assert callable(shelfmark.load)
assert not {"numpy", "sklearn", "pandas", "hydra"} & set(sys.modules)
assert shelfmark.FastTfidfVectorizer().fit(["a word here"]) is not None
assert not {"xgboost", "hydra", "fastapi"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_types_are_shipped() -> None:
    assert Path(shelfmark.__file__).with_name("py.typed").exists()


def test_a_model_is_opened_by_folder_name_alias_or_address(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(home / "models" / "quick"), "/bucket/models/quick", recursive=True)
    memory.pipe_file("/bucket/models/production", b"quick")
    monkeypatch.chdir(home)
    opened = [
        shelfmark.load(),
        shelfmark.load("quick"),
        shelfmark.load("models/latest"),
        shelfmark.load(Path("models") / "quick"),
        shelfmark.load("quick", models=home / "models"),
        shelfmark.load(str(home / "models" / "quick")),
        shelfmark.load("memory://bucket/models/quick"),
        shelfmark.load("memory://bucket/models/production/"),
        shelfmark.load("production", models="memory://bucket/models"),
    ]
    monkeypatch.chdir(home / "models" / "quick")
    opened.append(shelfmark.load("."))
    monkeypatch.chdir(home / "models")
    opened.append(shelfmark.load("quick"))
    assert {one.name for one in opened} == {"quick"}
    answers = [one.predict(ABSTRACT) for one in opened]
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("missing", r"no model in models.missing"),
        ("models/missing", r"no model in models.missing"),
        (Path("missing"), r"no model in models.missing"),
        ("memory://bucket/models/missing", r"memory://bucket/models/missing: does not exist"),
        ("nothing://bucket/models/quick", r"nothing://bucket/models"),
    ],
)
def test_a_model_that_is_not_there_is_one_line(
    name: str | Path, line: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(shelfmark.ShelfmarkError, match=line):
        shelfmark.load(name)


def test_answers_are_those_of_the_command_line(
    classifier: shelfmark.PaperClassifier, home: Path, tmp_path: Path
) -> None:
    papers = [{"title": TITLE, "abstract": ABSTRACT}, {"text": OTHER}]
    (tmp_path / "papers.jsonl").write_bytes(b"".join(orjson.dumps(x) + b"\n" for x in papers))
    out = tmp_path / "out.jsonl"
    folder = home / "models" / "quick"
    predict.predict_file(folder, str(tmp_path / "papers.jsonl"), str(out), 3, True)
    lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    answers = classifier.predict([(TITLE, ABSTRACT), OTHER], top_k=3, explain=True)
    for answer, line in zip(answers, lines, strict=True):
        of_file = {"line": line["line"], "id": None}  # which a file has and an answer has not
        assert plain(answer) | of_file == line | {"model": classifier.name}


def plain(answer: Any) -> dict[str, Any]:
    """Return an answer as a line of JSON holds it."""
    result: dict[str, Any] = orjson.loads(orjson.dumps(answer.to_json()))
    return result


def test_one_paper_gives_one_answer_and_many_give_a_list(
    classifier: shelfmark.PaperClassifier,
) -> None:
    pair = classifier.predict((TITLE, ABSTRACT))
    frame = pd.DataFrame({"id": [1, 2], "abstract": [ABSTRACT, OTHER], "title": [TITLE, None]})
    assert classifier.predict([(TITLE, ABSTRACT), ("", OTHER)]) == classifier.predict(frame)
    assert classifier.predict(frame)[0] == pair
    text = classifier.predict(OTHER)
    assert classifier.predict([OTHER]) == [text]
    assert classifier.predict(iter([OTHER])) == [text]
    assert classifier.predict(pd.Series([OTHER, OTHER])) == [text, text]
    assert classifier.predict(np.array([OTHER])) == [text]


def test_many_papers_are_answered_in_order(
    classifier: shelfmark.PaperClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    papers = [f"{ABSTRACT if n % 2 else OTHER} {'word ' * n}" for n in range(7)]
    whole, chances = classifier.predict(papers), classifier.predict_proba(papers)
    monkeypatch.setattr("shelfmark.api.papers.BATCH", 3)
    assert classifier.predict(papers) == whole
    assert np.array_equal(classifier.predict_proba(papers), chances)


def test_probabilities_are_a_row_for_each_paper(
    classifier: shelfmark.PaperClassifier, model: artifact.Model
) -> None:
    probabilities = classifier.predict_proba([(TITLE, ABSTRACT), OTHER])
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (2, len(classifier.classes))
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    texts = [model.text(TITLE, ABSTRACT), model.text("", OTHER)]
    assert np.array_equal(probabilities, model.probabilities(texts)[0])
    assert classifier.predict_proba(OTHER).shape == (1, len(classifier.classes))
    best = classifier.classes[int(probabilities[0].argmax())]
    assert classifier.predict((TITLE, ABSTRACT)).category == best


def test_an_explanation_adds_up_to_the_margin(classifier: shelfmark.PaperClassifier) -> None:
    explanation = classifier.explain((TITLE, ABSTRACT))
    assert explanation.category == classifier.predict((TITLE, ABSTRACT)).category
    assert explanation.base + sum(explanation.weights.values()) == pytest.approx(explanation.margin)
    other = next(label for label in classifier.classes if label != explanation.category)
    assert classifier.explain((TITLE, ABSTRACT), other).category == other


NOT_PAPERS: list[tuple[Any, str]] = [
    (None, "NoneType: give a text, a tuple"),
    (float("nan"), "float: give a text"),
    (3, "int: give a text"),
    (b"text", "bytes: give a text"),
    ({"title": "a"}, "dict: give a text"),
    ([], "no papers: give at least one"),
    ("", "the paper has no text"),
    ((" ", "\n"), "the paper has no text"),
    (("\u00ad", "\u200b\ufeff"), "the paper has no text"),
    ((TITLE,), "the paper is .*: give a text, or a tuple"),
    ((TITLE, None), "the paper is .*: give a text, or a tuple"),
    ([OTHER, None], "paper 1 is None: give a text"),
    ([OTHER, float("nan")], "paper 1 is nan: give a text"),
    ([OTHER, " "], "paper 1 has no text"),
    ([[TITLE, ABSTRACT]], "paper 0 is .*: give a text, or a tuple"),
    (np.array(TITLE), "ndarray: give a text"),
    (pd.DataFrame({"title": [TITLE]}), "should have one column abstract"),
    (pd.DataFrame({"abstract": [TITLE]}), "should have one column title"),
    (
        pd.DataFrame([[TITLE, TITLE, ABSTRACT]], columns=["title", "title", "abstract"]),
        "should have one column title",
    ),
    (pd.DataFrame({"title": [], "abstract": []}), "no papers"),
    (
        pd.DataFrame({"title": [TITLE, pd.NA], "abstract": [float("nan"), None]}, index=["a", "b"]),
        "row b has no text",
    ),
    (pd.DataFrame({"title": [TITLE], "abstract": [3]}), "row 0 is .*: give a text, or a tuple"),
]


@pytest.mark.parametrize(("papers", "line"), NOT_PAPERS)
def test_what_is_no_paper_is_one_line(
    classifier: shelfmark.PaperClassifier, papers: Any, line: str
) -> None:
    for method in (classifier.predict, classifier.predict_proba):
        with pytest.raises(shelfmark.ShelfmarkError, match=line) as error:
            method(papers)
        assert "\n" not in str(error.value)


def test_other_mistakes_are_one_line_too(classifier: shelfmark.PaperClassifier) -> None:
    wrong: Any
    for wrong in (0, 1.5, "3", None):
        with pytest.raises(shelfmark.ShelfmarkError, match=f"top_k: {wrong!r}: should be a whole"):
            classifier.predict(OTHER, top_k=wrong)
    with pytest.raises(shelfmark.ShelfmarkError, match="category: 3: should be one of the classes"):
        classifier.explain(OTHER, 3)  # type: ignore[arg-type]
    for wrong in (None, 3, b"latest"):
        with pytest.raises(shelfmark.ShelfmarkError, match=f"load: {wrong!r}: should be a name"):
            shelfmark.load(wrong)
    for wrong in (None, 3, [3]):
        with pytest.raises(shelfmark.ShelfmarkError, match="should be texts such as"):
            shelfmark.load_config(wrong)
    label = classifier.classes[0]
    with pytest.raises(shelfmark.ShelfmarkError, match=f"{label}x: no such class; did you mean"):
        classifier.explain(OTHER, f"{label}x")
    with pytest.raises(shelfmark.ShelfmarkError, match="explain takes one paper"):
        classifier.explain([OTHER])  # type: ignore[arg-type]
    with pytest.raises(shelfmark.ShelfmarkError, match="experiment=fsat: no such experiment"):
        shelfmark.train("experiment=fsat")


def test_training_returns_the_folder_that_load_opens(home: Path, tmp_path: Path) -> None:
    words = [*QUICK, *paths_in(tmp_path), f'paths.data="{(home / "data").as_posix()}"']
    folder = shelfmark.train([*words, "model.rounds=2", "name=first"])
    assert folder == tmp_path / "models" / "first"
    assert shelfmark.load(folder).card.config["model"]["rounds"] == 2
    settings = shelfmark.load_config([*words, "model.rounds=2", "name=second"])
    assert isinstance(settings, shelfmark.Config)
    second = shelfmark.load(shelfmark.train(settings))
    assert second.name == "second"
    assert second.predict(OTHER).ranking == shelfmark.load(folder).predict(OTHER).ranking
