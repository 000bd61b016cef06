"""Models that are asked in order, behind a server: each by its own settings, and within its own limits."""

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import BackendLimits, LocalServer, ServerOperations
from langchain_darkai.server.fallback import FallbackChatModel
from tests.support.app_client import serving, soon, text_of
from tests.support.models import scripted
from tests.support.native import NativeModel

DOWN = ConnectionResetError()


def weather(city: str) -> str:
    """Tell the weather."""
    return city


def listed(**models: Any) -> dict[str, Any]:
    """Return models by name, before them one that asks them in order."""
    return {"chat": FallbackChatModel(name="chat", models=models), **models}


async def test_each_takes_a_place_of_its_own() -> None:
    go_on = threading.Event()
    big = scripted("big", go_on)
    operations = ServerOperations(limits={"big": BackendLimits(max_concurrency=1, max_queue=0)})
    async with serving(listed(big=big, small=scripted("small")), operations=operations) as client:
        first = asyncio.ensure_future(client.events(model="chat"))
        await asyncio.to_thread(big.comes_to, 1)
        assert text_of(await soon(client.events(model="chat"))) == "small"
        assert (await client.error(model="big"))[0] == 429
        go_on.set()
        assert text_of(await soon(first)) == "big"
        assert text_of(await soon(client.events(model="chat"))) == "big"


async def test_each_gets_requests_up_to_its_own_length() -> None:
    operations = ServerOperations(limits={"big": BackendLimits(max_prompt_bytes=200)})
    async with serving(listed(big=scripted("big"), small=scripted("small")), operations=operations) as client:
        assert text_of(await client.events(model="chat")) == "big"
        status, error = await client.error("x" * 1000, model="chat")
        assert (status, error["type"]) == (413, "ContextOverflowError")


@pytest.mark.parametrize(
    ("native", "is_bound"),
    [
        ({"big": "always", "small": "never"}, False),
        ({"big": "never", "small": "always"}, True),
        ({"chat": "always", "small": "never"}, True),
        ("never", False),
        ("auto", True),
    ],
)
async def test_each_is_asked_in_its_own_way(native: Any, is_bound: bool) -> None:
    big, small = NativeModel(replies=[[DOWN]]), NativeModel(replies=[["Hello"]])
    with LocalServer(listed(big=big, small=small), native=native) as server:
        model = ChatDarkAI(base_url=server.url, model="chat", max_retries=0).bind_tools([weather])
        assert (await model.ainvoke("Hi")).content == "Hello"
    assert bool(small.record.given[-1].get("tools")) == is_bound
    assert ("<tools>" in small.last_asked[0][1]) != is_bound


async def test_thoughts_are_no_answer() -> None:
    thought = AIMessageChunk(content="", additional_kwargs={"reasoning_content": "Hm."})
    with LocalServer(listed(big=scripted(thought, DOWN), small=scripted("Hello"))) as server:
        message = await ChatDarkAI(base_url=server.url, model="chat", max_retries=0).ainvoke("Hi")
    assert (message.content, message.additional_kwargs) == ("Hello", {"reasoning_content": "Hm."})
