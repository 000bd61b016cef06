"""langchain-openai's model behind the server, and within ChatDarkAI, over a server that speaks OpenAI's protocol."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from langchain_openai import ChatOpenAI

from langchain_darkai import ChatDarkAI
from langchain_darkai._gateway.reasoning_openai import ReasoningChatOpenAI
from langchain_darkai.server import LocalServer


class Provider:
    """Replies with scripted deltas of OpenAI's stream, and keeps what it was sent."""

    def __init__(self, *deltas: dict[str, Any], finish_reason: str = "stop") -> None:
        self.deltas = deltas
        self.finish_reason = finish_reason
        self.sent: list[dict[str, Any]] = []
        self.kind: type[ChatOpenAI] = ChatOpenAI

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.sent.append(await request.json())
        if not self.sent[-1].get("stream"):
            return web.json_response(self._whole())
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for delta in ({"role": "assistant", "content": ""}, *self.deltas):
            await response.write(self._event({"index": 0, "delta": delta, "finish_reason": None}))
        await response.write(self._event({"index": 0, "delta": {}, "finish_reason": self.finish_reason}))
        await response.write(b"data: [DONE]\n\n")
        return response

    def _event(self, choice: dict[str, Any]) -> bytes:
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return f"data: {json.dumps(chunk)}\n\n".encode()

    def _whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None}
        calls: dict[int, dict[str, Any]] = {}
        for delta in self.deltas:
            for name in delta.keys() - {"tool_calls"}:
                message[name] = (message.get(name) or "") + delta[name]
            for piece in delta.get("tool_calls", []):
                call = calls.setdefault(piece["index"], {"type": "function", "function": {"arguments": ""}})
                call["id"] = piece.get("id") or call["id"]
                call["function"]["name"] = piece["function"].get("name") or call["function"]["name"]
                call["function"]["arguments"] += piece["function"].get("arguments", "")
        if calls:
            message["tool_calls"] = list(calls.values())
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        return {**head, "choices": [choice], "usage": usage}

    @asynccontextmanager
    async def model(self, **settings: Any) -> AsyncIterator[ChatOpenAI]:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            yield self.kind(model="m", base_url=url, api_key="k", max_retries=0, **settings)  # type: ignore[arg-type]
        finally:
            await runner.cleanup()


