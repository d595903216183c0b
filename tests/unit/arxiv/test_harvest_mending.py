"""Records that are no XML, or no papers: mended or left out, named, and requested again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from shelfmark.arxiv import oai_mending, oai_xml
from shelfmark.arxiv.oai_xml import FaultError, Page
from shelfmark.errors import ShelfmarkError
from tests.support import oai_server
from tests.support.oai_server import Held, Repository
from tests.unit.arxiv.conftest import Clock, fetch, held, ids, read

# What an abstract holds, what comes of it, and the fault that is named.
MENDED = {
    "control": ("A galaxy \x0b with a halo.", "A galaxy   with a halo.", "the character U+000B"),
    "null": ("A\0galaxy", "A galaxy", "the character U+0000"),
    "charref": ("A &#x1a;galaxy", "A  galaxy", "the reference &#x1a;"),
    "decimal": ("A &#11;galaxy", "A  galaxy", "the reference &#11;"),
    "bytes": ("Poincar\udce9 galaxy", "Poincar\ufffd galaxy", "bytes that its encoding does not"),
    "cut bytes": ("na\udcc3 galaxy", "na\ufffd galaxy", "bytes that its encoding does not allow"),
    "surrogate": ("A &#xD800; galaxy", "A \ufffd galaxy", "the reference &#xD800;"),
    "pair": ("A &#xD835;&#xDC9C; and &#55349;&#56476;", "A \U0001d49c and \U0001d49c",
             "references to surrogates"),
    "encoded surrogate": ("A \udced\udca0\udc80 galaxy", "A \ufffd\ufffd\ufffd galaxy",
                          "bytes that"),
    "no character": ("A \ufffe\uffff galaxy", "A \ufffd\ufffd galaxy", "the character U+FFFE"),
    "beyond": ("A &#x110000;&#99999999999; galaxy", "A \ufffd&#99999999999; galaxy",
               "the reference"),
    "entity": ("A&nbsp;Poincar&eacute; &alpha;", "A\u00a0Poincar\u00e9 \u03b1",
               "the entity &nbsp;"),
    "escaped entity": ("a &LT; b &amp; c &lt; d", "a < b & c < d", "the entity &LT;"),
    "other entity": ("A &lol9; galaxy", "A &lol9; galaxy", "the entity &lol9;"),
    "ampersand": ("R&D, x & y, &; &#; &#xZZ;", "R&D, x & y, &; &#; &#xZZ;", "an unescaped &"),
    "less": ("x < y <z> a<b", "x < y <z> a<b", "an unescaped <"),
    "formula": ("$a<b \\& c$ & $d>e$", "$a<b \\& c$ & $d>e$", "an unescaped &, an unescaped <"),
    "section end": ("a ]]> b", "a ]]> b", "an unescaped ]]>"),
    "section": ("<![CDATA[a < b & \x0c c]]> \x0b", "a < b &   c  ", "the character U+000C"),
    "open section": ("a <![CDATA[ b", "a <![CDATA[ b", "an unescaped <"),
    "declaration": ('<!DOCTYPE a [<!ENTITY b "c">]> &b;',
                    '<!DOCTYPE a [<!ENTITY b "c">]> &b;', "<"),
    "comment": ("a <!-- b", "a <!-- b", "an unescaped <"),
}  # fmt: skip


@pytest.mark.parametrize("name", MENDED)
def test_a_record_that_is_no_xml_is_mended_and_named(
    tmp_path: Path, clock: Clock, log: Callable[[], str], name: str
) -> None:
    raw, text, fault = MENDED[name]
    papers = held(25)
    papers[13] = replace(papers[13], raw=raw)
    with oai_server.running(Repository(papers)) as served:
        done = fetch(served, tmp_path / "papers.jsonl", clock)
        assert len(served.asked) == 3, "no page is requested twice"
    assert ids(tmp_path / "papers.jsonl") == [paper.id for paper in papers]
    assert read(tmp_path / "papers.jsonl")[13]["abstract"] == f"  {text}\n"
    (warning,) = [line for line in log().splitlines() if line.startswith("WARNING")]
    assert warning.startswith("WARNING mended 2611.00013: not well-formed XML: ")
    assert fault in warning
    assert str(done).endswith("; 1 records mended, 0 left out")


def test_the_other_records_are_those_of_a_page_without_faults(tmp_path: Path, clock: Clock) -> None:
    papers = [replace(paper, abstract="x < y & z \u00e9 \U0001d49c") for paper in held(9)]
    for name, last in (("plain", papers[8]), ("mended", replace(papers[8], raw="\x0b"))):
        with oai_server.running(Repository([*papers[:8], last])) as served:
            fetch(served, tmp_path / f"{name}.jsonl", clock)
    plain, mended = (read(tmp_path / f"{name}.jsonl")[:8] for name in ("plain", "mended"))
    assert plain == mended


def test_elements_in_a_text_keep_their_words(tmp_path: Path, clock: Clock) -> None:
    papers = [Held("2611.00001", "2026-11-02", raw="Of H<sub>2</sub>O and <i>robots</i>.")]
    with oai_server.running(Repository(papers)) as served:
        fetch(served, tmp_path / "papers.jsonl", clock)
    assert read(tmp_path / "papers.jsonl")[0]["abstract"] == "  Of H2O and robots.\n"


LEFT_OUT = {
    "no metadata": ({"metadata": "<metadata/>"}, "no metadata in the format arXivRaw"),
    "another format": ({"metadata": "<metadata><dc xmlns='http://x'/></metadata>"},
                       "no metadata in the format"),
    "no version": ({"versions": ()}, "no version"),
    "no date": ({"versions": ("soon",)}, "the date of the first version is not a date: 'soon'"),
    "impossible year": ({"versions": ("2 Nov 2126 1:02:03 GMT",)},
                        "the date of the first version is an impossible year"),
    "no abstract": ({"abstract": " "}, "no title or no abstract"),
    "no category": ({"categories": "cs."}, "unknown category 'cs.'"),
    "no day": ({"datestamp": "2026-11-1"}, "the datestamp '2026-11-1'"),
    "crossed tags": ({"metadata": "<metadata><title></metadata></title>"},
                     "not well-formed XML (mismatched"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_record_that_is_no_paper_is_requested_again_by_the_next_harvest(
    tmp_path: Path, clock: Clock, log: Callable[[], str], name: str
) -> None:
    changes, reason = LEFT_OUT[name]
    papers, out = held(25), tmp_path / "papers.jsonl"
    whole, papers[3] = papers[3], replace(papers[3], **changes)
    notes = tmp_path / "papers.jsonl.harvest.json"
    with oai_server.running(Repository(papers)) as served:
        done = fetch(served, out, clock)
        assert ids(out) == [paper.id for paper in papers if paper.id != whole.id]
        assert f"skipped {whole.id}: {reason}" in log()
        assert str(done).endswith("; 0 records mended, 1 left out")
        assert reason in orjson.loads(notes.read_bytes())["left_out"][whole.id]
        for repaired in (False, True):
            papers[3], served.asked = whole if repaired else papers[3], []
            done = fetch(served, out, clock, "")
            assert served.asked[-1] == {
                "verb": "GetRecord", "metadataPrefix": "arXivRaw",
                "identifier": f"oai:arXiv.org:{whole.id}",
            }  # fmt: skip
            assert done.left_out == (not repaired)
            assert ("left_out" in orjson.loads(notes.read_bytes())) == (not repaired)
        assert set(ids(out)) == {paper.id for paper in papers}
        served.asked = []
        fetch(served, out, clock, "")
        assert all(asked["verb"] == "ListRecords" for asked in served.asked)


def test_a_paper_that_left_the_repository_is_requested_no_more(
    tmp_path: Path, clock: Clock, log: Callable[[], str]
) -> None:
    papers, out = held(5), tmp_path / "papers.jsonl"
    papers[3] = replace(papers[3], versions=())
    with oai_server.running(Repository(papers)) as served:
        fetch(served, out, clock)
        del papers[3]
        assert fetch(served, out, clock, "").left_out == 0
    assert "2611.00003 does not exist any more" in log()


def test_a_repository_that_gives_no_single_records_ends_no_harvest(
    tmp_path: Path, clock: Clock, log: Callable[[], str]
) -> None:
    papers, out = held(5), tmp_path / "papers.jsonl"
    papers[3] = replace(papers[3], versions=())
    with oai_server.running(Repository(papers)) as served:
        fetch(served, out, clock)
        papers.append(Held("2611.00099", "2026-11-19"))
        served.asked, served.faults = [], {2: oai_server.status(404)}
        done = fetch(served, out, clock, "")
    assert (done.counts.new, done.left_out) == (1, 1)
    assert "2611.00003 is still left out: " in log()


def test_records_without_a_name_are_counted(tmp_path: Path, clock: Clock) -> None:
    papers = [
        Held("2611.00001", "2026-11-02"),
        Held("x y", "2026-11-02"),
        Held("a<b", "2026-11-02"),
    ]
    with oai_server.running(Repository(papers)) as served:
        served._get = lambda ident: b""  # type: ignore[method-assign]
        done = fetch(served, tmp_path / "papers.jsonl", clock)
    assert ids(tmp_path / "papers.jsonl") == ["2611.00001"]
    assert done.left_out == 2


def test_a_harvest_that_is_resumed_knows_what_it_left_out(tmp_path: Path, clock: Clock) -> None:
    papers = held(25)
    papers[3], papers[4] = replace(papers[3], versions=()), replace(papers[4], raw="a \x0b b")
    with oai_server.running(Repository(papers)) as served:
        served.faults = {2: oai_server.status(400)}
        with pytest.raises(ShelfmarkError):
            fetch(served, tmp_path / "papers.jsonl", clock)
        done = fetch(served, tmp_path / "papers.jsonl", clock)
    assert (done.mended, done.left_out, done.counts.new) == (1, 1, 24)


def page_of(inside: str) -> Page:
    return oai_xml.parse_page([oai_server.envelope(inside)])


def test_a_record_without_its_end_costs_no_other() -> None:
    one, two, three = (paper.xml() for paper in held(3))
    torn = two.removesuffix("</record>")
    page = page_of(
        f"<ListRecords>{one}{torn}{three}<resumptionToken>t</resumptionToken></ListRecords>"
    )
    assert [record.id for record in page.records] == ["2611.00000", "2611.00002"]
    assert [record.id for record in page.left_out] == ["2611.00001"]
    assert page.token == "t"
    page = page_of(f"<ListRecords>{one}{torn}<resumptionToken>t</resumptionToken></ListRecords>")
    assert ([x.id for x in page.records], page.token) == (["2611.00000"], "t")


def test_a_token_of_odd_characters_is_returned_as_it_is() -> None:
    one = held(1)[0].xml()
    for sent in ("a+b/c=d&amp;e%2Ff \u00fc|2026", "a+b/c=d&e%2Ff \u00fc|2026"):
        page = page_of(
            f"<ListRecords>{one}<resumptionToken>\n {sent}\n</resumptionToken></ListRecords>"
        )
        assert page.token == "a+b/c=d&e%2Ff \u00fc|2026"


@pytest.mark.parametrize(
    "inside",
    ["<ListRecords>{}", "{}</ListRecords>", "<ListRecords>{}<a></ListRecords>",
     "<ListRecords>{}</ListRecords><b>"],
)  # fmt: skip
def test_a_page_that_is_broken_beyond_its_records_is_a_fault(inside: str) -> None:
    with pytest.raises(FaultError, match="broken XML"):
        page_of(inside.format(replace(held(1)[0], raw="\x0b").xml()))


def test_a_page_that_ends_early_is_a_fault() -> None:
    body = oai_server.envelope(f"<ListRecords>{replace(held(1)[0], raw='&x;').xml()}</ListRecords>")
    assert len(oai_xml.parse_page([body]).mended) == 1
    for length in (len(body) - 1, len(body) - 20, len(body) // 2):
        with pytest.raises(FaultError, match="broken XML"):
            oai_xml.parse_page([body[:length]])


def test_no_declaration_is_read_with_a_mended_record() -> None:
    body = oai_server.envelope(
        f"<ListRecords>{replace(held(1)[0], raw='&x; &lol;').xml()}</ListRecords>"
    )
    declared = body.replace(b"?>\n", b'?>\n<!DOCTYPE a [<!ENTITY lol "ha">]>\n')
    with pytest.raises(FaultError, match="declares a document type"):
        oai_xml.parse_page([declared])


def test_a_page_in_another_encoding_is_mended() -> None:
    one = replace(held(1)[0], raw="caf\u00e9 & x").xml()
    body = oai_server.envelope(f"<ListRecords>{one}</ListRecords>")
    latin = body.decode().replace('"UTF-8"', '"ISO-8859-1"').encode("latin-1")
    (record,) = oai_xml.parse_page([latin]).records
    assert record.fields is not None
    assert record.fields["abstract"] == "  caf\u00e9 & x\n"
    assert record.fields["submitter"] == "Ann \u00d6ther"


def test_prefixes_of_namespaces_are_kept() -> None:
    body = (
        b'<o:OAI-PMH xmlns:o="http://www.openarchives.org/OAI/2.0/"><o:responseDate>2026-11-20</o:responseDate>'
        b'<o:ListRecords xmlns:r="http://arxiv.org/OAI/arXivRaw/"><o:record><o:header><o:identifier>'
        b"oai:arXiv.org:2611.00001</o:identifier><o:datestamp>2026-11-02</o:datestamp></o:header>"
        b'<o:metadata><r:arXivRaw><r:version version="v1"><r:date>2 Nov 2026</r:date></r:version>'
        b"<r:title>A&B</r:title><r:categories>cs.RO</r:categories><r:abstract>x<y</r:abstract>"
        b"</r:arXivRaw></o:metadata></o:record></o:ListRecords></o:OAI-PMH>"
    )
    (record,) = oai_xml.parse_page([body]).records
    assert record.fields is not None
    assert (record.fields["title"], record.fields["abstract"]) == ("A&B", "x<y")


@pytest.mark.parametrize("filler", ["<record ", "<![CDATA[", "&", "<", "<record>&#", "]]", "<id>"])
def test_hostile_pages_are_read_in_linear_time(
    filler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the page gives the parser at most twice the characters, and a little."""
    fed = []
    plain = oai_xml._parse

    def counted(parts: list[bytes | str], page: Page) -> object:
        parts = list(parts)
        fed[-1] += sum(map(len, parts))
        return plain(parts, page)

    monkeypatch.setattr(oai_xml, "_parse", counted)
    for count in (500, 1000):
        fed.append(0)
        pieces = oai_mending.split_records(
            oai_server.envelope(f"<ListRecords>{filler * count}</ListRecords>")
        )
        assert pieces is not None
        assert len(pieces.envelope) + sum(map(len, pieces.records)) < 20 * count + 1000
        with contextlib.suppress(FaultError):
            page_of(f"<ListRecords>{filler * count}</ListRecords>")
    assert fed[1] < 2.2 * fed[0] + 2000


def test_a_page_of_far_too_many_records_is_a_fault() -> None:
    records = "<record/>" * (oai_mending.MOST_RECORDS + 1)
    with pytest.raises(FaultError, match="broken XML"):
        page_of(f"<ListRecords>{records}\x0b</ListRecords>")
