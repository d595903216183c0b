"""The account in the cloud: its file, its errors, and its missing values."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shelfmark.cloud import account
from shelfmark.cloud.account import Account
from shelfmark.errors import ShelfmarkError

OURS = Account(
    project="my-project",
    region="europe-west4",
    bucket="my-bucket",
    repository="shelfmark",
    service_account="train@my-project.iam.gserviceaccount.com",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the repository, unchanged."""
    return Path(shutil.copy(account.FILE, tmp_path / "account.yaml"))


def test_a_written_account_reads_back_and_keeps_the_comments(path: Path) -> None:
    account.write_account(Account(), path)
    empty = path.read_text()
    assert empty.count("#") == 6
    account.write_account(OURS, path)
    assert account.read_account(path) == OURS
    assert path.read_text().count("#") == 6
    account.write_account(Account(), path)
    assert account.read_account(path) == Account()
    assert path.read_text() == empty


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("project: My Project", "project: 'My Project': should match"),
        ("region: europe", "region: 'europe'"),
        ("bucket: gs://mine", "bucket: 'gs://mine'"),
        ("service_account: me", "service_account: 'me'"),
        ("projekt: mine", "projekt: 'mine': no such key"),
        ("project: [", "cannot be read"),
    ],
)
def test_an_invalid_name_is_one_line(path: Path, text: str, line: str) -> None:
    path.write_text(text)
    with pytest.raises(ShelfmarkError, match=line):
        account.read_account(path)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="cannot be read"):
        account.read_account(tmp_path / "none.yaml")


def test_missing_keys_are_named_with_the_command_that_fills_them_in() -> None:
    account.require_keys(OURS, *Account.model_fields, without="nothing")
    partly = OURS.model_copy(update={"region": None, "bucket": None})
    assert account.missing_keys(partly, "project", "bucket", "region") == ["bucket", "region"]
    with pytest.raises(ShelfmarkError) as raised:
        account.require_keys(partly, "project", "bucket", "region", without="shelfmark train works")
    assert str(raised.value) == (
        "no bucket, region in configs/cloud/account.yaml: run shelfmark cloud-init; "
        "without an account, shelfmark train works"
    )
