"""The framing of bodies."""

from __future__ import annotations

import pytest

from shelfmark.service.limits.bodies import check_framing
from shelfmark.service.responses import RefusedError

LENGTH, CODING = (b"content-length", b"5"), (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize(
    ("headers", "version"),
    [([LENGTH, CODING], "1.1"), ([CODING, LENGTH], "1.1"), ([LENGTH, LENGTH], "1.1"),
     ([CODING], "1.0")],
)  # fmt: skip
def test_a_body_with_two_lengths_is_refused(
    headers: list[tuple[bytes, bytes]], version: str
) -> None:
    with pytest.raises(RefusedError) as error:
        check_framing(headers, version)
    assert error.value.response.status_code == 400


@pytest.mark.parametrize("headers", [[], [LENGTH], [CODING]])
def test_a_body_with_one_length_is_accepted(headers: list[tuple[bytes, bytes]]) -> None:
    check_framing(headers, "1.1")
