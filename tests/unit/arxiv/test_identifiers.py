"""Identifiers: one canonical spelling for all the ways in which people write a paper's."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.identifiers import parse_identifier, parse_version
from shelfmark.arxiv.papers import BadRecordError

MONTHS = st.builds("{:02d}{:02d}".format, st.integers(0, 99), st.integers(1, 12))
NEW = st.one_of(
    st.builds("{}.{:05d}".format, MONTHS, st.integers(0, 99999)),
    st.builds("{:02d}12.{:04d}".format, st.integers(7, 14), st.integers(0, 9999)),
)
ARCHIVES = sorted(taxonomy.ARCHIVES.keys() | {x for x in taxonomy.ALIASES if "." not in x})
OLD = st.builds("{}/{}{:03d}".format, st.sampled_from(ARCHIVES), MONTHS, st.integers(0, 999))
IDENTIFIERS = st.one_of(NEW, OLD)


@given(IDENTIFIERS, st.integers(1, 99), st.sampled_from(["", "arXiv:", "arxiv:", "ARXIV:"]))
def test_an_identifier_loses_version_and_prefix_alone(name: str, version: int, prefix: str) -> None:
    assert parse_identifier(name) == name
    assert parse_identifier(f" {prefix}{name}v{version}\n") == name
    assert parse_identifier(f"{prefix}{name}v{version}".upper()) == name
    assert parse_version(f"{prefix}{name}v{version}") == version
    assert parse_version(f"{prefix}{name}") == 0


@given(OLD, st.sampled_from(["", "-", "_"]))
def test_the_separators_of_some_dumps_are_a_slash(name: str, separator: str) -> None:
    assert parse_identifier(name.replace("/", separator)) == name


@given(st.one_of(st.text(), IDENTIFIERS.map(lambda name: name + "9"), st.from_regex(r"\d+\.\d+")))
def test_anything_else_is_refused_or_is_plain_ascii(text: str) -> None:
    try:
        name = parse_identifier(text)
    except BadRecordError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 150
    else:
        assert re.fullmatch(r"[0-9]{4}\.[0-9]{4,5}|[a-z-]+/[0-9]{7}", name)
        assert parse_identifier(name) == name


@pytest.mark.parametrize(
    "text",
    [
        "math/0211000",
        "math.AG/0211000",
        "MATH/0211000",
        "Math.ag/0211000V2",
        "math-0211000",
        "math_0211000v12",
        "math0211000.pdf",
        "arXiv:math/0211000v2",
        "arXiv: math/0211000",
        "arXiv.math/0211000",
        "arXiv math.AG/0211000 v2",
        "  math/0211000\n",
        "\ufeffmath/0211000",
        "math/0211000\u200b",
        "math\u20110211000",
        "math%2F0211000",
        "https://arxiv.org/abs/math/0211000",
        "http://www.arxiv.org/abs/math.AG/0211000v1",
        "https://arxiv.org/pdf/math/0211000v2.pdf",
        "https://export.arxiv.org/abs/math/0211000",
        "arxiv.org/abs/math/0211000",
        "//arxiv.org/abs/math/0211000/",
        "http://arxiv.org/abs/math/0211000?context=math.NT#x",
        "http://xxx.lanl.gov/abs/math.AG/0211000",
        "https://ar5iv.labs.arxiv.org/html/math/0211000",
        "<https://arxiv.org/abs/math/0211000>",
        "oai:arXiv.org:math/0211000",
        "oai:arXiv.org:http://arxiv.org/abs/math/0211000",
        "10.48550/arXiv.math/0211000",
        "doi:10.48550/arXiv.math/0211000",
        "https://doi.org/10.48550/ARXIV.MATH/0211000",
        "arXiv:math/0211000v2 [math.AG] 4 Nov 2002",
        "[math/0211000]",
        '"math/0211000",',
    ],
)
def test_one_paper_has_one_identifier(text: str) -> None:
    assert parse_identifier(text) == "math/0211000"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0704.0001", "0704.0001"),
        ("0704.1000", "0704.1000"),
        ("1412.9999v3", "1412.9999"),
        ("1501.00001v12", "1501.00001"),
        ("hep-th/9901001v3", "hep-th/9901001"),
        ("hep\u2013th/9901001", "hep-th/9901001"),
        ("cmp-lg/9404001", "cmp-lg/9404001"),
        ("CMP-LG/9404001", "cmp-lg/9404001"),
        ("cs.CL/9404001", "cs/9404001"),
        ("cond-mat.supr-con/9609001", "cond-mat/9609001"),
        ("cond-mat.supr-con-9609001v1", "cond-mat/9609001"),
        ("supr-con/9609001", "supr-con/9609001"),
        ("cs-9308101v1", "cs/9308101"),
        ("cond-mat-0001001", "cond-mat/0001001"),
        ("math-ph/0001001", "math-ph/0001001"),
        ("math-0001001", "math/0001001"),
        ("arXiv:2101.12345V2", "2101.12345"),
        ("arXiv2101.12345", "2101.12345"),
        ("arXiv:2101.12345v2 [cs.LG] 30 Jan 2021", "2101.12345"),
        ("https://arxiv.org/pdf/2101.12345", "2101.12345"),
        ("https://arxiv.org/pdf/2101.12345v3.pdf#page=2", "2101.12345"),
        ("https://arxiv.org/html/2401.12345v1/", "2401.12345"),
        ("10.48550/arXiv.2101.12345", "2101.12345"),
        ("1201.00001", "1201.00001"),
        ("math.AG/0213200v2", "math/0213200"),
        ("0713.0001", "0713.0001"),
    ],
)
def test_identifiers_of_every_age(text: str, name: str) -> None:
    assert parse_identifier(text) == name


@pytest.mark.parametrize("archive", ARCHIVES)
def test_an_archive_keeps_its_identifiers_whatever_became_of_it(archive: str) -> None:
    assert parse_identifier(f"{archive.upper()}.XY/9702003v1") == f"{archive}/9702003"


@pytest.mark.parametrize(
    "text",
    ["", " ", "704.1", "704.0001", "0704.001", "0704.123456", "0704,0001", "0704.0001v", "hep-th",
     "hep-th/99010", "10.1000/182", "0704.0001 0704.0002", "\u0660\u0667\u0660\u0664.0001",
     "0704.0001\0", "maht/0211000", "figures-0211000", "0211000", "https://example.org/abs/0704.0001",
     "https://arxiv.org/list/math/0211", "10.1000/arXiv.0704.0001", "x0704.0001",
     "http://arxiv.org.example.com/abs/0704.0001"],
)  # fmt: skip
def test_what_is_no_identifier(text: str) -> None:
    with pytest.raises(BadRecordError, match="not an arXiv identifier"):
        parse_identifier(text)


def test_a_number_that_lost_a_zero_is_refused() -> None:
    with pytest.raises(BadRecordError, match="not an arXiv identifier: '1501.1234': it has lost a"):
        parse_identifier("1501.1234")


@pytest.mark.parametrize("text", ["x" * 10_000, "a." * 10_000, "math/" * 10_000, "%41" * 10_000])
def test_a_long_wrong_identifier_is_cut_in_the_message(text: str) -> None:
    with pytest.raises(BadRecordError) as caught:
        parse_identifier(text)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("text", "version"),
    [("v2", 2), ("V10", 10), ("0704.0001", 0), ("", 0), ("v", 0), ("vv2", 0),
     ("solv-int/9901001", 0),
     ("https://arxiv.org/pdf/solv-int/9901001v3.pdf", 3), ("arXiv:0704.0001v2 [hep-ph]", 2)],
)  # fmt: skip
def test_the_version_of_an_identifier(text: str, version: int) -> None:
    assert parse_version(text) == version


def test_the_letters_of_an_identifier_are_those_of_ascii() -> None:
    assert unicodedata.normalize("NFKC", "ｍ") == "m"
    with pytest.raises(BadRecordError):
        parse_identifier("ｍath/0211000")
