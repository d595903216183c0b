"""Plain requests: what is read as one, h11 reads in the same way."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shelfmark.service.protocol.plain import PlainHead, read_head

PIECES = [
    "GET", "POST", "HEAD", "get", "BREW", "CONNECT", "PRI", "OPTIONS", " ", "  ", "\t", "/", "/a",
    "*", "http://x/", "?q=1", "#f", "%00", "\x00", "\x7f", "\x80", "\xe9", "\x0b", "\x0c", "HTTP/",
    "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "ICE/1.0", "\r\n", "\n", "\r", "\r\n\r\n", "\n\n",
    "Host: x", "host:y", "Host : x", ":", "X: a", "X:", "X: a b", " folded", "Content-Length: 5",
    "Content-Length:", "content-length: 5, 5", "Content-Length: +5", "Content-Length: 0x5",
    "Content-Length: 99999999999999999999999", "Transfer-Encoding: chunked", "Transfer-Encoding:",
    "Connection: close", "Connection: keep-alive", "Connection: close, x", "Connection: Upgrade",
    "Upgrade: h2c", "Expect: 100-continue", "hello", "0\r\n\r\n", "5\r\nhello\r\n",
]  # fmt: skip
LINES = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
ANYTHING = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
REQUESTS = st.builds(
    lambda first, lines, rest: "\r\n".join([first, *lines, "", ""]) + rest,
    st.sampled_from(["GET / HTTP/1.1", "POST /a?b=c HTTP/1.1", "HEAD /%41 HTTP/1.1"]),
    st.lists(st.sampled_from(PIECES) | LINES, max_size=5),
    st.sampled_from(["", "hello", "hello, world", "GET / HTTP/1.1\r\n\r\n"]),
)
NAMES = st.text(st.characters(max_codepoint=255), max_size=8)
HEADERS = st.builds("{}:{}".format, NAMES, NAMES)
WITH_ODD_HEADERS = st.lists(HEADERS | st.just("Host: x"), max_size=4).map(
    lambda lines: "\r\n".join(["GET / HTTP/1.1", *lines, "", ""])
)


def read_by_h11(data: bytes) -> PlainHead:
    """Return the head as h11 reads it.

    Raises:
        h11.RemoteProtocolError: it is no request.
    """
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert request.http_version == b"1.1"
    assert not connection.they_are_waiting_for_100_continue
    headers = [(bytes(name), bytes(value)) for name, value in request.headers]
    [length] = [value for name, value in headers if name == b"content-length"] or [b"0"]
    rest = data[data.index(b"\r\n\r\n") + 4 :]
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    assert body == rest[: int(length)]
    keep_alive = connection.their_state is not h11.MUST_CLOSE
    if event is h11.NEED_DATA:  # the body is not complete, after which h11 decides
        keep_alive = (b"connection", b"close") not in [(n, v.lower()) for n, v in headers]
    method, end = request.method.decode(), len(data) - len(rest)
    return PlainHead(method, bytes(request.target), headers, int(length), keep_alive, end)


@given((ANYTHING | REQUESTS | WITH_ODD_HEADERS).map(lambda text: text.encode("latin-1")))
@example(b"GET / HTTP/1.1\r\nHost: \t x \t\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost:\r\nX: \xff\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 005\r\n\r\nhello")
@example(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: CLOSE\r\nContent-Length: 5\r\n\r\nhel")
def test_what_is_plain_is_read_as_h11_reads_it(data: bytes) -> None:
    head = read_head(data)
    if head is not None:
        assert head == read_by_h11(data)


CURL = b"User-Agent: curl/8.5.0\r\nAccept: */*\r\n"
BROWSER = (
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\n"
    b"Sec-Fetch-Mode: navigate\r\nPriority: u=0, i\r\n"
)


@pytest.mark.parametrize("more", [b"", CURL, BROWSER, b"Connection: close\r\n"])
def test_what_clients_send_is_plain(more: bytes) -> None:
    for method, length in ((b"GET", b""), (b"HEAD", b""), (b"POST", b"Content-Length: 9\r\n")):
        data = method + b" /predict?a=b%20c HTTP/1.1\r\nHost: x\r\n" + more + length + b"\r\n"
        head = read_head(data + b"a body")
        assert head is not None
        assert head == read_by_h11(data + b"a body")
        assert (head.length, head.end) == (9 if length else 0, len(data))


@pytest.mark.parametrize(
    "lines",
    ["", "Host: x\r\nHost: x", "Host: x\r\nX: 1\r\nx: 1", "Host: x\r\nTransfer-Encoding: chunked",
     "Host: x\r\nExpect: 100-continue", "Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c",
     "Host: x\r\nContent-Length: 5, 5", "Host: x\r\n folded", "Host: x\nX: y", "Host : x"],
)  # fmt: skip
def test_what_needs_more_care_is_left_to_h11(lines: str) -> None:
    assert read_head(f"GET / HTTP/1.1\r\n{lines}\r\n\r\n".encode()) is None
    assert read_head(f"GET / HTTP/1.1\r\nHost: x\r\n{lines}".encode()) is None
