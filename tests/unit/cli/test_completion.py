"""Completion in three shells: of a command, an option and a group of the configuration."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from shelfmark.cli.completion import VARIABLE
from shelfmark.cli.main import shelfmark
from shelfmark.cli.parsing.command import run
from tests.unit.cli.conftest import Typed

bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")


@bash
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_the_command(typed: Typed, shell: str) -> None:
    status, out, err = typed("completion", shell)
    assert (status, err) == (0, "")
    assert f"{VARIABLE}={shell}_complete" in out


def environment(shell: str, words: list[str]) -> Mapping[str, str]:
    """Return what a shell offers for the words before the cursor, the last of them unfinished."""
    before, incomplete = ["shelfmark", *words[:-1]], words[-1]
    if shell == "fish":
        return {"COMP_WORDS": " ".join(before), "COMP_CWORD": incomplete}
    joined = " ".join([*before, incomplete]).strip()
    return {"COMP_WORDS": joined, "COMP_CWORD": str(len(before))}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tra"], ["train", "train-encoder"]),
        (["load"], ["load-test"]),
        (["predict", "--exp"], ["--explain"]),
        (["train", "experiment=f"], ["experiment=fast"]),
        (["train", "seed=1", "tracking="], ["tracking=local", "tracking=wandb"]),
        (
            ["train", "expe"],
            [f"experiment={x}" for x in ("all", "best", "distilbert", "fast", "seed", "twelve")],
        ),
        (["train", "cloud="], []),
        (["submit", "cloud=v"], ["cloud=vertex_cpu", "cloud=vertex_gpu"]),
        (["drift", "min"], ["min_papers="]),
        (["sweep", "fast", "model=l"], ["model=linear"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_a_word_is_completed(
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    shell: str,
    words: list[str],
    expected: list[str],
) -> None:
    if shell == "bash":  # it divides words at the sign, and completes what is behind it
        words = [part for word in words for part in split_at_sign(word)]
        if "=" in words[-2:]:
            expected = [word.partition("=")[2] for word in expected]
    monkeypatch.setenv(VARIABLE, f"{shell}_complete")
    for name, value in environment(shell, words).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        run(shelfmark, [], "shelfmark")
    assert ended.value.code == 0
    assert [value_of(shell, line) for line in answers(shell, capfd.readouterr().out)] == expected


def split_at_sign(word: str) -> list[str]:
    key, sign, value = word.partition("=")
    return [key, *([sign] if sign else []), *([value] if value else [])]


def answers(shell: str, out: str) -> list[str]:
    lines = out.strip().splitlines()
    return (
        ["\n".join(lines[i : i + 3]) for i in range(0, len(lines), 3)] if shell == "zsh" else lines
    )


def value_of(shell: str, answer: str) -> str:
    if shell == "zsh":  # type, value, help
        return answer.splitlines()[1]
    return answer.partition(",")[2].partition("\t")[0]


@bash
def test_bash_itself_completes(typed: Typed, tmp_path: Path) -> None:
    program = tmp_path / "shelfmark"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m shelfmark.cli "$@"\n')
    program.chmod(0o755)
    script = f"""
{typed("completion", "bash")[1]}
complete -p shelfmark
COMP_WORDS=(shelfmark train experiment = f)
COMP_CWORD=4
_shelfmark_completion {shlex.quote(str(program))}
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    known, completed = done.stdout.splitlines()
    assert known.endswith("_shelfmark_completion shelfmark")
    assert completed == "fast"
