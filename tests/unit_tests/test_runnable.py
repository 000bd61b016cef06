"""The chat model as a runnable: chains, batches, rate limiters, and the usage that callback handlers read."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatResult, LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField

from langchain_darkai import ChatDarkAI, DarkAIAPIError, DarkAIError, format_prompt
from langchain_darkai.protocol import StreamEnd, Usage
from langchain_darkai.transport import ApiCall
from tests.support.asker import Asker
from tests.support.scripted_transport import ScriptedTransport, body

USAGE = Usage(input_tokens=3, output_tokens=1, total_tokens=4)


class TestRunnable:
    async def test_a_chain_works_by_every_entry(self, api: ScriptedTransport) -> None:
        prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
        chain = prompt | api.model() | StrOutputParser()
        api.scripts = [["Hel", "lo", StreamEnd()]]
        assert chain.invoke({"question": "Hi"}) == await chain.ainvoke({"question": "Hi"}) == "Hello"
        assert [text for text in chain.stream({"question": "Hi"}) if text] == ["Hel", "lo"]
        assert [text async for text in chain.astream({"question": "Hi"}) if text] == ["Hel", "lo"]
        assert chain.batch([{"question": "Hi"}] * 3) == await chain.abatch([{"question": "Hi"}] * 3) == ["Hello"] * 3
        assert {body(call)["query"] for call in api.calls} == {"System: Be brief.\nUser: Hi\nAssistant:"}

    async def test_configurable_fields(self, api: ScriptedTransport, ask: Asker) -> None:
        model = api.model(temperature=0.5).configurable_fields(
            temperature=ConfigurableField(id="heat"), model=ConfigurableField(id="which")
        )
        await ask(model, config={"configurable": {"heat": 0.1, "which": "gpt-4o"}})
        await ask(model)
        assert [(body(call)["temperature"], body(call)["model"]) for call in api.calls] == [
            (0.1, "gpt-4o"),
            (0.5, "llama-3-70b"),
        ]

    async def test_a_fallback_is_used_after_a_failure(self, api: ScriptedTransport, ask: Asker) -> None:
        api.scripts = [[DarkAIAPIError("down")], ["Hello", StreamEnd()]]
        model = api.model(max_retries=0).with_fallbacks([api.model(model="gpt-4o")])
        assert (await ask(model)).content == "Hello"
        assert [body(call)["model"] for call in api.calls] == ["llama-3-70b", "gpt-4o"]

    @pytest.mark.parametrize("entry", ["invoke", "ainvoke"])
    async def test_with_retry_calls_the_model_again(self, api: ScriptedTransport, entry: str) -> None:
        api.scripts = [[DarkAIAPIError("down")], ["Hello", StreamEnd()]]
        model = api.model(max_retries=0).with_retry(
            retry_if_exception_type=(DarkAIError,), wait_exponential_jitter=False, stop_after_attempt=2
        )
        assert (await Asker(entry)(model)).content == "Hello"

    async def test_the_rate_limiter_is_asked_before_each_request(self, api: ScriptedTransport, ask: Asker) -> None:
        limiter = CountingLimiter()
        api.scripts = [[DarkAIAPIError("busy", retry_after=0)], [DarkAIAPIError("busy", retry_after=0)], ["Hello"]]
        api.scripts[-1] = ["Hello", StreamEnd()]
        await ask(api.model(rate_limiter=limiter))
        assert (limiter.acquired, len(api.calls)) == (3, 3)

    async def test_streamed_messages_merge_to_the_invoked_one(self, api: ScriptedTransport) -> None:
        api.scripts = [["one ", "two ", "three", StreamEnd(USAGE)]]
        merged = await Asker("stream")(api.model())
        invoked = api.model().invoke("Hi")
        assert isinstance(invoked, AIMessage)
        assert (merged.content, merged.usage_metadata) == (invoked.content, invoked.usage_metadata)

    def test_calls_by_hand_on_a_loop_leave_nothing_pending(
        self, api: ScriptedTransport, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = api.model()
        for call in (model.ainvoke("Hi"), model.ainvoke("Hi", stop=["ll"]), _first(model.astream("Hi", stop=["ll"]))):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(call)
            pending = asyncio.all_tasks(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            assert not pending
        assert not caplog.records

    def test_the_estimate_is_of_the_prompt(self, api: ScriptedTransport) -> None:
        messages = [("system", "Be brief."), ("user", "Hi")]
        usage = api.model().invoke(messages).usage_metadata
        assert usage is not None
        assert usage["input_tokens"] == api.model().get_num_tokens(format_prompt(messages))


async def _first(chunks: AsyncIterator[AIMessageChunk]) -> AIMessageChunk:
    first, *_ = [chunk async for chunk in chunks]
    return first


class CountingLimiter(BaseRateLimiter):
    """Lets everything through, and counts it."""

    def __init__(self) -> None:
        self.acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return blocking

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return blocking


class TestBatchesOfOthers:
    """A batch goes through `invoke` where that was replaced, so that a subclass or a patch sees each call."""

    @pytest.mark.parametrize("many", ["batch", "batch_as_completed"])
    def test_a_subclass_with_its_own_generate_sees_each_call(self, api: ScriptedTransport, many: str) -> None:
        seen: list[str] = []

        class Counting(ChatDarkAI):
            def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
                seen.append(messages[0].text)
                return super()._generate(messages, *args, **kwargs)

        model = Counting(base_url="https://model.test", transport=api)
        assert len(list(getattr(model, many)(["a", "b", "c"]))) == 3
        assert sorted(seen) == ["a", "b", "c"]

    @pytest.mark.parametrize("many", ["batch", "batch_as_completed"])
    @pytest.mark.parametrize("name", ["generate", "generate_prompt", "_stream", "_generate_with_cache"])
    def test_a_subclass_with_its_own_step_of_invoke_sees_each_call(
        self, api: ScriptedTransport, name: str, many: str
    ) -> None:
        seen: list[str] = []

        def counted(self: Any, messages: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return getattr(ChatDarkAI, name)(self, messages, *args, **kwargs)

        kind = type("Counting", (ChatDarkAI,), {name: counted})
        model = kind(base_url="https://model.test", transport=api, streaming=True)
        assert model.invoke("a").text
        assert seen == [name]
        assert len(list(getattr(model, many)(["a", "b", "c"]))) == 3
        assert seen == [name] * 4

    @pytest.mark.parametrize("many", ["batch", "batch_as_completed"])
    def test_a_batch_does_not_go_through_what_only_asynchronous_calls_do(
        self, api: ScriptedTransport, many: str
    ) -> None:
        class Asynchronous(ChatDarkAI):
            async def ainvoke(self, *args: Any, **kwargs: Any) -> AIMessage:
                return AIMessage("asynchronous")

        model = Asynchronous(base_url="https://model.test", transport=api)
        assert model.invoke("a").text == "Hello"
        replies = list(getattr(model, many)(["a"]))
        assert [reply[1].text if many != "batch" else reply.text for reply in replies] == ["Hello"]

    @pytest.mark.parametrize("many", ["batch", "batch_as_completed"])
    def test_a_patched_invoke_sees_each_call(self, api: ScriptedTransport, many: str) -> None:
        with patch.object(ChatDarkAI, "invoke", return_value=AIMessage("patched")) as invoke:
            replies = list(getattr(api.model(), many)(["a", "b"]))
        assert invoke.call_count == len(replies) == 2
        assert not api.calls

    def test_a_plain_model_still_runs_its_batch_on_one_loop(self, api: ScriptedTransport) -> None:
        threads = threading.active_count()
        assert len(api.model().batch(["Hi"] * 50)) == 50
        assert threading.active_count() <= threads + 1


class TestUsageAfterACall:
    """Reading stops at the one call that was asked for; the server's count of tokens comes after it."""

    BLOCK = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    NOW: ClassVar = {"name": "now", "description": "", "parameters": {}}

    @pytest.mark.parametrize("after", [[], ["\n"], ["\nAnd ", "more."]], ids=["at once", "blank", "text"])
    async def test_the_servers_usage_is_kept(self, api: ScriptedTransport, ask: Asker, after: list[str]) -> None:
        api.scripts = [[self.BLOCK, *after, StreamEnd(USAGE)]]
        message = await ask(api.model().bind_tools([self.NOW], parallel_tool_calls=False))
        assert message.usage_metadata == USAGE
        assert "usage_source" not in message.response_metadata
        assert [call["name"] for call in message.tool_calls] == ["now"]
        assert message.text == ""

    async def test_the_usage_of_a_structured_answer_is_kept(self, api: ScriptedTransport) -> None:
        block = '<tool_call>\n{"name": "Answer", "arguments": {"a": 1}}\n</tool_call>'
        api.scripts = [[block, StreamEnd(USAGE)]]
        schema = {"title": "Answer", "type": "object", "properties": {"a": {"type": "integer"}}}
        model = api.model().with_structured_output(schema, method="function_calling", include_raw=True)
        assert (await model.ainvoke("Hi"))["raw"].usage_metadata == USAGE

    async def test_a_model_that_goes_on_is_not_waited_for(self, ask: Asker) -> None:
        class Endless(ScriptedTransport):
            async def stream(self, call: ApiCall, deadline: float | None) -> AsyncGenerator[str | StreamEnd, None]:
                try:
                    yield TestUsageAfterACall.BLOCK
                    while True:
                        await asyncio.sleep(0.01)
                        yield "more "
                finally:
                    self.closed += 1

        api = Endless()
        message = await ask(api.model(timeout=30).bind_tools([self.NOW], parallel_tool_calls=False))
        assert [call["name"] for call in message.tool_calls] == ["now"]
        assert message.response_metadata["usage_source"] == "estimated"
        assert api.closed == 1

    async def test_a_connection_that_breaks_after_the_call_costs_nothing(
        self, api: ScriptedTransport, ask: Asker
    ) -> None:
        api.scripts = [[self.BLOCK, DarkAIAPIError("broke"), StreamEnd(USAGE)]]
        message = await ask(api.model(max_retries=0).bind_tools([self.NOW], parallel_tool_calls=False))
        assert [call["name"] for call in message.tool_calls] == ["now"]


def test_older_handlers_find_the_usage_in_the_output_of_the_run(api: ScriptedTransport) -> None:
    api.scripts = [["Hello", StreamEnd(USAGE)]]
    outputs: list[Any] = []

    class Older(BaseCallbackHandler):
        def on_llm_end(self, response: LLMResult, **_: Any) -> None:
            outputs.append(response.llm_output)

    api.model().invoke("Hi", config={"callbacks": [Older()]})
    total = api.model().generate([[HumanMessage("Hi")], [HumanMessage("Hi")]]).llm_output
    assert outputs == [
        {
            "token_usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
            "model_name": "llama-3-70b",
        }
    ]
    assert total == {
        "token_usage": {"prompt_tokens": 6, "completion_tokens": 2, "total_tokens": 8},
        "model_name": "llama-3-70b",
    }
