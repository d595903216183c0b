"""Plain text: TeX accents become letters, maths stays or is masked, and nothing can break it."""

from __future__ import annotations

import sys
import unicodedata
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shelfmark.arxiv.text import INVISIBLE, LIGATURES, MATHS_MASK, clean_text, is_blank, join_texts

ANYTHING = st.text(st.characters(exclude_categories=()))  # lone surrogates and NUL too
TEXISH = st.lists(
    st.one_of(
        st.sampled_from(
            [*"\\{}$'`^\"~=.Hcvudbkr &%#_\n\t\0eo", "ss", "\\i", "é", "e\u0301", "\ud800", "\u2028"]
        ),
        ANYTHING,
    ),
    max_size=30,
).map("".join)


@given(st.one_of(ANYTHING, TEXISH))
@example("\ud800\udfff\0\x85\u2029")
@example("\\'\ud800 \\v\0 \\")
def test_any_text_becomes_one_line_that_can_be_written(text: str) -> None:
    result = clean_text(text)
    assert result.encode("utf-8").decode("utf-8") == result
    assert len(result.splitlines()) <= 1
    assert result == result.strip()
    assert "  " not in result
    assert "\0" not in result
    assert all(not sign.isspace() or sign == " " for sign in result)


@given(ANYTHING.filter(lambda text: "\\" not in text))
def test_without_tex_plain_text_is_left_as_it_is(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


@given(st.text().filter(lambda text: "\\" not in text))
def test_composed_and_decomposed_letters_are_the_same(text: str) -> None:
    assert clean_text(unicodedata.normalize("NFD", text)) == clean_text(
        unicodedata.normalize("NFC", text)
    )
    assert unicodedata.is_normalized("NFC", clean_text(text))


@pytest.mark.parametrize(
    ("copied", "plain"),
    [
        ("manipu\u00adlation", "manipulation"),
        ("manipu\u00ad\nlation of ob\u00ad \r\n  jects", "manipulation of objects"),
        ("ro\u200bbot\u200b gras\u200cp\u200ding", "robot grasping"),
        ("\ufeffro\u2060bot", "robot"),
        ("ro\u180ebot a\u200er\u200fm", "robot arm"),
        ("\u202arobot\u202c \u2066arm\u2069", "robot arm"),
        ("r\u034fobot\ufe0f arm\U000e0061", "robot arm"),
        ("Poincare\u00ad\u0301", "Poincar\u00e9"),
        ("Poincar\\'\u200be", "Poincar\u00e9"),
        ("the e\ufb03cient \ufb01eld of \ufb02ows, o\ufb00er, e\ufb04uent, \ufb06ill",
         "the efficient field of flows, offer, effluent, still"),
        ("\u00ad", ""),
        ("$x\u200b_1$ and \\(y\u00ad\\)", r"$x_1$ and \(y\)"),
        ("high\u2010dimensional robo-\ntics", "high\u2010dimensional robo- tics"),
        ("\u3131\u3164\u314f", "\u3131\u3164\u314f"),
    ],
)  # fmt: skip
def test_signs_of_pdfs_split_no_word(copied: str, plain: str) -> None:
    assert clean_text(copied) == plain
    assert clean_text(f"We show {copied}  ") == f"We show {plain}".strip()


@given(st.text(), st.lists(st.sampled_from("\u00ad\u200b\u200c\u200d\u2060\ufeff"), min_size=1))
def test_invisible_characters_change_nothing(text: str, signs: list[str]) -> None:
    words = [part for word in text.split() for part in (*word, *signs)]
    assert clean_text("".join(words)) == clean_text("".join(text.split()))


def test_every_invisible_character_and_ligature_is_found() -> None:
    signs = [chr(code) for code in range(sys.maxunicode + 1)
             if INVISIBLE.match(chr(code)) or code in LIGATURES]  # fmt: skip
    assert len(signs) > 4000
    assert [
        sign for sign in signs if clean_text(f"e{sign}f") != f"e{LIGATURES.get(ord(sign), '')}f"
    ] == []


def test_invisible_characters_hide_no_run_of_marks() -> None:
    assert len(clean_text("e" + "\u0323\u200b" * 10_000)) < 40


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1)))
def test_only_white_space_of_common_text_changes(words: list[str]) -> None:
    words = [word for word in words if "\\" not in word]
    assert clean_text("\n  " + " \t\n".join(words)) == " ".join(words)


@pytest.mark.parametrize(
    ("tex", "letters"),
    [
        (r"Poincar\'e", "Poincaré"),
        (r"Poincar\'{e}", "Poincaré"),
        (r"Poincar{\'e}", "Poincaré"),
        (r"Poincar{\'{e}}", "Poincaré"),
        (r"G\"odel", "Gödel"),
        (r"G\" odel", "Gödel"),
        (r"Erd\H{o}s", "Erdős"),
        (r"Erd{\H o}s", "Erdős"),
        (r"Fran\c{c}ois", "François"),
        (r"Ho\v{r}ava", "Hořava"),
        (r"Mart\'{\i}nez", "Martínez"),
        (r"Mart\'\inez", "Martínez"),
        (r"\`A la carte", "À la carte"),
        (r"Fa\`a di Bruno", "Faà di Bruno"),
        (r"It\^o", "Itô"),
        (r"S\~ao", "São"),
        (r"\=a \.z \u{a} \r{u} \k{e} \b{b}", "ā ż ă ů ę ḇ"),
        (r"\d{s}", "ṣ"),
        (r"Stra\ss{}e", "Straße"),
        (r"\O ystein", "Øystein"),
        (r"K\o{}benhavn", "København"),
        (r"{\L}ojasiewicz", "Łojasiewicz"),
        (r"\AA ngstr\"om", "Ångström"),
        (r"\ae on", "æon"),
        (r"AT\&T: 5\% of x\_y, \#1", "AT&T: 5% of x_y, #1"),
    ],
)
def test_tex_accents_become_letters(tex: str, letters: str) -> None:
    assert clean_text(tex) == letters


