"""The static encoder: what a text's vector is made of, and how it is saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.core import files, structure
from shelfmark.data.splits import Splits
from shelfmark.embeddings.static.encoder import PART, TABLE, StaticEncoder, open_encoder
from shelfmark.errors import ShelfmarkError

TITLE, ABSTRACT = "Robust grasping for robot arms", "We study grasping and motion planning."


def test_vectors_have_unit_length_and_texts_without_a_known_word_are_zero(
    encoder: StaticEncoder,
) -> None:
    vectors = encoder.encode([TITLE, "", "zzzz qqqq", f"{TITLE}\n{ABSTRACT}", "\0 \ud800 é"])
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, encoder.size)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0, 1, 0], atol=1e-6)
    assert encoder.encode([]).shape == (0, encoder.size)


def test_a_text_of_any_length_is_encoded(encoder: StaticEncoder) -> None:
    [long] = encoder.encode(["robot grasping " * 50_000])
    assert np.linalg.norm(long) == pytest.approx(1, abs=1e-6)


def test_the_cosine_is_a_sum_over_pairs_of_words(encoder: StaticEncoder) -> None:
    terms = encoder.vectorizer.vocabulary_
    words = [word for word in ("robot", "grasping", "motion", "planning") if word in terms]
    table = encoder.rows * encoder.scales[:, None]
    rows = np.array([table[terms[word]] for word in words])
    left, right = rows[:2].sum(axis=0), rows[2:].sum(axis=0)
    cosine = (rows[:2] @ rows[2:].T).sum() / (np.linalg.norm(left) * np.linalg.norm(right))
    a, b = encoder.encode([" ".join(words[:2]), " ".join(words[2:])])
    assert a @ b == pytest.approx(cosine, abs=1e-5)


def test_order_and_number_of_the_texts_change_no_vector(
    encoder: StaticEncoder, splits: Splits
) -> None:
    texts = splits.read("train")["text"].to_pylist() * 2
    assert len(texts) > PART
    vectors = encoder.encode(texts)
    np.testing.assert_allclose(encoder.encode(texts[::-1])[::-1], vectors, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(texts[5:6]), vectors[5:6], atol=1e-6)


def test_threads_change_no_vector(encoder: StaticEncoder, splits: Splits) -> None:
    texts = splits.read("train")["text"].to_pylist() * 2
    shared = StaticEncoder(encoder.vectorizer, encoder.rows, encoder.scales)
    shared.threads = 2
    np.testing.assert_array_equal(shared.encode(texts), encoder.encode(texts))


def test_eight_bits_keep_the_directions(encoder: StaticEncoder) -> None:
    table = np.random.default_rng(7).standard_normal((len(encoder.scales), 64), np.float32)
    table[3] = 0
    rounded = StaticEncoder.from_table(encoder.vectorizer, table)
    again = rounded.rows * rounded.scales[:, None]
    assert not again[3].any()
    kept = np.delete(np.arange(len(table)), 3)
    cosines = np.einsum("ij,ij->i", table[kept], again[kept])
    cosines /= np.linalg.norm(table[kept], axis=1) * np.linalg.norm(again[kept], axis=1)
    assert cosines.min() > 0.999


def saved(encoder: StaticEncoder, folder: Path) -> DigestedFiles:
    folder.mkdir()
    arrays = encoder.save(folder)
    digests = {path.name: files.sha256(path) for path in folder.iterdir()}
    return DigestedFiles(folder, digests, arrays)


def test_a_saved_encoder_gives_the_same_vectors(encoder: StaticEncoder, tmp_path: Path) -> None:
    opened = open_encoder(saved(encoder, tmp_path / "a"))
    texts = [TITLE, ABSTRACT]
    np.testing.assert_array_equal(opened.encode(texts), encoder.encode(texts))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rows": np.zeros((3, 16), np.int8)}, "rows"),
        ({"scales": np.zeros(3, np.float32)}, "scales"),
        ({"scales": np.full(3, np.nan, np.float32)}, "scales"),
    ],
)
def test_a_table_that_does_not_fit_its_words_is_refused(
    encoder: StaticEncoder, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    wrong = StaticEncoder(encoder.vectorizer, encoder.rows, encoder.scales)
    vars(wrong).update(change)
    with pytest.raises(ShelfmarkError, match=reason):
        open_encoder(saved(wrong, tmp_path / "a"))


def test_a_structure_of_another_class_is_no_encoder(encoder: StaticEncoder, tmp_path: Path) -> None:
    other = encoder.vectorizer
    content, arrays = structure.dump(other, lambda name: (tmp_path / name).open("wb"))
    (tmp_path / TABLE).write_bytes(content)
    digests = {path.name: files.sha256(path) for path in tmp_path.iterdir()}
    with pytest.raises(ShelfmarkError, match="holds no encoder"):
        open_encoder(DigestedFiles(tmp_path, digests, arrays))
