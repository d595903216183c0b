"""Overrides as people type them: paths with any characters, lists, quotes and mistakes."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from shelfmark.config.load import compose_values, load_config, load_drift_config
from shelfmark.config.overrides import quote, read_overrides
from shelfmark.errors import ShelfmarkError

NAMES = (
    "archive (1).json", "(2).json", "arXiv – März.json", "日本語.jsonl", "a,b.json", "a=b.json",
    "=a.json", "a==b&c=d.json", "R&D.json", "it's.json", "'tis.json", 'a"b.json', '5" disk.json',
    "a+b.json", "a#1.json", "#1.json", "50%.json", "$HOME.json", "a$b.json", "${draft",
    "a@b.json",
    "@a.json", "wow!.json", "a;b.json", "a:b.json", "12:30.json", " a b  c.json ", "[a].json",
    "[a,b", "a]", "{a}.json", "{a:1}", "-a.json", "--file", "-", "a\\b.json",
    "C:\\papers\\(1).json",
    "a\nb.json", "a\tb.json", "a*b?.json", "glob(x)", "choice(a,b)", "int(3)", "2018", "1e5",
    "true", "nan", "???", "a^b|c<d>e.json", "~$draft.csv", "~draft", "`a`.json",
    "\U0001f600.json", "a\u200bb",
    "SHELFMARK_TEXT_0_", "x" * 200,
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sign", ["", "++"])
def test_a_path_is_the_rest_of_the_word(name: str, sign: str) -> None:
    overrides = ["data=snapshot", f"{sign}data.path={name}", "data.min_papers=5"]
    loaded = load_config(overrides)
    assert loaded.data.path == name
    assert loaded.data.min_papers == 5
    assert load_config([f"paths.data={name}"]).paths.data == name
    assert load_config(["data=csv", f"data.path={quote(name)}"]).data.path == name


@pytest.mark.parametrize(
    "name", [*NAMES, "'a'", '"a b"', "[a.zip]", "[a.zip,b.zip]", "${oc.env:A}"]
)
def test_a_file_is_read_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    assert load_config(["data=snapshot", f"data.path={name}"]).data.path == name


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("'a b.json'", "a b.json"),
        ('"archive (1).json"', "archive (1).json"),
        ("'it\\'s.json'", "it's.json"),
        ('"a\\"b.json"', 'a"b.json'),
        ('""', ""),
        ("", ""),
        ("null", None),
        ("gs://bucket/a (1).zip", "gs://bucket/a (1).zip"),
        ("file:///a b", "file:///a b"),
        ("~/arxiv.json", "/home/of me/arxiv.json"),
        ("~", "/home/of me"),
        ("'~/a b.json'", "/home/of me/a b.json"),
        ("a/~/b", "a/~/b"),
        ("${oc.env:HOME}/a.json", "/home/of me/a.json"),
        ("${oc.env:HOME}/a (1).json", "/home/of me/a (1).json"),
        ('"${oc.env:HOME}/a (1).json"', "/home/of me/a (1).json"),
    ],
)
def test_quotes_home_and_interpolations_keep_their_meaning(
    typed: str, path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/of me")
    assert load_config(["data=snapshot", f"data.path={typed}"]).data.path == path


@pytest.mark.parametrize(
    ("typed", "paths"),
    [
        (
            "[a.zip,b.jsonl.zst,harvest/papers.jsonl]",
            ["a.zip", "b.jsonl.zst", "harvest/papers.jsonl"],
        ),
        ("[a.zip]", ["a.zip"]),
        ("[ a.zip , b.zip,]", ["a.zip", "b.zip"]),
        (
            "[archive (1).json,März.json,R&D=1.json]",
            ["archive (1).json", "März.json", "R&D=1.json"],
        ),
        ("['a, b.json',\"c's.json\"]", ["a, b.json", "c's.json"]),
        ("[it's.json,b [1].json]", ["it's.json", "b [1].json"]),
        ("[~/a.json,'~/b, c.json']", ["/home/of me/a.json", "/home/of me/b, c.json"]),
        ("[${oc.env:HOME}/a (1).json,2018]", ["/home/of me/a (1).json", "2018"]),
        ("[gs://bucket/*.zip,papers/*.jsonl]", ["gs://bucket/*.zip", "papers/*.jsonl"]),
        ("[]", []),
    ],
)
def test_a_list_names_several_files(
    typed: str, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/of me")
    assert load_config(["data=snapshot", f"data.path={typed}"]).data.path == paths


def test_a_tilde_that_is_the_name_of_a_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "a.json").touch()
    assert load_config(["data=snapshot", "data.path=~/a.json"]).data.path == "~/a.json"


def test_an_escape_of_hydra_names_the_file_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my papers.csv").touch()
    assert load_config(["data=csv", "data.path=my\\ papers.csv"]).data.path == "my papers.csv"


@pytest.mark.parametrize(
    ("typed", "files"),
    [
        ("'a'", ["a", "'a'"]),
        ("a\\ b", ["a b", "a\\ b"]),
        ("[a]", [["a"], "[a]"]),
        ("[a,b (1)]", [["a", "b (1)"], "[a,b (1)]"]),
    ],
)
def test_two_readings_give_one_line_that_shows_how_to_write_each(
    typed: str, files: list[str | list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in files:
        for one in name if isinstance(name, list) else [name]:
            (tmp_path / one).touch()
    with pytest.raises(ShelfmarkError, match="there are files for two readings: write ") as raised:
        load_config(["data=csv", f"data.path={typed}"])
    first, second = str(raised.value).partition(": write ")[2].split(" or ")
    read = [load_config(["data=csv", *shlex.split(way)]).data.path for way in (first, second)]
    assert read == files


def test_a_name_that_is_not_utf_8_is_refused_in_one_line() -> None:
    name = os.fsdecode(b"caf\xe9.json")
    with pytest.raises(ShelfmarkError, match=r"^data.path: caf\\xe9.json is not UTF-8"):
        load_config(["data=snapshot", f"data.path={name}"])


@pytest.mark.parametrize("text", ["", "a", 'a"', "\\", 'a\\"b\\\\', "é (1), x=y", "'", "\n"])
def test_what_quote_writes_is_read_back(text: str) -> None:
    assert load_config(["data=csv", f"data.path={quote(text)}"]).data.path == text


def test_other_texts_stand_as_they_are_and_other_values_keep_their_types() -> None:
    loaded = load_config(
        [
            "tracking=wandb", "tracking.project=R&D (new)", "tracking.entity='a b'",
            "model.max_depth=3", "features.ngram_range=[1, 3]", "+model.params.gamma=1",
            "+data.options.column=Résumé (long)", "data.options.papers=5",
            "+data.options.flag=true",
            "data.labels={theory:[cs.CC,cs.DS],rest:[cs]}", "features.max_df=1.0",
        ]
    )  # fmt: skip
    assert (loaded.tracking.project, loaded.tracking.entity) == ("R&D (new)", "a b")
    assert loaded.model.params == {"gamma": 1}  # type: ignore[attr-defined]
    assert loaded.data.options["column"] == "Résumé (long)"
    assert (loaded.data.options["papers"], loaded.data.options["flag"]) == (5, True)
    assert loaded.data.labels == {"theory": ["cs.CC", "cs.DS"], "rest": ["cs"]}


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("model.max_depth=[1", "model.max_depth: '[1': should be a whole number"),
        ("model.max_depth=(3)", "model.max_depth: '(3)': should be a whole number"),
        ("model.max_depth=3,4", "model.max_depth: '3,4': should be a whole number"),
        ("model.max_depth=range(1,3)", "model.max_depth: 'range(1,3)': should be a whole number"),
        ("model.max_depth=é", "model.max_depth: 'é': should be a whole number"),
        ("seed='7", 'seed: "\'7": should be a whole number'),
        ("features.ngram_range=[1,", "features.ngram_range: '[1,': should be a list"),
        ("features.sublinear_tf=yes!", "features.sublinear_tf: 'yes!': should be true or false"),
        ("features.stop_words=(english)", "features.stop_words: '(english)': should be 'english'"),
        ("data.cuts.test=2018/01/01", "data.cuts.test: '2018/01/01': should be a date"),
        ("data=snap(shot)", "data=snap(shot): no such data; did you mean snapshot?; there are"),
        ("data=é", "data=é: no such data; there are csv"),
        ("data.pth=a (1)", "data.pth: no such key; did you mean data.path?"),
        ("data..path=a", "data..path: no such key; did you mean data.path?"),
        ("data.path[0]=a", "data.path[0]: no such key; did you mean data.path?"),
        ("hydra.run.dir=x", "hydra.run.dir: no such key"),
        ("+hydra.run.dir=x", "hydra.run.dir: no such key"),
        ("hydra/launcher=basic", "hydra/launcher: no such key"),
        ("~hydra.run", "hydra.run: no such key"),
        ("model.params.gamma=1", "no such key; write +model.params.gamma=1 for a new one"),
        ("+seed=3", "seed is there already: write seed=3"),
        ("~data.path=(", "no override: give key=value, +key=value or ~key"),
        ("path", "no such key"),
    ],
)
def test_a_mistake_is_one_line_without_the_parsers_words(word: str, line: str) -> None:
    with pytest.raises(ShelfmarkError) as raised:
        load_config([word])
    assert line in str(raised.value)
    assert not re.search("Exception|expecting|token|mismatched|Lexer|TEXT_", str(raised.value))


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("level=[1", "level: '[1': should be a number"),
        ("level=abc", "level: 'abc': should be a number"),
        ("level=2", "level: 2: should be less than 1"),
        ("keep=1.5", "keep: 1.5: should be a whole number"),
        ("keep={", "keep: '{': should be a whole number"),
        ("+level=1", "+level: no such key; did you mean level?"),
        ("levl=1", "levl: no such key; did you mean level?"),
    ],
)
def test_a_mistake_in_a_limit_of_drift_is_one_line(word: str, line: str) -> None:
    with pytest.raises(ShelfmarkError) as raised:
        load_drift_config([word])
    assert str(raised.value) == line


def test_limits_of_drift_are_numbers_in_any_form() -> None:
    assert load_drift_config(["level=1e-2", "keep=3"]).level == 0.01


def test_words_are_sent_on_as_they_were_typed() -> None:
    words = ["data=snapshot", 'data.path="gs://b/a (1).zip"', "paths.data=a, b"]
    assert compose_values(words)["data"]["path"] == "gs://b/a (1).zip"
    assert words == ["data=snapshot", 'data.path="gs://b/a (1).zip"', "paths.data=a, b"]
    assert len(read_overrides(words).words) == len(words)
