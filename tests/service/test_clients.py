"""What clients send: HEAD and OPTIONS, packed bodies, other types and encodings of text."""

from __future__ import annotations

import bz2
import gzip
import json
import re
import zlib
from pathlib import Path

import httpx2 as httpx
import pytest

from shelfmark.service.settings import Settings
from tests.support.raw_http import RawAnswer, request, send
from tests.support.serving import ROBOT
from tests.support.threaded_service import threaded_service

BODY = json.dumps({"text": ROBOT}).encode()
JSON = "Content-Type: application/json"
GZIP = "Content-Encoding: gzip"
VARYING = {"date", "x-request-id"}
READ_PATHS = ["/", "/health", "/ready", "/model", "/docs", "/openapi.json", "/page/page.css",
              "/page/swagger-ui-bundle.js", "/nothing", "/predict", "/docs/"]  # fmt: skip


def post(server: httpx.Client, *headers: str, body: bytes = BODY) -> RawAnswer:
    return send(server, request("POST", "/predict", *headers, body=body))


def problem(answer: RawAnswer, status: int) -> dict[str, str]:
    """Return the one fault that an answer names."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    content = json.loads(answer.body)
    assert content["status"] == status
    [error] = content["errors"]
    assert content["detail"] == f"{error['field']}: {error['problem']}"
    return {error["field"]: error["problem"]}


@pytest.mark.parametrize("path", READ_PATHS)
def test_head_is_answered_as_get_without_the_content(server: httpx.Client, path: str) -> None:
    get, head = (send(server, request(method, path)) for method in ("GET", "HEAD"))
    assert head.status == get.status
    assert head.body == b""
    assert {name: value for name, value in head.headers.items() if name not in VARYING} == {
        name: value for name, value in get.headers.items() if name not in VARYING
    }
    assert int(head.headers["content-length"]) == len(get.body)


def test_the_metrics_answer_head_too_and_count_it(server: httpx.Client) -> None:
    head = send(server, request("HEAD", "/metrics"))
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 1000
    send(server, request("HEAD", "/health"))
    send(server, request("HEAD", "/openapi.json"))
    metrics = server.get("/metrics").text
    for path in ("/metrics", "/health", "/openapi.json"):
        series = f'shelfmark_requests_total{{method="HEAD",route="{path}",status="200"}}'
        assert re.search(rf"^{re.escape(series)} [1-9]", metrics, re.MULTILINE)


def test_a_refusal_is_counted_as_an_answer_of_its_route(server: httpx.Client) -> None:
    post(server, "Content-Type: text/plain")
    send(server, request("POST", "/nothing", JSON, body=BODY))
    metrics = server.get("/metrics").text
    for route, status in (("/predict", 415), ("none", 404)):
        series = f'shelfmark_requests_total{{method="POST",route="{route}",status="{status}"}}'
        assert re.search(rf"^{re.escape(series)} [1-9]", metrics, re.MULTILINE)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/predict", "OPTIONS, POST"),
        ("/health", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_and_a_wrong_method_name_the_methods(
    server: httpx.Client, path: str, methods: str
) -> None:
    answer = send(server, request("OPTIONS", path))
    assert (answer.status, answer.body, answer.headers["allow"]) == (204, b"", methods)
    for method in ("PATCH", "DELETE", "TRACE", "BREW"):
        answer = send(server, request(method, path))
        assert (answer.status, answer.headers["allow"]) == (405, methods)
        assert json.loads(answer.body)["detail"] == f"This address takes {methods}."
    assert send(server, request("OPTIONS", "/nothing")).status == 404


def test_a_target_may_name_the_host_or_the_whole_service(server: httpx.Client) -> None:
    for host in ("http://x", "HTTPS://other.example:80"):
        assert json.loads(send(server, request("GET", f"{host}/health")).body)["status"] == "alive"
        assert send(server, request("POST", f"{host}/load", JSON, body=BODY)).status == 401
    assert send(server, request("GET", "http://x")).headers["content-type"].startswith("text/html")
    answer = send(server, request("OPTIONS", "*"))
    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")


@pytest.mark.parametrize(
    ("path", "location"),
    [("/docs/", "../docs"), ("/model/?a=b%20c", "../model?a=b%20c"), ("/predict/", "../predict"),
     ("/page/page.js/", "../page.js")],
)  # fmt: skip
def test_a_slash_too_many_is_a_redirect_without_a_host(
    server: httpx.Client, path: str, location: str
) -> None:
    answer = send(server, request("GET", path, "X-Forwarded-Host: evil.example"))
    assert (answer.status, answer.headers["location"]) == (307, location)


@pytest.mark.parametrize(
    "path", ["//docs/", "//evil.example/", "/docs//", "/nothing/", "/health/x/"]
)
def test_what_is_no_path_with_a_slash_too_many_is_not_redirected(
    server: httpx.Client, path: str
) -> None:
    assert send(server, request("GET", path)).status == 404


def packed(*parts: bytes) -> bytes:
    return b"".join(gzip.compress(part, mtime=0) for part in parts)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([GZIP], packed(BODY)),
        (["content-ENCODING: GZip"], packed(BODY)),
        (["Content-Encoding: x-gzip"], packed(BODY)),
        (["Content-Encoding: identity, gzip"], packed(BODY)),
        (["Content-Encoding: identity", GZIP], packed(BODY)),
        ([GZIP], packed(BODY[:9], BODY[9:])),
        ([GZIP], packed(b"", BODY, b"")),
        ([GZIP], packed(BODY + 1_000_000 * b" ")),
        ([GZIP], gzip.compress(BODY, 0, mtime=0)),
        (["Content-Encoding: identity"], BODY),
        (["Content-Encoding:"], BODY),
    ],
)
def test_a_packed_body_is_read(server: httpx.Client, headers: list[str], body: bytes) -> None:
    answer = post(server, JSON, *headers, body=body)
    assert answer.status == 200
    assert json.loads(answer.body) == server.post("/predict", json={"text": ROBOT}).json()


def test_a_packed_body_may_come_byte_by_byte(server: httpx.Client) -> None:
    chunks = b"".join(b"1\r\n%b\r\n" % bytes([byte]) for byte in packed(BODY)) + b"0\r\n\r\n"
    head = request("POST", "/predict", JSON, GZIP, "Transfer-Encoding: chunked")
    assert send(server, head + chunks).status == 200


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"\x8b\x0a"), ("zstd", b"\x28\xb5\x2f\xfd"), ("deflate", zlib.compress(BODY)),
     ("gzip, gzip", packed(packed(BODY))), ("bzip2", bz2.compress(BODY)), ("utf-8", BODY),
     ("gzip;q=1", packed(BODY)), ("*", BODY)],
)  # fmt: skip
def test_another_encoding_is_refused_and_the_accepted_one_named(
    server: httpx.Client, encoding: str, body: bytes
) -> None:
    answer = post(server, JSON, f"Content-Encoding: {encoding}", body=body)
    assert problem(answer, 415) == {
        "Content-Encoding": f"should be gzip or missing, not {encoding}"
    }
    assert answer.headers["accept-encoding"] == "gzip"


DAMAGED = "is not gzip, as Content-Encoding says, or is damaged"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (BODY, DAMAGED),
        (zlib.compress(BODY), DAMAGED),
        (packed(BODY)[:-1], "ends before its gzip data does"),
        (packed(BODY)[:5], "ends before its gzip data does"),
        (packed(BODY)[:-8] + bytes(8), DAMAGED),
        (packed(BODY) + b"garbage", DAMAGED),
        (packed(BODY) + packed(BODY)[:5], "ends before its gzip data does"),
        (1001 * packed(b""), "has more than 1,000 members of gzip"),
        (b"\x1f\x8b\x08\xe0" + packed(BODY)[4:], DAMAGED),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_named(
    server: httpx.Client, body: bytes, fault: str
) -> None:
    assert problem(post(server, JSON, GZIP, body=body), 400) == {"body": fault}


def test_the_limit_of_a_body_holds_for_what_it_unpacks_to(home: Path) -> None:
    limit = 4096
    chosen = Settings(models=str(home / "models"), model="quick", max_body_bytes=limit)
    with threaded_service(chosen) as client:
        fits = BODY + (limit - len(BODY)) * b" "
        assert post(client, JSON, GZIP, body=packed(fits)).status == 200
        fault = {"body": "is larger than 4,096 bytes when unpacked"}
        assert problem(post(client, JSON, GZIP, body=packed(fits + b" ")), 413) == fault
        bomb = packed(300 * limit * b" ")
        assert len(bomb) < limit
        assert problem(post(client, JSON, GZIP, body=bomb), 413) == fault
        incompressible = gzip.compress(fits, 0, mtime=0)
        assert len(incompressible) > limit
        fault = {"body": "is larger than 4,096 bytes"}
        assert problem(post(client, JSON, GZIP, body=incompressible), 413) == fault


def test_what_a_body_unpacks_to_counts_as_memory(home: Path) -> None:
    values = {"models": str(home / "models"), "model": "quick", "buffer_bytes": 100_000}
    with threaded_service(Settings.model_validate(values)) as client:
        assert post(client, JSON, GZIP, body=packed(BODY)).status == 200
        answer = post(client, JSON, GZIP, body=packed(BODY + 200_000 * b" "))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert post(client, JSON, GZIP, body=packed(BODY)).status == 200, "the memory is returned"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"',
     "application/json; charset=us-ascii", "application/ld+json", "application/vnd.api+json",
     "application/json; profile=x", "application/json; charset="],
)  # fmt: skip
def test_json_has_several_names(server: httpx.Client, content_type: str) -> None:
    assert post(server, f"Content-Type: {content_type}").status == 200


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "text/plain", "text/json", "application/jsonp",
     "multipart/form-data; boundary=x", "application/octet-stream", "json", "*/*",
     "application/json, text/plain", "application/xml+jsonx"],
)  # fmt: skip
def test_another_type_is_refused_and_named(server: httpx.Client, content_type: str) -> None:
    answer = post(server, f"Content-Type: {content_type}")
    wanted = f"should be application/json, not {content_type}"
    assert problem(answer, 415) == {"Content-Type": wanted}


@pytest.mark.parametrize("headers", [[], ["Content-Type:"]])
def test_a_missing_type_is_named(server: httpx.Client, headers: list[str]) -> None:
    fault = {"Content-Type": "should be application/json, but is missing"}
    assert problem(post(server, *headers), 415) == fault


def test_two_types_are_not_chosen_from(server: httpx.Client) -> None:
    fault = {"Content-Type": "should be application/json, not text/plain"}
    assert problem(post(server, JSON, "Content-Type: text/plain"), 415) == fault


def test_a_long_type_is_cut(server: httpx.Client) -> None:
    answer = post(server, f"Content-Type: {'x' * 1000}/\xe9")
    assert len(answer.body) < 400
    assert problem(answer, 415)["Content-Type"].endswith("xxx...")


@pytest.mark.parametrize("charset", ["iso-8859-1", "latin1", "UTF-16", "windows-1252"])
def test_another_character_set_is_refused(server: httpx.Client, charset: str) -> None:
    body = '{"text": "Poincaré"}'.encode()
    fault = problem(post(server, f"{JSON}; charset={charset}", body=body), 415)
    assert fault == {"Content-Type": f"should have no charset but utf-8, not {charset.lower()}"}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"text": "Poincar\xe9 robot"}', "should be UTF-8, but has the byte 0xE9 at 17"),
        ('{"text": "robot"}'.encode("utf-16"), "should be UTF-8, not UTF-16 or UTF-32"),
        (b'{"text": NaN}', "has NaN, which is not JSON"),
        (b"null", "should be an object"),
        (b"", "is empty, but should be a JSON object"),
        (b" \r\n", "invalid JSON at character 3"),
        (b"text=a+robot", "invalid JSON at character 0"),
        (b"{'text': 'a'}", "invalid JSON at character 1"),
    ],
)
def test_a_body_that_is_no_json_is_named(server: httpx.Client, body: bytes, fault: str) -> None:
    headers = [JSON] if body else [JSON, "Content-Length: 0"]
    assert problem(post(server, *headers, body=body), 422) == {"body": fault}


def test_a_body_with_a_byte_order_mark_is_read(server: httpx.Client) -> None:
    assert post(server, JSON, body=b"\xef\xbb\xbf" + BODY).status == 200


def test_a_key_given_twice_is_not_chosen_from(server: httpx.Client) -> None:
    body = b'{"text": "a robot", "text": "a galaxy"}'
    assert problem(post(server, JSON, body=body), 422) == {"text": "is given twice"}


def test_every_refusal_is_in_the_contract(server: httpx.Client) -> None:
    document = server.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert set(schemas["Problem"]["properties"]) == {"type", "title", "status", "detail", "errors"}
    assert "FieldError" in schemas
    statuses = {"400", "413", "415", "422", "503", "504"}
    for path in ("/predict", "/load"):
        responses = document["paths"][path]["post"]["responses"]
        assert statuses <= set(responses)
        for status, response in responses.items():
            if status != "200":
                [media_type] = response["content"]
                schema = response["content"][media_type]["schema"]
                assert media_type == "application/problem+json"
                assert schema == {"$ref": "#/components/schemas/Problem"}
    references = re.findall(r'"\$ref": ?"([^"]+)"', json.dumps(document))
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in schemas
