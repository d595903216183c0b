"""The parts in which a response is parsed: few enough for a tag that does not end."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from shelfmark.arxiv import oai_xml


@pytest.mark.parametrize("chunks", [250, 1000, 4000])
def test_a_tag_that_does_not_end_is_read_a_few_times(
    chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = []

    class Counted(ET.XMLParser):
        """The parser, which notes the size of each part."""

        def feed(self, data: str | bytes, /) -> None:
            parts.append(len(data))
            super().feed(data)

    monkeypatch.setattr(oai_xml.ET, "XMLParser", Counted)
    with pytest.raises(oai_xml.FaultError, match="broken XML"):
        oai_xml.parse_page([b"<a b='", *[b"x" * 100] * chunks])
    length = 6 + 100 * chunks
    assert sum(parts) == length
    # An Expat before 2.6 reads the tag from its start with each part.
    read = sum(sum(parts[: number + 1]) for number in range(len(parts)))
    assert read <= 12 * length


def test_the_parts_are_the_chunks() -> None:
    chunks = [bytes([number]) * (number % 5) for number in range(200)]
    assert b"".join(oai_xml._growing(chunks)) == b"".join(chunks)
    assert list(oai_xml._growing([])) == [b""]
