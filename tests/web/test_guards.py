"""What every request must pass, and what every answer carries."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assent.web.settings import WebSettings
from tests.web.doors import HTML
from tests.web.place import place, served

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@pytest.mark.parametrize("path", ["/health", "/sign-in", "/nothing", "/api/v1/me", "/sign-in/x", "/decide/x.y"])
async def test_every_answer_carries_the_headers(path: str) -> None:
    async with place() as there, there.client() as client:
        for answer in (await client.get(path), await client.post(path), await client.get(path, headers=HTML)):
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
            assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8400", 200),
        ("localhost:8400", 200),
        ("LOCALHOST", 200),
        ("[::1]:8400", 200),
        ("assent.internal", 200),
        ("Assent.Internal:9", 200),
        ("evil.com", 421),
        ("127.0.0.1.evil.com", 421),
        ("evil.com:8400", 421),
        ("", 400),
        ("a b", 400),
        ("user@127.0.0.1", 400),
        ("127.0.0.1/x", 400),
        ("[", 400),
    ],
)
async def test_only_known_hosts_are_served(host: str, status: int) -> None:
    settings = WebSettings(allowed_hosts=["assent.internal"])
    async with place(settings=settings) as there, there.client() as client:
        assert (await client.get("/health", headers={"Host": host})).status_code == status


async def test_names_of_this_machine_are_not_known_to_a_server_for_others() -> None:
    settings = WebSettings(base_url="https://assent.example.com")
    async with place(settings=settings) as there, there.client() as client:
        statuses = [
            (await client.get("/health", headers={"Host": host})).status_code
            for host in ("assent.example.com", "ASSENT.example.com", "localhost", "127.0.0.1:8400")
        ]
        assert statuses == [200, 200, 421, 421]


async def test_two_hosts_are_none() -> None:
    async with place() as there, there.client() as client:
        request = client.build_request("GET", "/health")
        request.headers = type(request.headers)([("Host", "127.0.0.1:8400"), ("Host", "127.0.0.1:8400")])
        assert (await client.send(request)).status_code == 400


async def test_a_body_that_is_too_large_is_refused_before_and_while_it_comes() -> None:
    settings = WebSettings(body_limit=1000)
    async with place(settings=settings) as there, there.client("operator@company.com") as client:
        announced = await client.post("/api/v1/executions", content=b"x" * 1001)
        assert (announced.status_code, announced.json()["type"]) == (413, "urn:assent:content-too-large")
        assert announced.headers["connection"] == "close"

        async def drip() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b"x" * 100

        streamed = await client.post(
            "/api/v1/executions",
            content=drip(),
            headers={"Content-Type": "application/json"},
        )
        assert streamed.status_code == 413
        fits = {"name": "quote", "arguments": {"item": "x" * 900}}
        assert (await client.post("/api/v1/executions", json=fits)).status_code == 202


async def test_a_form_with_files_or_endless_fields_is_refused() -> None:
    async with place() as there, there.client() as client:
        files = {"token": ("token.txt", b"x")}
        assert (await client.post("/sign-in", files=files)).status_code == 400
        many = {f"field{number}": "x" for number in range(50)}
        assert (await client.post("/sign-in", data=many)).status_code == 400


async def _raw(url: str, *parts: bytes) -> tuple[bytes, float]:
    """Send the parts and nothing more; what came back until the server closed, and after how long."""
    host, port = url.removeprefix("http://").split(":")
    began = asyncio.get_running_loop().time()
    reader, writer = await asyncio.open_connection(host, int(port))
    for part in parts:
        writer.write(part)
        await writer.drain()
    try:
        answer = await reader.read()
    except ConnectionResetError:
        answer = b""
    writer.close()
    return answer, asyncio.get_running_loop().time() - began


QUICK = WebSettings(request_seconds=0.3)


async def test_connections_on_which_nothing_comes_are_closed(tmp_path: Path) -> None:
    async with served(tmp_path / "assent.db", settings=QUICK) as there:
        slow = await asyncio.gather(
            _raw(there.base_url),
            _raw(there.base_url, b"GET /health HT"),
            _raw(there.base_url, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-More: "),
        )
    assert [answer for answer, _ in slow] == [b""] * 3
    assert all(1.0 < took < 10 for _, took in slow)


async def test_a_connection_is_closed_whose_request_was_answered_before_it_was_all_there(tmp_path: Path) -> None:
    head = b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [b"10000\r\n" + b"a" * 0x10000 + b"\r\n"] * 32
    async with served(tmp_path / "assent.db", settings=QUICK) as there, asyncio.timeout(20):
        _, took = await _raw(there.base_url, head, *chunks, b"0\r\n\r\n")
    assert took < 10


async def test_a_body_that_does_not_come_is_answered_and_hung_up(tmp_path: Path) -> None:
    async with served(tmp_path / "assent.db", settings=QUICK) as there:
        head = (
            b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        )
        answer, took = await _raw(there.base_url, head + b"token=")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 0.3 <= took < 10


async def test_a_quick_client_keeps_its_connection(tmp_path: Path) -> None:
    async with served(tmp_path / "assent.db", settings=QUICK) as there, there.client() as client:
        for _ in range(3):
            assert (await client.get("/health")).status_code == 200
        host, port = there.base_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as idle:
            assert idle.fileno() > 0
            assert (await client.get("/health")).status_code == 200
