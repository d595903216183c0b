"""Traits of a text: counted as the model reads them, and guessed only where there is enough."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.models.artifact import Model
from shelfmark.models.traits import TextTraits, text_traits
from tests.support.tables import fit, table

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
    code = "import shelfmark.models.traits, sys; print('py3langid' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX alone has such limits")
def test_no_room_to_unpack_the_table_is_one_line() -> None:
    code = (
        "import resource\nfrom shelfmark.core import console\n"
        "from shelfmark.models import languages\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with console.one_line_errors(): languages.language_identifier()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write ")
    assert done.stderr.count("\n") == 1
