from __future__ import annotations

from pathlib import Path

import pytest
from loguru import logger

from shelfmark.search.query.search_query import SearchQuery
from shelfmark.service.responses import RefusedError
from shelfmark.service.search.answering import search_answerer
from shelfmark.service.telemetry import Telemetry
from tests.support import hashed_encoder, indexes


def test_a_search_that_fails_is_refused_without_the_reason_that_the_log_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed_encoder.register(monkeypatch)
    indexes.save_encoder(tmp_path)
    settings = indexes.build(tmp_path, indexes.paper_records(range(20)))
    index = indexes.open_index(settings)
    answer = search_answerer(index, lambda title, abstract: {}, Telemetry())
    assert isinstance(answer([SearchQuery("robot")])[0], bytes)
    [vectors] = Path(settings.paths.index).glob("segments/*/vectors.npy")
    vectors.write_bytes(b"")  # its content was checked when it was opened
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message}")
    with pytest.raises(RefusedError) as caught:
        answer([SearchQuery("robot")])
    logger.remove(sink)
    indexes.close_all()
    response = caught.value.response
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert str(tmp_path).encode() not in response.body
    assert f"a search failed: {vectors} is damaged" in "".join(logged)