def call_delta(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    head = {} if name is None else {"id": f"id{index}", "type": "function"}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


def weather(city: str) -> str:
    """Tell the weather."""
    return city


WAYS = ("server", "within")


@asynccontextmanager
async def chat(way: str, model: ChatOpenAI, **options: Any) -> AsyncIterator[ChatDarkAI]:
    """Yield a ChatDarkAI over a model: over a server with it, or with it in the same process."""
    if way == "within":
        yield ChatDarkAI.over(model, max_reasks=0, **options)
        return
    with LocalServer(model, **options) as server:
        yield ChatDarkAI(base_url=server.url, max_reasks=0)


@pytest.mark.parametrize("way", WAYS)
async def test_calls_are_made_and_streamed_natively(way: str) -> None:
    provider = Provider(
        {"content": "Sure."},
        call_delta(0, "", "weather"),
        call_delta(0, '{"city": '),
        call_delta(0, '"Paris"}'),
        call_delta(1, '{"city": "Oslo"}', "weather"),
        finish_reason="tool_calls",
    )
    async with provider.model() as model, chat(way, model, native="always") as darkai:
        tools = darkai.bind_tools([weather], tool_choice="weather", parallel_tool_calls=True)
        for message in (await tools.ainvoke("Weather?"), await joined(tools)):
            assert message.content == "Sure."
            assert [call["args"] for call in message.tool_calls] == [{"city": "Paris"}, {"city": "Oslo"}]
            assert message.response_metadata["finish_reason"] == "tool_calls"
    for sent in provider.sent:
        assert sent["messages"] == [{"role": "user", "content": "Weather?"}]
        assert sent["tools"][0]["function"]["name"] == "weather"
        assert sent["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


async def joined(model: Any) -> Any:
    whole: Any = None
    async for chunk in model.astream("Weather?"):
        whole = chunk if whole is None else whole + chunk
    return whole


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_is_constrained_by_response_format(way: str) -> None:
    schema = {"title": "Person", "type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    provider = Provider({"content": '{"age":'}, {"content": " 30}"})
    async with provider.model() as model, chat(way, model) as darkai:
        assert await darkai.with_structured_output(schema).ainvoke("How old?") == {"age": 30}
    [sent] = provider.sent
    assert sent["response_format"]["json_schema"]["schema"]["properties"] == schema["properties"]
    assert "<json_schema>" in sent["messages"][0]["content"]  # an engine constrains, and shows the model nothing
    assert sent["messages"][-1] == {"role": "user", "content": "How old?"}


@pytest.mark.parametrize("native", ["schema", "auto"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_forced_call_is_constrained_by_its_schema(way: str, native: str) -> None:
    provider = Provider({"content": '{"name": "weather", "argu'}, {"content": 'ments": {"city": "Paris"}}'})
    async with provider.model() as model, chat(way, model, native=native) as darkai:
        message = await darkai.bind_tools([weather], tool_choice="any").ainvoke("Weather?")
    assert [call["args"] for call in message.tool_calls] == [{"city": "Paris"}]
    [sent] = provider.sent
    assert "tools" not in sent
    assert sent["response_format"]["json_schema"]["schema"]["properties"]["name"] == {"const": "weather"}


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("way", WAYS)
async def test_the_thoughts_of_an_engine_come_through(way: str, member: str) -> None:
    provider = Provider({member: "Hm, "}, {member: "yes."}, {"content": '{"age": '}, {"content": "30}"})
    provider.kind = ReasoningChatOpenAI
    thoughts = {"reasoning_content": "Hm, yes."}
    async with provider.model() as model, chat(way, model) as darkai:
        for asked in (darkai, darkai.bind(response_format={"type": "json_object"})):
            for message in (await asked.ainvoke("How old?"), await joined(asked)):
                assert (message.content, message.additional_kwargs) == ('{"age": 30}', thoughts)


@pytest.mark.parametrize("way", WAYS)
async def test_a_cut_reply_says_so(way: str) -> None:
    provider = Provider({"content": "It is"}, finish_reason="length")
    async with provider.model() as model, chat(way, model) as darkai:
        message = await darkai.ainvoke("Hi")
    assert (message.content, message.response_metadata["finish_reason"]) == ("It is", "length")


@pytest.mark.parametrize("way", WAYS)
async def test_a_cut_answer_in_json_says_so_too(way: str) -> None:
    schema = {"title": "Person", "type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    provider = Provider({"content": '{"age":'}, {"content": " 3"}, finish_reason="length")
    async with provider.model() as model, chat(way, model) as darkai:
        answer = await darkai.with_structured_output(schema, include_raw=True).ainvoke("How old?")
    assert answer["parsed"] is None
    assert (answer["raw"].content, answer["raw"].response_metadata["finish_reason"]) == ('{"age": 3', "length")


async def test_a_whole_reply_of_the_model_within_has_its_usage() -> None:
    async with Provider({"content": "Hi"}).model() as model:
        usage = (await ChatDarkAI.over(model).ainvoke("Hi")).usage_metadata
    assert usage == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


async def test_the_begun_call_of_a_prompt_is_for_those_that_get_prompts() -> None:
    provider = Provider({"content": '"city": "Paris"}}'})
    async with provider.model() as model, chat("within", model, native="never") as darkai:
        await darkai.bind_tools([weather], tool_choice="any").ainvoke("Weather?")
    [sent] = provider.sent
    assert sent["messages"][-1]["role"] == "assistant"
    assert "tools" not in sent