@pytest.mark.parametrize(
    "tex",
    [
        r"\alpha",
        r"\H os",
        r"\bf bold",
        r"\vspace",
        r"\rho and \cdot",
        r"\omega, \Omega and \order",
        r"\lambda",
        r"$\ell_1$",
        r"\big(",
        r"\$5",
        r"{a} set {x}",
        r"$\{x_{i}\}$",
        "\\",
    ],
)
def test_other_commands_are_left_alone(tex: str) -> None:
    assert clean_text(tex) == tex


def test_maths_is_not_touched_by_accents_elsewhere() -> None:
    assert clean_text(r"G\"odel on $x_{i}^{n}$ é") == "Gödel on $x_{i}^{n}$ é"


def test_line_breaks_of_the_snapshot_go() -> None:
    assert (
        clean_text("  A title that\n  goes on\r\n\tand on\u00a0\n") == "A title that goes on and on"
    )


def test_keeping_maths_changes_nothing() -> None:
    assert join_texts("A $p$-adic title", r"Of \(x\) and $$y$$.") == (
        "A $p$-adic title\nOf \\(x\\) and $$y$$."
    )


@pytest.mark.parametrize(
    "formula", ["$x$", "$$x + y$$", r"\(a_{1}\)", r"\[\frac{1}{2}\]", r"$a \$ b$", "$O(n^2)$"]
)
def test_masking_makes_one_word_of_any_formula(formula: str) -> None:
    masked = join_texts("On it", f"before {formula} after", "mask")
    assert masked.split() == ["On", "it", "before", MATHS_MASK, "after"]
    assert MATHS_MASK.isascii()
    assert " " not in MATHS_MASK


@pytest.mark.parametrize("text", ["costs 5$", r"from \$5 to \$9", r"\( is open", "$$", "no maths"])
def test_what_is_no_formula_is_not_masked(text: str) -> None:
    assert join_texts("", text, "mask") == text


def test_two_formulas_are_two_words() -> None:
    assert join_texts("", "$a$ beats $b$", "mask").split() == [MATHS_MASK, "beats", MATHS_MASK]


@given(st.text(), st.text())
def test_a_document_holds_the_title_then_the_abstract(title: str, abstract: str) -> None:
    whole = join_texts(title, abstract)
    assert whole.startswith(title)
    assert whole.endswith(abstract)
    assert len(whole) == len(title) + len(abstract) + bool(title and abstract)


@given(TEXISH)
def test_masking_never_fails(text: str) -> None:
    assert isinstance(join_texts(text, text, "mask"), str)


@pytest.mark.parametrize("text", [r"\\(x\)", r"\\[2pt] and \]"])
def test_a_line_break_before_a_bracket_opens_no_formula(text: str) -> None:
    assert join_texts("", text, "mask") == text


@pytest.mark.parametrize(
    "run",
    [
        "\u0301\u0323",  # classes 230 and 220: each second mark moves before all earlier ones
        "\u0f73\u0323",  # class 0, but two marks of classes 129 and 130
        "\u0344\u0327\u0315",
        "\u0f75\u0f81\u0345",
    ],
)
def test_normalisation_takes_moves_in_proportion_to_the_length(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = []

    def normalize(form: Any, text: str) -> str:
        moves.append(count_moves(text))
        return unicodedata.normalize(form, text)

    monkeypatch.setattr("shelfmark.arxiv.text.unicodedata", SimpleNamespace(normalize=normalize))
    for length in (50, 200):
        clean_text("e" + run * length)
        clean_text(("e" + run * 40) * length)
    short, many_short, long, many_long = moves
    assert 0 < long <= short
    assert 0 < many_long <= 4 * many_short


def count_moves(text: str) -> int:
    """Return the moves by which an insertion sort puts the marks of a text in canonical order."""
    moves, run = 0, [0]
    for part in unicodedata.normalize("NFD", "\0".join(text)).replace("\0", ""):
        order = unicodedata.combining(part)
        place = len(run)
        while order and run[place - 1] > order:
            place -= 1
        moves += len(run) - place
        run.insert(place, order)
        run = run if order else [0]
    return moves


@pytest.mark.parametrize(
    "value", ["", " \n\t", "\u200b", "\u00ad \ufeff\u2060", "\x00\x1b", "\u3000"]
)
def test_a_text_that_shows_nothing_is_blank(value: str) -> None:
    assert is_blank(value)
    assert not is_blank(f"{value}a")
