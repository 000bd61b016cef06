"""Several keys at one server: who gets in, to which models, how often and how much at once."""

import asyncio
import hashlib
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from langchain_darkai import ChatDarkAI, DarkAIAuthenticationError, DarkAIRateLimitError
from langchain_darkai.server import LocalServer, ServerOperations, create_app
from tests.support.app_client import Client, serving, soon
from tests.support.models import scripted
from tests.support.programs import complaints, running


def line(key: str, name: str, options: str = "") -> str:
    return f"{name}:{hashlib.sha256(key.encode()).hexdigest()} {options}"


def operations(*lines: str, **options: Any) -> ServerOperations:
    return ServerOperations(keys="\n".join(lines), **options)


async def status(client: Client, key: str | None, **body: Any) -> tuple[int, Any]:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with client.chat(headers=headers, **body) as response:
        return response.status, await response.json() if response.status != 200 else await response.read()


async def test_each_key_gets_in_and_no_other() -> None:
    keys = operations(line("one", "a"), line("two", "b"))
    async with serving(scripted("Hi"), operations=keys, api_key="plain") as client:
        for key in ("one", "two", "plain"):
            assert (await status(client, key))[0] == 200
        for wrong in (None, "three", "a", "", hashlib.sha256(b"one").hexdigest()):
            code, body = await status(client, wrong)
            assert (code, body["error"]["type"]) == (401, "ModelAuthenticationError")


async def test_a_key_may_use_its_models_only() -> None:
    models = {"small": scripted("s"), "big": scripted("b")}
    keys = operations(line("one", "a", "models=big"), line("two", "b"))
    async with serving(models, operations=keys) as client:
        assert (await status(client, "one", model="big"))[0] == 200
        assert (await status(client, "two", model="small"))[0] == 200
        for body in ({"model": "small"}, {}):
            code, answer = await status(client, "one", **body)
            assert (code, answer["error"]["type"]) == (403, "ModelPermissionDeniedError")
            assert "The key a may not use the model 'small'. It may use: big." in answer["error"]["message"]
        code, answer = await status(client, "one", model="other")
        assert (code, answer["error"]["message"]) == (404, "There is no model 'other' here. There are: big.")
        for key, names in (("one", ["big"]), ("two", ["small", "big"])):
            async with client.session.get(
                f"{client.url}/models", headers={"authorization": f"Bearer {key}"}
            ) as response:
                assert (await response.json())["models"] == names


async def test_a_key_has_so_many_requests_at_once() -> None:
    go_on = threading.Event()
    keys = operations(line("one", "a", "at-once=2"), line("two", "b"))
    model = scripted("Hi", go_on)
    async with serving(model, operations=keys) as client:
        held = [asyncio.ensure_future(status(client, "one")) for _ in range(2)]
        await asyncio.to_thread(model.comes_to, 2)
        async with client.chat(headers={"authorization": "Bearer one"}) as response:
            assert (response.status, response.headers["retry-after"]) == (429, "1")
            error = (await response.json())["error"]
            assert (error["type"], "2 requests at once" in error["message"]) == ("ModelRateLimitError", True)
        other = asyncio.ensure_future(status(client, "two"))
        await asyncio.to_thread(model.comes_to, 3)
        go_on.set()
        assert [code for code, _ in await soon(asyncio.gather(*held, other))] == [200, 200, 200]
        assert (await soon(status(client, "one")))[0] == 200


async def test_a_key_may_send_so_many_requests_a_minute() -> None:
    keys = operations(line("one", "a", "per-minute=2"), line("two", "b", "per-minute=1"))
    async with serving(scripted("Hi"), operations=keys) as client:
        assert [(await status(client, "one"))[0] for _ in range(3)] == [200, 200, 429]
        async with client.chat(headers={"authorization": "Bearer one"}) as response:
            assert response.status == 429
            assert 50 <= int(response.headers["retry-after"]) <= 60
            assert (await response.json())["error"]["message"].startswith("The key a may send 2 requests a minute")
        assert (await status(client, "two"))[0] == 200
        for path in ("models", "health"):
            headers = {"authorization": "Bearer one"}
            async with client.session.get(f"{client.url}/{path}", headers=headers) as response:
                assert response.status == 200


def test_a_limit_is_a_rate_limit_error_of_the_chat_model() -> None:
    with LocalServer(scripted("Hi"), operations=operations(line("one", "a", "per-minute=1"))) as server:
        model = ChatDarkAI(base_url=server.url, api_key="one", max_retries=0)
        assert model.invoke("Hello").text == "Hi"
        with pytest.raises(DarkAIRateLimitError) as caught:
            model.invoke("Hello")
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > 50


