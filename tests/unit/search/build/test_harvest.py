"""`shelfmark harvest --index` adds a harvest to an index, and deletes what arXiv has deleted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shelfmark.cli.main import shelfmark
from shelfmark.cli.parsing.command import run
from shelfmark.search.build.add import add_papers
from tests.support import indexes, oai_server
from tests.support.indexes import paper_records
from tests.support.oai_server import Held, Repository


def test_a_harvest_is_added_and_its_deletions_are_honoured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    settings = indexes.build(folder, paper_records(range(20)))
    held = [Held(f"2611.0000{number}", "2026-11-02") for number in range(3)]
    with oai_server.running(Repository(held)) as served:
        words = [
            "--url", served.url, "--since", "2026-11-01", "--interval", "0",
            "--out", str(folder / "new.jsonl"), "--index", settings.paths.index,
            "--encoders", settings.paths.encoders,
        ]  # fmt: skip
        assert run(shelfmark, ["harvest", *words], "shelfmark") == 0
        assert "3 new, 0 changed, 0 withdrawn, 0 deleted" in capsys.readouterr().out
        served.papers[1] = replace(held[1], datestamp="2026-11-05", deleted=True)
        served.papers.append(Held("1501.00004", "2026-11-05", deleted=True))
        assert run(shelfmark, ["harvest", *words], "shelfmark") == 0
    assert "0 new, 0 changed, 0 withdrawn, 2 deleted" in capsys.readouterr().out
    index = indexes.open_index(settings)
    assert set(index.find_ids([*(one.id for one in held), "1501.00004", "1501.00005"])) == {
        "2611.00000", "2611.00002", "1501.00005"
    }  # fmt: skip
    # What was deleted stays in the notes of the harvest, for an addition that comes later.
    other = indexes.build(folder, paper_records(range(20)), f"paths.index={folder / 'other'}")
    assert add_papers(other, folder / "new.jsonl").deleted == 1


def test_a_harvest_into_a_pipe_or_without_an_index_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["harvest", "--url", "http://127.0.0.1:9/", "--since", "2026-11-01"]
    missing = ["--out", str(folder / "new.jsonl"), "--index", str(folder / "none")]
    for more, reason in (
        (missing, "no index in"),
        (["--out", "-", "--index", str(folder)], "give --out FILE"),
    ):
        with pytest.raises(SystemExit) as ended:
            run(shelfmark, [*words, *more], "shelfmark")
        assert ended.value.code == 1
        assert reason in capsys.readouterr().err
