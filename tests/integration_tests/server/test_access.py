"""Who may use the server: keys, the origins of web pages, and the names by which it is called."""

import asyncio
import http.client
from contextlib import closing
from typing import Any

import pytest
from pydantic import SecretStr

from langchain_darkai.server import LocalServer
from tests.support.app_client import serving, soon
from tests.support.models import scripted


@pytest.mark.parametrize("key", ["s3cret", "schlüssel", SecretStr("s3cret"), " s3cret\n"])
async def test_clients_need_the_key(key: Any) -> None:
    plain = (key.get_secret_value() if isinstance(key, SecretStr) else key).strip()
    async with serving(scripted("Hi"), api_key=key) as client:
        for method, path in (("POST", "/chat"), ("GET", "/models")):
            for headers in (
                {},
                {"authorization": "Bearer wrong"},
                {"authorization": plain},
                {"authorization": "Bearer"},
            ):
                async with client.session.request(
                    method, client.url + path, json={"query": "Hi"}, headers=headers
                ) as response:
                    assert response.status == 401
                    assert response.headers["www-authenticate"] == "Bearer"
                    error = (await response.json())["error"]
                    assert error["type"] == "ModelAuthenticationError"
                    what = "The API key was rejected" if headers else "An API key is needed"
                    assert error["message"] == f"{what}: send the header Authorization: Bearer KEY."
                    assert plain not in error["message"]
            for scheme in ("Bearer", "bearer"):
                async with client.session.request(
                    method, client.url + path, json={"query": "Hi"}, headers={"authorization": f"{scheme} {plain}"}
                ) as response:
                    assert response.status == 200
        async with client.session.get(f"{client.url}/health") as response:
            assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_pages_of_other_origins_are_refused() -> None:
    for allowed in ([], ["https://app.example"]):
        async with (
            serving(scripted("Hi"), cors_origins=allowed) as client,
            client.chat(headers={"origin": "https://evil.example"}) as response,
        ):
            assert response.status == 403
            assert "access-control-allow-origin" not in response.headers
            assert (await response.json())["error"]["type"] == "ModelPermissionDeniedError"


@pytest.mark.parametrize("allowed", ["https://app.example", "*"])
async def test_pages_of_allowed_origins_are_served(allowed: str) -> None:
    async with serving(scripted("Hi"), cors_origins=[allowed], api_key="k") as client:
        preflight = {
            "origin": "https://app.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        }
        async with client.session.options(f"{client.url}/chat", headers=preflight) as response:
            assert response.status == 204
            assert response.headers["access-control-allow-origin"] == "https://app.example"
            assert response.headers["access-control-allow-headers"] == "authorization,content-type"
            assert "POST" in response.headers["access-control-allow-methods"]
            assert response.headers["vary"] == "origin"
        for key, status in (("k", 200), ("x", 401)):
            headers = {"origin": "https://app.example", "authorization": f"Bearer {key}"}
            async with client.chat(headers=headers) as response:
                assert response.status == status
                assert response.headers["access-control-allow-origin"] == "https://app.example"


@pytest.mark.parametrize(
    ("headers", "allowed", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, [], 403),
        ({"sec-fetch-site": "same-site"}, [], 403),
        ({"sec-fetch-site": "cross-site"}, ["https://app.example"], 403),
        ({"sec-fetch-site": "cross-site", "origin": "null"}, ["https://app.example"], 403),
        ({"sec-fetch-site": "cross-site", "origin": "https://app.example"}, ["https://app.example"], 200),
        ({"sec-fetch-site": "cross-site"}, ["*"], 200),
        ({"sec-fetch-site": "same-origin"}, [], 200),
        ({"sec-fetch-site": "none"}, [], 200),
        ({}, [], 200),
    ],
)
@pytest.mark.parametrize("path", ["/health", "/models"])
async def test_what_a_browser_asks_for_a_page_of_another_site_is_refused(
    path: str, headers: dict[str, str], allowed: list[str], status: int
) -> None:
    """A browser says of images and scripts of a page, too, whether page and server belong together."""
    async with (
        serving(scripted("Hi"), cors_origins=allowed) as client,
        client.session.get(client.url + path, headers=headers) as response,
    ):
        assert response.status == status