@pytest.mark.parametrize("missing", ["limits", "redis.asyncio"])
def test_a_missing_package_is_named_with_its_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = "limits" if missing == "limits" else "redis"
    url = None if missing == "limits" else "redis://localhost"
    for name in ("limits.aio.storage", "limits.aio.strategies") if extra == "limits" else ("redis", "redis.asyncio"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=rf"pip install 'langchain-darkai\[{extra}\]'"):
        create_app(operations=operations(line("one", "a", "per-minute=1"), limits_url=url))


@pytest.mark.parametrize("url", ["http://user:hidden@host", "redis://user:hidden@host:port/x", "hidden"])
def test_a_url_for_limits_that_cannot_be_is_told_without_it(url: str) -> None:
    with pytest.raises(ValueError, match="redis://localhost:6379/0") as caught:
        create_app(operations=ServerOperations(limits_url=url))
    assert "hidden" not in str(caught.value)


async def test_keys_stand_in_no_repr_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = operations(line("my-secret-key", "a"), limits_url="redis://user:hidden@127.0.0.1:1")
    assert "hidden" not in repr(keys)
    assert hashlib.sha256(b"my-secret-key").hexdigest() not in repr(keys)
    async with serving(scripted("Hi"), operations=keys) as client:
        await status(client, "my-secret-key")
        await status(client, "my-secret-kex")
        async with client.session.get(f"{client.url}/my-secret-key?my-secret-key") as response:
            assert response.status == 404
    own = [record.getMessage() for record in caplog.records if record.name.startswith("langchain_darkai")]
    assert "key=a" in " ".join(own)
    assert "my-secret-ke" not in " ".join(own)


async def test_while_redis_does_not_answer_each_process_counts_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    keys = operations(line("one", "a", "per-minute=2 at-once=1"), limits_url="redis://user:hidden@127.0.0.1:1/0")
    async with serving(scripted("Hi"), operations=keys) as client:
        assert [(await soon(status(client, "one")))[0] for _ in range(3)] == [200, 200, 429]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "The Redis of the limits does not answer (ConnectionError)" in warnings[0]
    assert "hidden" not in caplog.text


SERVING = """
import logging, sys
from langchain_darkai.server import ServerOperations, serve

logging.basicConfig(level="INFO", format="%(name)s %(message)s")
logging.getLogger("langchain_darkai.server.requests").setLevel("WARNING")
logging.getLogger("asyncio").setLevel("ERROR")
serve(port=0, operations=ServerOperations(keys_file={file!r}), on_ready=lambda url: print(url, flush=True))
"""


def asks(url: str, key: str) -> bool:
    try:
        return bool(ChatDarkAI(base_url=url, api_key=key, max_retries=0).invoke("Hi").text)
    except DarkAIAuthenticationError:
        return False


def test_sighup_reads_the_keys_again_and_a_bad_file_keeps_them(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(line("one", "a"))
    with running(SERVING.format(file=str(file))) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()

        def reload(text: str | None) -> str:
            assert process.stderr is not None
            file.unlink(missing_ok=True)
            if text is not None:
                file.write_text(text)
            process.send_signal(signal.SIGHUP)
            return process.stderr.readline()

        assert (asks(url, "one"), asks(url, "two")) == (True, False)
        assert "The keys were read again: there are 2." in reload(line("two", "b") + "\n" + line("three", "c"))
        assert (asks(url, "one"), asks(url, "two"), asks(url, "three")) == (False, True, True)
        said = reload("four:my-plain-secret")
        assert f"The keys stay as they were, since they cannot be read again. The file of keys {file}, line 1" in said
        assert "my-plain-secret" not in said
        assert "The keys stay as they were" in reload(None)
        assert (asks(url, "two"), asks(url, "three"), asks(url, "my-plain-secret")) == (True, True, False)
        process.terminate()
        _, error = process.communicate(timeout=20)
        assert (process.returncode, complaints(error)) == (0, [])


def test_without_a_file_of_keys_sighup_ends_the_server_like_other_programs() -> None:
    with running(SERVING.replace("{file!r}", "None")) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == -signal.SIGHUP


async def test_errors_of_keys_hold_the_id_of_the_request() -> None:
    async with serving(scripted("Hi"), operations=operations(line("one", "a"))) as client:
        _, answer = await status(client, "wrong")
        assert answer["error"]["request_id"] == "asked"
        async with client.chat(headers={"authorization": "Bearer one"}) as response:
            assert (response.status, response.headers["x-request-id"]) == (200, "asked")
