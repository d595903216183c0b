"""The model card: made of the model's own figures, kept with it, shown by the service."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from shelfmark.arxiv.text import CLEANING
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import evaluate, model_card
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.evaluation.records import FIGURES, ConfusedPair, Scores
from shelfmark.models import artifact
from shelfmark.models.artifact import Model
from shelfmark.models.card import ModelCard


@pytest.fixture(scope="module")
def figures(model: Model) -> Scores:
    validation = open_splits(Path(model.card.data.folder)).read("validation")
    return evaluate.score_answers(predict_papers(model, validation), model)


def test_training_writes_it_and_the_digests_cover_it(home: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(home / "models" / "quick", tmp_path / "copy"))
    assert artifact.load(copy).about.startswith("# quick\n")
    with (copy / "MODEL_CARD.md").open("a", encoding="utf-8") as file:
        file.write("It is never wrong.\n")
    with pytest.raises(ShelfmarkError, match=r"MODEL_CARD\.md is missing or not the file"):
        artifact.load(copy)


def test_it_has_what_a_person_should_know(model: Model, figures: Scores) -> None:
    about = model.about
    headings = re.findall(r"^## (.+)$", about, re.MULTILINE)
    assert headings == [
        "Intended use", "Data", "Figures", "Limits", "How it was made", "How to cite",
    ]  # fmt: skip
    assert "trained on synthetic papers" in about
    for name in ("accuracy", "macro_f1", "log_loss", "calibration_error"):
        assert f"| {FIGURES[name]} | {getattr(figures, name):.4f} |" in about
    for label, row in figures.per_class.items():
        cells = f"{row.precision:.3f} | {row.recall:.3f} | {row.f1:.3f} | {row.papers}"
        assert re.search(rf"^\| {re.escape(label)} \| .+ \| {re.escape(cells)} \| ", about, re.M)
    for part in (model.card.data.card_sha256, model.card.data.submitted["last"]):
        assert part in about
    assert f"commit `{model.card.git_commit}`" in about


def test_the_cleaning_of_texts_is_stated_and_older_cards_lack_it(
    model: Model, figures: Scores
) -> None:
    assert model.card.text_cleaning == list(CLEANING)
    assert "soft hyphens, zero-width and other invisible characters are removed" in model.about
    values = model.card.to_json()
    del values["text_cleaning"]
    older = ModelCard.from_json(values)
    assert older.text_cleaning == []
    assert "soft hyphens" not in model_card.render_model_card(older, figures)
    assert "text_cleaning" not in older.to_json()


def test_an_invisible_character_changes_no_answer(model: Model) -> None:
    plain = "We train a robot arm for manipulation of objects in the scientific field."
    copied = plain.replace("manipulation", "manipu\u00ad\nla\u200btion").replace("fi", "\ufb01")
    assert model.text("", copied) == model.text("", plain)


def test_an_added_category_has_its_name(model: Model, figures: Scores) -> None:
    config = {
        **model.card.config,
        "data": {**model.card.config["data"], "categories": {"cs.NW": "N"}},
    }
    card = replace(model.card, config=config)
    assert [card.name_of(x) for x in ("cs.NW", "cs.LG")] == ["N", "Machine Learning"]


def test_a_class_that_is_never_sure_and_one_mistaken_for_another_are_named(
    model: Model, figures: Scores
) -> None:
    classes = list(figures.per_class)
    limits = dict(model.card.limits.confident_from) | {classes[0]: None}
    pairs = [ConfusedPair(one=classes[0], other=classes[1], one_for_other=2, other_for_one=1,
                          share=0.153)]  # fmt: skip
    per_class = figures.per_class | {
        classes[2]: figures.per_class[classes[2]].model_copy(update={"f1": 0.01})
    }
    thresholds = replace(model.card.limits, confident_from=limits)
    card = replace(model.card, thresholds=thresholds)
    about = model_card.render_model_card(
        card, figures.model_copy(update={"confused": pairs, "per_class": per_class})
    )
    assert re.search(rf"^\| {re.escape(classes[0])} .+ \| never \|$", about, re.M)
    pair = f"{classes[0]} and {classes[1]} (15% of their papers)"
    assert f"Most often confused: {pair}.\n" in about
    assert f"Weakest by F1: {classes[2]} (0.01)," in about


def test_several_files_are_named_with_their_counts(model: Model, figures: Scores) -> None:
    sources = [{"file": f"part|{number}.zip", "read": 1200, "kept": 1100} for number in range(25)]
    data = replace(model.card.data, sources=sources)
    about = model_card.render_model_card(replace(model.card, data=data), figures)
    (row,) = re.findall(r"^\| files \| (.+) \|$", about, re.MULTILINE)
    assert row.startswith("`part 0.zip` (1,100 of 1,200 records), `part 1.zip` (1,100 of")
    assert row.endswith("`part 19.zip` (1,100 of 1,200 records) and 5 more")
    assert "| files |" not in model_card.render_model_card(model.card, figures)
    assert "sources" not in model.card.to_json()["data"]
