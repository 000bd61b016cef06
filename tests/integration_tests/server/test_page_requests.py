"""The answer at `/`, its headers, and who may call the server as its page."""

import base64
import hashlib
import re

import pytest

from tests.support.app_client import serving
from tests.support.models import scripted


async def test_the_page_is_one_answer_that_runs_its_own_script_only() -> None:
    async with serving(scripted("Hi"), api_key="k") as client, client.session.get(client.url) as response:
        assert (response.status, response.content_type, response.charset) == (200, "text/html", "utf-8")
        html = await response.text()
        rules = dict(rule.split(" ", 1) for rule in response.headers["content-security-policy"].split("; "))
    for tag in ("script", "style"):
        [text] = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    assert (rules["default-src"], rules["connect-src"], rules["img-src"]) == ("'none'", "'self'", "data:")
    assert {rules[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-dns-prefetch-control"] == "off"
    assert "{{" not in html
    markup = re.sub(r"(<(script|style)[^>]*>).*?</\2>", "", html, flags=re.DOTALL)
    assert re.findall(r"\b(?:src|href|action)=[\"']?(?!['\"]?data:)", markup) == []


async def test_the_page_can_be_turned_off() -> None:
    async with serving(scripted("Hi"), page=False) as client:
        async with client.session.get(client.url) as response:
            assert response.status == 404
        async with client.chat(headers={"origin": client.url, "sec-fetch-site": "same-origin"}) as response:
            assert response.status == 403


@pytest.mark.parametrize(
    ("host", "origin", "site", "status"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000", "same-origin", 200),
        ("localhost:8000", "http://localhost:8000", None, 200),
        ("[::1]:8000", "http://[::1]:8000", "same-origin", 200),
        ("192.0.2.1", "http://192.0.2.1", "same-origin", 200),
        ("chat.example", "https://chat.example", "same-origin", 200),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", "same-site", 403),
        ("127.0.0.1:8000", "http://localhost:8000", "cross-site", 403),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", "cross-site", 403),
        ("127.0.0.1:8000", "null", "same-origin", 403),
        ("127.0.0.1:8000", "ftp://127.0.0.1:8000", "same-origin", 403),
        # A name that others can let point here, so that its pages have the origin of the server:
        ("evil.example:8000", "http://evil.example:8000", "same-origin", 403),
        ("evil.example:8000", "http://evil.example:8000", None, 403),
        ("127.0.0.1.evil.example", "http://127.0.0.1.evil.example", "same-origin", 403),
        ("*", "http://*", "same-origin", 403),
    ],
)
async def test_only_the_own_page_calls_the_server(host: str, origin: str, site: str | None, status: int) -> None:
    async with serving(scripted("Hi"), allowed_hosts=["*", "chat.example"]) as client:
        headers = {"host": host, "origin": origin, **({"sec-fetch-site": site} if site else {})}
        async with client.chat(headers=headers) as response:
            assert response.status == status
            assert "access-control-allow-origin" not in response.headers
            if status == 403:
                assert "a name in its allowed_hosts" in (await response.json())["error"]["message"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),  # somebody follows a link
        ("/", {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
        ("/", {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, 403),
        ("/", {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "origin": "http://evil.example"}, 403),
        ("/models", {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 403),
    ],
)
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_other_sites_may_only_link_to_the_page(
    path: str, headers: dict[str, str], status: int, site: str
) -> None:
    async with (
        serving(scripted("Hi")) as client,
        client.session.get(client.url + path, headers={**headers, "sec-fetch-site": site}) as response,
    ):
        assert response.status == status


async def test_the_page_answers_to_the_names_of_the_server_only() -> None:
    async with (
        serving(scripted("Hi")) as client,
        client.session.get(client.url, headers={"host": "evil.example"}) as response,
    ):
        assert response.status == 421
