"""Who may use the server: keys, and the origins of web pages."""

from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.app_client import serving
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
