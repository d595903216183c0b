"""A user's own exported encoder: opened as it is, or refused in one line before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from shelfmark.config.encoders import EncoderSettings, MinilmConfig
from shelfmark.config.load import load_encoder_config
from shelfmark.embeddings import artifact
from shelfmark.embeddings.card import EncoderCard
from shelfmark.errors import ShelfmarkError
from tests.support import bert
from tests.system.embeddings.conftest import Export

IDS = {word: place for place, word in enumerate(bert.WORDS)}
TEXTS = ["A robot arm grasps", "dark matter", "the halo of a dark matter robot", "A robot"]


def settings_of(folder: Path, precision: str = "fp32", max_tokens: int = 16) -> EncoderSettings:
    return load_encoder_config(
        ["experiment=fast", "encoder=minilm", f"encoder.path='{folder}'",
         f"encoder.precision={precision}", f"encoder.max_tokens={max_tokens}"]
    )  # fmt: skip


def build(folder: Path, **values: Any) -> Any:
    from shelfmark.embeddings.onnx.family import build_encoder

    config = settings_of(folder, **values).encoder
    assert isinstance(config, MinilmConfig)
    return build_encoder(config)


def reference(text: str) -> Any:
    ids = [IDS[word] for word in ["[CLS]", *text.lower().split(), "[SEP]"]]
    return bert.sentence_vector(bert.small_weights(), ids, bert.HEADS)


@pytest.mark.parametrize("pooled", [True, False])
def test_vectors_are_those_of_the_sums_in_numpy(export: Export, pooled: bool) -> None:
    fitted = build(export(pooled=pooled))
    assert fitted.details == {"weights": "exported", "pooling": "none" if pooled else "mean"}
    vectors = fitted.encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert np.abs(vectors - [reference(text) for text in TEXTS]).max() < 1e-5


@pytest.mark.parametrize("config", [{"pooling_mode": "cls"}, {"pooling_mode_cls_token": True}])
def test_the_first_token_stands_for_a_text_where_its_folder_says_so(
    export: Export, config: dict[str, Any]
) -> None:
    folder = export(pooled=False)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_bytes(orjson.dumps(config))
    rows = bert.token_rows(bert.small_weights(), [IDS["[CLS]"], IDS["dark"], IDS["[SEP]"]], 2)
    vector = build(folder).encoder.encode(["dark"])[0]
    assert np.abs(vector - rows[0] / np.linalg.norm(rows[0])).max() < 1e-5


def test_the_model_may_lie_where_sentence_transformers_puts_it(export: Export) -> None:
    folder = export()
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    assert build(folder).encoder.size == bert.SIZE


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_vector_depends_on_its_text_alone(export: Export, precision: str) -> None:
    from shelfmark.embeddings.onnx.encoder import OnnxEncoder

    encoder = build(export(), precision=precision).encoder
    vectors = encoder.encode(TEXTS)
    assert (encoder.encode(TEXTS[::-1])[::-1] == vectors).all()
    assert (encoder.encode(TEXTS[2:3])[0] == vectors[2]).all()
    content = (encoder._model, encoder._json, 16)
    several = OnnxEncoder(*content, threads=3).encode(TEXTS * 20)
    assert (several == np.tile(vectors, (20, 1))).all()


def test_int8_is_near_fp32_and_smaller(export: Export) -> None:
    folder = export()
    one, other = (build(folder, precision=name).encoder for name in ("fp32", "int8"))
    assert (one.encode(TEXTS) * other.encode(TEXTS)).sum(axis=1).min() > 0.99
    assert len(other._model) < len(one._model)
    assert build(folder, precision="int8").encoder._model == other._model  # always the same bytes


def test_a_text_without_known_tokens_is_a_zero_row(export: Export) -> None:
    vectors = build(export()).encoder.encode(
        ["", " \n", "\ud800", "🙂", "nowhere", "robot nowhere"]
    )
    assert not vectors[:5].any()
    assert np.linalg.norm(vectors[5]) == pytest.approx(1)


def test_only_the_start_of_a_long_text_is_read(export: Export) -> None:
    """The tokenizer has work with no more of it than the tokens that count can need."""
    from shelfmark.embeddings.onnx import text_graph

    fitted = build(export()).encoder
    assert fitted._graph._most_characters == 16 * text_graph.CHARACTERS_A_TOKEN
    start = " ".join(["dark", "matter"] * 7)  # 14 tokens and the two at the ends
    long = fitted.encode([start, start + " robot" * 16_000, start + "\ud800" * 100_000])
    assert (long == long[0]).all()


def test_an_artifact_is_opened_as_it_was_saved(export: Export, tmp_path: Path) -> None:
    folder = save(export(), tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.json", "model.onnx", "tokenizer.json",
    ]  # fmt: skip
    opened = artifact.load(folder.parent / "latest", threads=1)
    assert (opened.size, opened.card.kind) == (bert.SIZE, "minilm")
    assert opened.card.versions.keys() == {"python", "onnxruntime", "tokenizers"}
    again = build(tmp_path / "exported").encoder.encode(TEXTS)
    assert (opened.encode(TEXTS) == again).all()


def test_a_training_saves_the_encoder_and_measures_it(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shelfmark.training.train_encoder import train_encoder

    exported = export()
    monkeypatch.chdir(tmp_path)
    trained = train_encoder(settings_of(exported))
    assert trained.metrics is not None
    assert set(trained.metrics) >= {"known_item_mrr", "half_mrr", "same_shelf_p10"}
    opened = artifact.load(tmp_path / "encoders" / "latest", threads=1)
    assert opened.card.metrics == {"validation": trained.metrics}
    assert opened.card.details == {"weights": "exported", "pooling": "none"}
    assert (opened.encode(TEXTS) == build(exported).encoder.encode(TEXTS)).all()


def save(exported: Path, tmp_path: Path, **values: Any) -> Path:
    settings = settings_of(exported)
    fitted = build(exported)
    card = EncoderCard(
        name="own", config=settings.model_dump(mode="json"), size=fitted.encoder.size,
        details=fitted.details,
    )  # fmt: skip
    return artifact.save(fitted.encoder, replace(card, **values), tmp_path / "encoders")


def test_an_artifact_of_another_size_than_its_card_is_refused(
    export: Export, tmp_path: Path
) -> None:
    folder = save(export(), tmp_path, size=32)
    with pytest.raises(ShelfmarkError, match="vectors of 24 numbers, its card says 32"):
        artifact.load(folder)


@pytest.mark.parametrize("pooling", ["cls", "max", None])
def test_an_artifact_whose_card_names_a_wrong_pooling_is_refused(
    export: Export, tmp_path: Path, pooling: str | None
) -> None:
    folder = save(export(), tmp_path, details={"pooling": pooling})
    with pytest.raises(ShelfmarkError, match="pooling") as caught:
        artifact.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json", ""])
def test_a_folder_that_is_no_encoder_is_refused(export: Export, missing: str) -> None:
    folder = export()
    if missing:
        (folder / missing).unlink()
    else:
        folder = folder / "nowhere"
    reason = f"has no {missing}: an exported encoder is" if missing else "no such folder"
    with pytest.raises(ShelfmarkError, match=reason):
        build(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused(export: Export, name: str, share: float) -> None:
    path = export() / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ShelfmarkError, match=name) as caught:
        build(path.parent)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"\x00" * 100, b"PK\x03\x04", b"version https://git-lfs", b"{}"]
)
def test_a_file_of_another_kind_is_refused(export: Export, content: bytes) -> None:
    folder = export()
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(ShelfmarkError, match=r"model\.onnx: no ONNX model"):
        build(folder)


def keep_array_elsewhere(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = tensor.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")


def keep_constant_elsewhere(model: Any) -> None:
    """The array is that of an attribute, inside the graph of a branch."""
    import onnx
    from onnx import helper

    tensor = helper.make_tensor("hidden", onnx.TensorProto.FLOAT, [1], [0.0])
    keep = onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor]))
    keep_array_elsewhere(keep)
    constant = helper.make_node("Constant", [], ["c"], value=keep.graph.initializer[0])
    branch = helper.make_graph([constant], "branch", [], [helper.make_empty_tensor_value_info("c")])
    model.graph.node.append(
        helper.make_node("If", ["one"], ["d"], then_branch=branch, else_branch=branch)
    )


def add_foreign_operator(model: Any) -> None:
    import onnx

    model.graph.node.append(onnx.helper.make_node("Read", [], ["x"], domain="ai.plugin"))


def add_loop(model: Any) -> None:
    import onnx

    body = onnx.helper.make_graph([], "body", [], [])
    model.graph.node.append(onnx.helper.make_node("Loop", ["", ""], ["x"], body=body))


def rename_input(model: Any) -> None:
    model.graph.input[0].name = "pixels"


def rename_output(model: Any) -> None:
    model.graph.output[0].type.tensor_type.shape.ClearField("dim")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (keep_array_elsewhere, "lies in another file"),
        (keep_constant_elsewhere, "lies in another file"),
        (add_foreign_operator, r"the operator ai\.plugin\.Read is no part of ONNX Runtime"),
        (add_loop, "the operator Loop is not run"),
        (rename_input, "its inputs are pixels, attention_mask"),
        (rename_output, "its outputs are sentence_embedding"),
    ],
)
def test_a_model_that_reaches_outside_or_is_no_encoder_is_refused(
    export: Export, edit: Callable[[Any], None], reason: str
) -> None:
    with pytest.raises(ShelfmarkError, match=reason) as caught:
        build(export(edit=edit))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "count"), [(b"attention_mask", -1), (b"input_ids", 1), (b"total_row", 1)]
)
def test_names_that_are_no_utf_8_are_refused_in_silence(
    export: Export, capfd: pytest.CaptureFixture[str], place: bytes, count: int
) -> None:
    path = export() / "model.onnx"
    path.write_bytes(path.read_bytes().replace(place, b"\xff" * len(place), count))
    with pytest.raises(ShelfmarkError) as caught:
        build(path.parent)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_artifact_with_an_array_elsewhere_is_refused_too(export: Export, tmp_path: Path) -> None:
    """The digests of a foreign artifact are right, for its maker wrote the card."""
    from shelfmark.embeddings.onnx.encoder import OnnxEncoder

    folder = export(edit=keep_array_elsewhere)
    contents = [(folder / name).read_bytes() for name in ("model.onnx", "tokenizer.json")]
    with pytest.raises(ShelfmarkError, match="lies in another file"):
        OnnxEncoder(*contents, max_tokens=16)


def test_more_tokens_than_the_model_has_positions_are_refused(export: Export) -> None:
    with pytest.raises(ShelfmarkError, match="does not take 64 tokens of the 13"):
        build(export(), max_tokens=64)


def test_a_tokenizer_of_more_words_than_the_model_is_refused(export: Export) -> None:
    folder = export()
    bert.write_tokenizer(folder / "tokenizer.json", [*bert.WORDS, "more"])
    with pytest.raises(ShelfmarkError, match="does not take 16 tokens of the 14"):
        build(folder)


def test_a_model_that_ends_before_a_module_is_refused(export: Export) -> None:
    folder = export(pooled=False)
    modules = [{"type": "sentence_transformers.models.Dense"}]
    (folder / "modules.json").write_bytes(orjson.dumps(modules))
    with pytest.raises(ShelfmarkError, match="ends before the module Dense"):
        build(folder)


def test_a_pooling_that_is_not_known_is_refused(export: Export) -> None:
    folder = export(pooled=False)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_bytes(b'{"pooling_mode": "lasttoken"}')
    with pytest.raises(ShelfmarkError, match="pooling lasttoken; mean and cls are known"):
        build(folder)


def test_a_quantised_model_is_taken_as_int8_alone(export: Export, tmp_path: Path) -> None:
    quantised = build(export(), precision="int8").encoder
    folder = tmp_path / "quantised"
    folder.mkdir()
    quantised.save(folder)
    assert build(folder, precision="int8").encoder._model == quantised._model
    with pytest.raises(ShelfmarkError, match="holds a quantised model: encoder.precision=int8"):
        build(folder, precision="fp32")
