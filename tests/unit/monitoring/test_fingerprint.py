"""Sketches: the words of a text as buckets, the same in a reference and in a log.

Traits: counted as the model reads them, and guessed only where there is enough.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.data.sources import sample
from shelfmark.models.artifact import Model
from shelfmark.monitoring import fingerprint
from shelfmark.monitoring.fingerprint import NARROW, Sketcher, TextTraits, text_traits
from tests.support.tables import fit, table

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


ENGLISH = "We train a robot arm to grasp unseen objects from depth images of the scene."
GERMAN = "Wir untersuchen Graphen in der Mathematik und ihre Anwendungen in der Physik."


def small(*overrides: str) -> Model:
    """Return a model that knows a few words."""
    texts = ["robot arms grasp objects", "quantum fields of gauge objects"] * 30
    papers = table(["cs.AI", "hep-th"] * 30, texts)
    return fit(papers, papers, "model=linear", "data.labels=[cs.AI,hep-th]", *overrides)


@pytest.fixture(scope="module")
def words() -> Model:
    return small()


def test_words_are_those_the_model_looks_up(words: Model) -> None:
    traits = text_traits(words, "A Robot GRASPS objects, x y; unseen!")
    # The vectorizer ignores words of one letter, and has never met grasps and unseen.
    assert (traits.characters, traits.words, traits.unknown) == (36, 4, 0.5)


def test_a_word_of_which_only_pairs_are_known_is_known_too(words: Model) -> None:
    assert text_traits(words, "quantum fields").unknown == 0
    assert text_traits(words, "fields quantum").unknown == 0


def test_stop_words_are_neither_known_nor_unknown() -> None:
    model = small("features.stop_words=english")
    traits = text_traits(model, "the quantum of the fields and the unseen")
    assert (traits.words, traits.unknown) == (3, pytest.approx(1 / 3, abs=1e-6))


def test_a_vocabulary_of_pairs_alone_knows_no_words() -> None:
    traits = text_traits(small("features.ngram_range=[2,2]"), "quantum fields")
    assert (traits.words, traits.unknown) == (2, None)


@pytest.mark.parametrize("text", ["", " ", "a b", "$$", "\n"])
def test_a_text_without_words_has_no_share_and_no_language(words: Model, text: str) -> None:
    nothing = TextTraits(len(text), 0, None, None)
    assert text_traits(words, text) == nothing


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        (ENGLISH * 500, "en"),
        ("deep learning", None),  # too short
        ("12 34 56 78", None),  # no language
    ],
)
def test_a_language_is_guessed_where_there_is_enough_text(
    words: Model, text: str, language: str | None
) -> None:
    assert text_traits(words, text).language == language


@given(st.text())
def test_any_text_has_traits(words: Model, text: str) -> None:
    traits = text_traits(words, text)
    assert traits.characters == len(text)
    assert (traits.unknown is None) == (traits.words == 0)
    assert traits.unknown is None or 0 <= traits.unknown <= 1


def test_the_model_of_the_service_separates_its_own_papers_from_noise(model: Model) -> None:
    noise = text_traits(model, "zxqv wqpf kkjh vvbn qqwz")
    assert text_traits(model, ENGLISH).unknown < noise.unknown == 1


def test_the_table_of_languages_is_opened_on_first_use() -> None:
    code = "import shelfmark.monitoring.fingerprint, sys; print('py3langid' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX alone has such limits")
def test_no_room_to_unpack_the_table_is_one_line() -> None:
    code = (
        "import resource\nfrom shelfmark.core import console\n"
        "from shelfmark.monitoring import fingerprint\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with console.one_line_errors(): fingerprint._language_identifier()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write ")
    assert done.stderr.count("\n") == 1
