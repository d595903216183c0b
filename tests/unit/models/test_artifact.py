"""The artifact: complete or absent, and opened only if it matches its card."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import xgboost

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.boosted import features
from shelfmark.models.boosted.pipeline import open_pipeline
from shelfmark.models.card import ClassLabel
from tests.support.tables import KINDS, fit, papers

TEXT = "we train a robot arm to grasp objects seen by a camera"


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    """A copy of the trained artifact that a test may spoil."""
    return Path(shutil.copytree(home / "models" / "quick", tmp_path / "copy"))


def test_a_copy_under_another_name_answers_under_that_name(copy: Path) -> None:
    card = (copy / artifact.CARD).read_bytes()
    link = copy.with_name("alias")
    link.symlink_to("copy")
    for path in (copy, link):
        opened = artifact.load(path)
        assert (opened.version, artifact.check(path).name) == ("copy", "copy")
    assert (copy / artifact.CARD).read_bytes() == card, "its digest is unchanged"


def change_card(folder: Path, **changes: Any) -> None:
    card = orjson.loads((folder / "card.json").read_bytes())
    (folder / "card.json").write_bytes(orjson.dumps(card | changes))


def pose_as(folder: Path, contents: dict[str, bytes]) -> None:
    """Put files in the place of others, with a card that vouches for them."""
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    card = orjson.loads((folder / "card.json").read_bytes())
    sums = {name: files.sha256(folder / name) for name in contents}
    change_card(folder, files=card["files"] | sums)


def pose_as_pipeline(folder: Path, content: bytes) -> None:
    pose_as(folder, {"pipeline.pkl": content})


def test_the_card_describes_the_model(model: artifact.Model) -> None:
    card = model.card
    assert ClassLabel("cs.RO", "Robotics") in card.classes
    assert set(card.versions) == {"python", "scikit-learn", "xgboost", "numpy", "scipy"}
    assert {name for name in card.files if name not in card.arrays} == {
        "pipeline.pkl", "booster.ubj", "scope.pkl", "reference.parquet", "MODEL_CARD.md"
    }  # fmt: skip
    assert "04-svm-weights.npy" in card.arrays
    assert card.data.synthetic is True
    assert len(card.data.card_sha256) == 64
    assert 0.3 < card.metrics["validation"]["accuracy"] < 1
    assert card.config["seed"] == 7
    assert card.seconds["trees"] > 0
    assert card.git_commit is None or len(card.git_commit) == 40


def test_an_empty_card_is_named_by_its_path(copy: Path) -> None:
    (copy / "card.json").write_bytes(b"{}")
    with pytest.raises(ShelfmarkError, match=r"copy/card\.json: the card names no kind of model"):
        artifact.load(copy)


def test_latest_points_at_the_newest(home: Path) -> None:
    assert (home / "models" / "latest").resolve() == (home / "models" / "quick").resolve()


def test_a_saved_model_answers_as_before(model: artifact.Model, home: Path) -> None:
    again = artifact.load(home / "models" / "quick", threads=1)
    for ours, theirs in zip(again.probabilities([TEXT]), model.probabilities([TEXT]), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_the_trees_in_their_stable_form_answer_the_same(model: artifact.Model, home: Path) -> None:
    booster = xgboost.Booster(model_file=home / "models" / "quick" / "booster.ubj")
    known = features.transform(model.classifier.pipeline.steps[:-1], [TEXT])
    given = booster.predict(xgboost.DMatrix(known), output_margin=True)
    np.testing.assert_allclose(
        given, model.classifier.decision.classifier.margins(known), rtol=1e-5
    )


def test_the_pipeline_alone_predicts_what_the_model_does(home: Path) -> None:
    card, opened_files = artifact.open_files(home / "models" / "quick")
    pipeline = open_pipeline(opened_files, len(card.classes), tuple(card.listed))
    opened = artifact.load(home / "models" / "quick", threads=1)
    assert pipeline.predict_proba([TEXT]).tobytes() == opened.probabilities([TEXT])[0].tobytes()


def test_the_targets_come_back_from_the_card(model: artifact.Model) -> None:
    assert list(model.targets.classes) == model.classes
    assert list(model.targets.listed) == model.card.listed
    assert model.targets.data.model_dump(mode="json") == model.card.config["data"]


def test_the_terms_are_those_of_the_text_then_those_of_the_title(model: artifact.Model) -> None:
    words = model.classifier.pipeline[0].transform(["Robot\nrobot"])
    assert features.term_names(model.classifier.pipeline.steps, words.indices) == ["robot"] * 2


def test_a_malicious_pickle_is_refused_and_nothing_runs(copy: Path, tmp_path: Path) -> None:
    proof = tmp_path / "it ran"

    class Malicious:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(proof),)

    pose_as_pipeline(copy, pickle.dumps(Malicious()))
    with pytest.raises(ShelfmarkError, match=r"pipeline\.pkl was not opened: it is damaged or"):
        artifact.load(copy)
    assert not proof.exists()
    pickle.loads((copy / "pipeline.pkl").read_bytes())
    assert proof.exists(), "the pickle would have run anywhere else"


@pytest.mark.parametrize(
    "name",
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("sklearn.pipeline", "make_pipeline"),
        ("sklearn.pipeline", "Pipeline.fit"),
        ("sklearn.feature_extraction.text", "np.load"),
    ],
)
def test_only_exact_names_are_found(copy: Path, name: tuple[str, str]) -> None:
    module, attribute = name
    content = b"\x80\x04" + b"".join(
        b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, attribute)
    )
    pose_as_pipeline(copy, content + b"\x93.")
    with pytest.raises(ShelfmarkError, match=r"was not opened: .*it uses .*, which no model of"):
        artifact.load(copy)


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x04]."])
def test_what_is_no_pipeline_gives_one_line(copy: Path, content: bytes) -> None:
    pose_as_pipeline(copy, content)
    with pytest.raises(ShelfmarkError) as raised:
        artifact.load(copy)
    assert "pipeline.pkl" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["pipeline.pkl", "booster.ubj"])
def test_a_changed_byte_is_noticed_before_anything_is_opened(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ShelfmarkError, match=f"{name} is missing or not the file its card names"):
        artifact.load(copy)


def test_a_missing_file_is_noticed(copy: Path) -> None:
    (copy / "booster.ubj").unlink()
    with pytest.raises(ShelfmarkError, match="booster.ubj is missing"):
        artifact.load(copy)


def test_other_versions_are_refused_with_what_to_do(copy: Path) -> None:
    card = artifact.read_card(copy)
    change_card(copy, versions=card.versions | {"scikit-learn": "0.1"})
    with pytest.raises(ShelfmarkError, match=r"made with scikit-learn 0\.1, here is .*train again"):
        artifact.load(copy)


def test_a_folder_without_a_model_names_the_command_to_run(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="no model in .*: train one with shelfmark train"):
        artifact.load(tmp_path / "latest")


@pytest.mark.parametrize("card", [b"{broken", b"[]"])
def test_a_damaged_card_gives_one_line(copy: Path, card: bytes) -> None:
    (copy / "card.json").write_bytes(card)
    with pytest.raises(ShelfmarkError, match=r"card\.json: .*train again"):
        artifact.load(copy)


def test_a_name_is_never_written_over(model: artifact.Model, home: Path) -> None:
    before = files.sha256(home / "models" / "quick" / "card.json")
    with pytest.raises(ShelfmarkError, match="exists already"):
        artifact.save(model, home / "models")
    assert files.sha256(home / "models" / "quick" / "card.json") == before


def test_a_link_that_is_swapped_while_a_model_is_opened_never_mixes_two(
    home: Path, tmp_path: Path
) -> None:
    one = home / "models" / "quick"
    shutil.copytree(one, tmp_path / "one")
    shutil.copytree(one, tmp_path / "two")
    change_card(tmp_path / "two", key="another")
    other = files.sha256(tmp_path / "two" / "card.json")
    link = tmp_path / "now"
    link.symlink_to("one")
    read_card = artifact.read_card

    def swap_then_read(folder: Path) -> Any:
        files.point_link(tmp_path / "two", "now")
        return read_card(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifact, "read_card", swap_then_read)
        card, opened = artifact.open_files(link)
    assert opened.folder == (tmp_path / "one").resolve()
    assert card.digest == files.sha256(one / "card.json")
    assert artifact.read_card(link).digest == other


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no file that is mapped")
def test_a_file_replaced_while_a_model_is_opened_is_not_read(home: Path, copy: Path) -> None:
    _, opened = artifact.open_files(copy)
    before = bytes(opened.content("booster.ubj"))
    (copy / "aside").write_bytes(b"other")
    (copy / "aside").replace(copy / "booster.ubj")
    assert bytes(opened.content("booster.ubj")) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["card.json", "pipeline.pkl", "booster.ubj"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(copy: Path, name: str) -> None:
    (copy / name).unlink()
    os.mkfifo(copy / name)
    line = "cannot be read: not a regular file|is missing or not the file"
    with pytest.raises(ShelfmarkError, match=f"{name} ({line})"):
        artifact.load(copy)


def test_the_alias_latest_names_the_digest_of_the_card(copy: Path) -> None:
    artifact.point_latest_at(copy)
    latest = copy.parent / "latest"
    assert artifact.load(latest, threads=1).digest == files.sha256(copy / "card.json")
    change_card(copy, key="another")
    with pytest.raises(ShelfmarkError, match=r"copy is another model now: its card has the digest"):
        artifact.load(latest)
    assert artifact.load(copy, threads=1).card.key == "another", "by its own name it is as it is"
    artifact.point_latest_at(copy)
    assert artifact.load(latest, threads=1).card.key == "another"


def test_arrays_are_mapped_and_cannot_be_written_to(copy: Path) -> None:
    opened = artifact.load(copy, threads=1)
    scorer = dict(opened.classifier.pipeline[1].transformer_list)["scores"].fitted_[0]
    with pytest.raises(ValueError, match="read-only"):
        scorer.weights_[0, 0] = 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its mappings")
def test_processes_share_the_pages_of_a_model(copy: Path) -> None:
    opened = artifact.load(copy, threads=1)
    opened.probabilities([TEXT])
    own = [
        line.split()[1]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if f"{copy}/" in line and line.endswith(".npy")
    ]
    assert len(own) >= len(opened.card.arrays) - 2, "the terms of two fields are Python objects"
    assert set(own) == {"r--s"}, "readable, and shared with whoever maps the same file"


def array_with(copy: Path, end: str, **changes: Any) -> None:
    """Rewrite an array of a model and what its card says of it."""
    card = orjson.loads((copy / "card.json").read_bytes())
    [name] = [name for name in card["arrays"] if name.endswith(end)]
    spec = card["arrays"][name] | changes
    array = np.load(copy / name)
    values = np.resize(array, spec["shape"]).astype(spec["dtype"])
    np.save(copy / name, values)
    sums = card["files"] | {name: files.sha256(copy / name)}
    change_card(copy, files=sums, arrays=card["arrays"] | {name: spec})


@pytest.mark.parametrize(
    ("end", "changes", "problem"),
    [
        ("svm-weights.npy", {"shape": [7, 3]}, "Svm: should be intercept_ of shape"),
        ("svm-weights.npy", {"dtype": "<f8"}, "weights_ should be a float32 array of 2 dim"),
        ("svm-weights.npy", {"shape": [7]}, "weights_ should be a float32 array of 2 dim"),
        ("chosenterms-columns.npy", {"shape": [3]}, "ChosenTerms: should be largest_ of shape"),
        ("scores-means.npy", {"shape": [3]}, "CrossFittedScores: should be means_ of shape"),
        ("habits.npy", {"shape": [1, 1]}, "CrossLists: should be habits_ of shape"),
        ("01-fasttfidfvectorizer-idf.npy", {"shape": [3]}, "terms should be distinct, each with"),
    ],
)
def test_an_array_of_another_shape_or_type_is_refused(
    copy: Path, end: str, changes: dict[str, Any], problem: str
) -> None:
    array_with(copy, end, **changes)
    with pytest.raises(ShelfmarkError, match=problem):
        artifact.load(copy)


def test_an_array_that_is_not_as_the_card_says_is_refused_unread(copy: Path) -> None:
    card = orjson.loads((copy / "card.json").read_bytes())
    spec = card["arrays"]["04-svm-weights.npy"]
    wider = {"dtype": "<f4", "shape": [spec["shape"][0], spec["shape"][1] + 1]}
    change_card(copy, arrays=card["arrays"] | {"04-svm-weights.npy": wider})
    with pytest.raises(ShelfmarkError, match="04-svm-weights.npy: it is no array of type <f4"):
        artifact.load(copy)


def test_two_trainings_write_the_same_bytes(tmp_path: Path) -> None:
    some = papers(240)
    contents = []
    for name in ("one", "two"):
        made = fit(some.slice(0, 180), some.slice(180), *KINDS["stacked"])
        folder = artifact.save(made, tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]


def test_a_save_that_fails_half_way_leaves_nothing(model: artifact.Model, tmp_path: Path) -> None:
    unwritable = artifact.Model(
        model.classifier, replace(model.card, details={"unwritable": object()})
    )
    with pytest.raises(TypeError):
        artifact.save(unwritable, tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- every kind of model


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_saved_and_opened_again(kind: str, tmp_path: Path) -> None:
    some = papers(240)
    made = fit(some.slice(0, 180), some.slice(180), *KINDS[kind])
    opened = artifact.load(artifact.save(made, tmp_path), threads=1)
    for ours, theirs in zip(opened.probabilities([TEXT, ""]), made.probabilities([TEXT, ""]),
                            strict=True):  # fmt: skip
        assert ours.tobytes() == theirs.tobytes()
    grown = "booster.ubj" in opened.card.files
    assert grown == (opened.classifier.decision.classifier.rounds > 0) == (kind != "linear")


def test_a_name_in_a_hostile_file_stands_in_one_printable_line(copy: Path) -> None:
    name = b"00\x1b[31m\r\n.npy"
    content = (copy / "pipeline.pkl").read_bytes()
    known = b"00-fasttfidfvectorizer-terms.npy"
    changed = content.replace(bytes([len(known)]) + known, bytes([len(name)]) + name)
    assert changed != content
    pose_as_pipeline(copy, changed)
    with pytest.raises(
        ShelfmarkError, match=r"its card names no array 00\\x1b\[31m \.npy"
    ) as raised:
        artifact.load(copy)
    assert str(raised.value).isprintable()
