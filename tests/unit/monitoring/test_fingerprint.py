"""Sketches: the words of a text as buckets, the same in a reference and in a log."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.data.sources import sample
from shelfmark.models.artifact import Model
from shelfmark.monitoring import fingerprint
from shelfmark.monitoring.fingerprint import NARROW, Sketcher

PLAIN = Sketcher({"strip_accents": "unicode", "stop_words": None})


@given(st.text())
def test_a_sketch_comes_back_as_the_folded_buckets(text: str) -> None:
    sketch = PLAIN.sketch(text)
    assert len(sketch) == 172
    wide = PLAIN.transform([text])
    assert (fingerprint.decode_sketches([sketch]) != fingerprint.fold(wide)).nnz == 0
    assert fingerprint.fold(wide).shape == (1, NARROW)


def test_folding_leaves_what_it_folds_as_it_was() -> None:
    wide = PLAIN.transform([one.abstract for _, one in sample.read_records(None, 20)])
    before = wide.copy()
    folded = fingerprint.fold(wide)
    assert folded.nnz < wide.nnz  # so that some buckets fell together
    assert (wide != before).nnz == 0
    assert wide.indptr.tolist() == before.indptr.tolist()


def test_signs_count_as_words_do() -> None:
    assert PLAIN.words("a $x^2$ <p>") == ["$", "^", "$", "<", ">"]


def test_a_word_counts_once_and_order_and_case_do_not() -> None:
    assert PLAIN.sketch("robot arm robot") == PLAIN.sketch("Arm Robot")
    assert PLAIN.sketch("robot arm") != PLAIN.sketch("robot leg")
    assert PLAIN.transform(["robot arm robot"]).data.tolist() == [1, 1]


def test_the_words_are_those_of_the_model(model: Model) -> None:
    field = model.classifier.pipeline[0].transformer_list[0][1]
    text = "We train Ünseen robot-arms, x y 12 $\\alpha$; the gripper."
    words = field.build_tokenizer()(field.build_preprocessor()(text))
    words_found = fingerprint.sketcher_for(model).words(text)
    assert [word for word in words_found if word[0].isalnum()] == words
    assert [word for word in words_found if word not in words] == list("-,$\\$;.")
    assert fingerprint.sketcher_for(model).buckets(words) == [
        fingerprint.sketcher_for(model).transform([x]).indices[0] for x in words
    ]


def test_stop_words_leave_no_trace() -> None:
    stopped = Sketcher({"strip_accents": None, "stop_words": "english"})
    assert stopped.transform(["the of and"]).nnz == 0


@pytest.mark.parametrize("sketch", ["", "AAAA", "not base64!", "A" * 171])
def test_what_is_no_sketch_is_refused(sketch: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        fingerprint.decode_sketches([sketch])


def test_no_sketches_are_no_rows() -> None:
    assert fingerprint.decode_sketches([]).shape == (0, NARROW)
    assert np.asarray(fingerprint.decode_sketches([]).sum()) == 0