LOCAL = ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1", "127.0.0.1:1", "127.0.0.9", "[::1]", "[::1]:8000"]
FOREIGN = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", ""]
FOREIGN += ["[::1].evil.example", "[::1]evil", "[localhost]x", "[localhost]", "127.0.0.1:evil", "localhost:80x", "::1"]
FOREIGN += [
    "[::1",
    "localhost]",
    "localhost/evil",
    "localhost localhost",
    "[::1]:80:80",
    "[2001:db8::1]",
    "evil@localhost",
    "x" * 5000,
    "localhost:80:80",
]


@pytest.mark.parametrize("path", ["/chat", "/models", "/health", "/nowhere"])
async def test_a_local_server_answers_to_local_names_only(path: str) -> None:
    """A page can let a name of its own point at this machine, and would then read what is answered to that name."""
    async with serving(scripted("Hi")) as client:
        for host in FOREIGN:
            async with client.session.get(client.url + path, headers={"host": host}) as response:
                assert response.status == 421, host
                error = (await response.json())["error"]
                assert (error["type"], error["status"]) == ("ModelInvalidRequestError", 421)
                assert "allowed_hosts" in error["message"]
                assert len(error["message"]) < 400
        for host in LOCAL:
            async with client.session.get(client.url + path, headers={"host": host}) as response:
                assert response.status != 421, host


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://evil.example/models", 421),
        ("http://localhost.evil.example/models", 421),
        ("HTTPS://evil.example:80/models", 421),
        ("http://localhost/models", 200),
        ("http://127.0.0.1:8000/models", 200),
        ("http://[::1]:8000/models", 200),
        ("/models?http://evil.example/", 200),
    ],
)
async def test_the_name_in_the_first_line_of_a_request_is_checked_too(target: str, status: int) -> None:
    async with serving(scripted("Hi")) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        assert f" {status} ".encode() in await soon(reader.readline())
        writer.close()
        await writer.wait_closed()


async def test_a_request_without_a_host_is_answered() -> None:
    async with serving(scripted("Hi")) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        assert b" 200 " in await soon(reader.readline())
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("allowed", "served", "refused"),
    [
        (["chat.example", "Other.example:80"], ["chat.example", "CHAT.example:443", "other.example"], ["evil.example"]),
        (["*"], ["evil.example"], []),
        (["::1", "2001:db8::1"], ["[2001:db8::1]:80"], ["evil.example"]),
    ],
)
async def test_further_names_can_be_allowed(allowed: list[str], served: list[str], refused: list[str]) -> None:
    async with serving(scripted("Hi"), allowed_hosts=allowed) as client:
        for host, status in [*((host, 200) for host in [*served, "localhost"]), *((host, 421) for host in refused)]:
            async with client.session.get(f"{client.url}/health", headers={"host": host}) as response:
                assert response.status == status, host


@pytest.mark.parametrize(
    ("listens_on", "options", "status"),
    [
        ("127.0.0.1", {}, 421),
        ("localhost", {}, 421),
        ("127.0.0.1", {"allowed_hosts": ["chat.example"]}, 200),
        ("0.0.0.0", {}, 200),
        ("0.0.0.0", {"allowed_hosts": ["other.example"]}, 421),
    ],
)
def test_only_a_server_that_listens_on_loopback_asks_for_its_name(listens_on: str, options: Any, status: int) -> None:
    with LocalServer(scripted("Hi"), host=listens_on, api_key="k", **options) as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
        with closing(connection):
            connection.request("GET", "/health", headers={"host": "chat.example:8000"})
            assert connection.getresponse().status == status
