"""The scripted server of the kit: replies in order and by rule, what it records, and what it says of a wrong script."""

import threading
from typing import Any

import pytest
from pydantic import BaseModel

from langchain_darkai import (
    ChatDarkAI,
    DarkAIAPIError,
    DarkAIConnectionError,
    DarkAIError,
    DarkAIInvalidRequestError,
    DarkAIRateLimitError,
    DarkAIStreamDecodeError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
)
from langchain_darkai.testing import ReceivedCall, ScriptedServer, ScriptError, faults, reply
from tests.support.asker import Asker


def model_at(server: ScriptedServer, **settings: Any) -> ChatDarkAI:
    return ChatDarkAI(**{"base_url": server.url, "max_retries": 0, **settings})


def weather(city: str) -> str:
    """Tell the weather."""
    return city


class City(BaseModel):
    """A city."""

    name: str


class TestReplies:
    async def test_a_reply_has_text_thoughts_calls_and_usage(self, ask: Asker) -> None:
        usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
        calls = [("weather", {"city": "Paris"}), ("weather", {"city": "Rome"})]
        made = reply("Let me look.", calls=calls, reasoning="Hm.", usage=usage)
        with ScriptedServer(made) as server:
            message = await ask(model_at(server, reasoning=True).bind_tools([weather]))
        assert message.text.strip() == "Let me look."
        assert [(call["name"], call["args"]) for call in message.tool_calls] == calls
        assert message.additional_kwargs["reasoning_content"] == "Hm."
        assert message.usage_metadata == usage
        assert message.response_metadata["finish_reason"] == "tool_calls"

    @pytest.mark.parametrize("value", [City(name="Paris"), {"name": "Paris"}])
    @pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
    def test_a_structured_answer(self, value: Any, method: Any) -> None:
        with ScriptedServer(reply(structured=value)) as server:
            assert model_at(server).with_structured_output(City, method=method).invoke("Where?") == City(name="Paris")

    def test_a_reply_at_a_pace_comes_word_by_word(self) -> None:
        with ScriptedServer(reply("Hello there, world", pace=100, finish_reason="length")) as server:
            chunks = list(model_at(server).stream("Hi"))
        assert [chunk.text for chunk in chunks if chunk.text] == ["Hello ", "there, ", "world"]
        assert chunks[-1].response_metadata["finish_reason"] == "length"

    def test_a_pace_of_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="pace is 0"):
            reply("Hello", pace=0)

    def test_rules_come_before_the_replies_in_order(self) -> None:
        def about_the_weather(call: ReceivedCall) -> str | None:
            return "It is sunny." if "weather" in call.messages[-1].text else None

        with ScriptedServer("first", "second", rule=about_the_weather) as server:
            model = model_at(server)
            texts = [model.invoke(said).text for said in ("Hi", "the weather?", "Hi", "weather")]
        assert texts == ["first", "It is sunny.", "second", "It is sunny."]

    def test_replies_can_be_added_and_made_of_the_request(self) -> None:
        with ScriptedServer() as server:
            server.add("Hello", lambda call: f"You said: {call.query}")
            assert [model_at(server).invoke("Hi").text for _ in range(2)] == ["Hello", "You said: Hi"]


class TestCalls:
    def test_a_call_shows_what_was_asked(self) -> None:
        with ScriptedServer("Hello") as server:
            model = model_at(server, model="gpt-4o", temperature=0.5, api_key="key-1")
            model.bind_tools([weather]).invoke([("system", "Be brief."), ("user", "Hi")])
        [call] = server.calls
        assert [(message.type, message.text) for message in call.messages] == [("system", "Be brief."), ("human", "Hi")]
        assert [tool["name"] for tool in call.tools] == ["weather"]
        assert call.tools[0]["parameters"]["required"] == ["city"]
        assert (call.model, call.parameters, call.must_call, call.schema) == (
            "gpt-4o",
            {"temperature": 0.5},
            False,
            None,
        )
        assert call.headers["authorization"] == "Bearer key-1"
        assert (call.method, call.target) == ("POST", "/chat")

    def test_a_forced_call_and_a_schema_show_without_the_begun_reply(self) -> None:
        with ScriptedServer(
            reply(calls=[("weather", {"city": "Paris"})]), reply(structured={"name": "Rome"})
        ) as server:
            model_at(server).bind_tools([weather], tool_choice="any").invoke("Hi")
            model_at(server).with_structured_output(City).invoke("Where?")
        forced, structured = server.calls
        assert forced.must_call
        assert [message.text for message in forced.messages] == ["Hi"]
        assert structured.schema is not None
        assert structured.schema["properties"]["name"] == {"type": "string"}
        assert [message.text for message in structured.messages] == ["Where?"]

    @pytest.mark.parametrize("content", [b"[1]", b"{}", b'{"query": 1}', b"no JSON"])
    def test_what_is_no_request_of_the_api_is_told(self, content: bytes) -> None:
        with pytest.raises(ValueError, match=r"no JSON object|no \"query\"|Expecting value"):
            ReceivedCall("POST", "/chat", {}, content).messages  # noqa: B018


class TestWrongScripts:
    def test_a_request_too_many_is_told_to_the_client_and_at_the_end(self) -> None:
        def ask_twice() -> None:
            with ScriptedServer("Hello") as server:
                model = model_at(server, max_retries=5)
                model.invoke("Hi")
                with pytest.raises(DarkAIInvalidRequestError, match="Request 2 was one too many"):
                    model.invoke("Bye")
                assert len(server.calls) == 2

        with pytest.raises(ScriptError, match=r'Request 2 was one too many: the script has 1 replies.*"Bye"'):
            ask_twice()

    def test_the_error_of_a_call_does_not_hide_that_of_the_script(self) -> None:
        with pytest.raises(ScriptError, match="Request 1 was one too many") as caught, ScriptedServer() as server:
            model_at(server).invoke("Hi")
        assert isinstance(caught.value.__context__, DarkAIInvalidRequestError)

    def test_an_interrupt_is_not_replaced(self) -> None:
        def interrupted() -> None:
            with ScriptedServer("Hello", use_all=True):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()

    def test_replies_left_over_are_an_error_where_that_is_asked(self) -> None:
        with ScriptedServer("one", "two"):
            pass
        said = "1 of 2 replies are left over: there were 1 calls"
        with pytest.raises(ScriptError, match=said), ScriptedServer("one", "two", use_all=True) as server:
            model_at(server).invoke("Hi")

    @pytest.mark.parametrize("as_rule", [True, False])
    def test_a_function_that_fails_is_an_error_of_the_test(self, as_rule: bool) -> None:
        def check(call: ReceivedCall) -> str:
            assert call.tools, "no tools were offered"
            return "Hello"

        server = ScriptedServer(rule=check) if as_rule else ScriptedServer(check)
        with (
            pytest.raises(ScriptError, match="A function of the script failed") as caught,
            server,
            pytest.raises(DarkAIInvalidRequestError, match="no tools were offered"),
        ):
            model_at(server).invoke("Hi")
        assert isinstance(caught.value.__cause__, AssertionError)

    def test_steps_that_fail_are_an_error_of_the_test(self) -> None:
        def steps(call: ReceivedCall) -> Any:
            yield from reply("Hello")[:0]
            raise LookupError("no such step")

        with (
            pytest.raises(ScriptError, match="no such step"),
            ScriptedServer(steps) as server,
            pytest.raises(DarkAIConnectionError),
        ):
            model_at(server).invoke("Hi")


KINDS: dict[str, type[DarkAIError] | None] = {
    "reset": DarkAIConnectionError,
    "reset during the reply": DarkAIStreamTruncatedError,
    "closed": DarkAIConnectionError,
    "closed during the reply": DarkAIStreamTruncatedError,
    "stall": DarkAITimeoutError,
    "stall during the reply": DarkAITimeoutError,
    "cut": DarkAIStreamTruncatedError,
    "rate limit": DarkAIRateLimitError,
    "server error": DarkAIAPIError,
    "overloaded": DarkAIAPIError,
    "html page": DarkAIStreamDecodeError,
    "html error page": DarkAIAPIError,
    "garbage": DarkAIConnectionError,
    "garbage during the reply": DarkAIStreamDecodeError,
    "slow headers": None,
}


class TestFaults:
    def test_the_table_has_each_fault(self) -> None:
        assert list(KINDS) == list(faults.FAULTS)

    @pytest.mark.parametrize("name", faults.FAULTS)
    def test_each_fault_by_name(self, name: str) -> None:
        kind = KINDS[name]
        with ScriptedServer(faults.FAULTS[name]()) as server:
            model = model_at(server, stream_chunk_timeout=0.4 if "stall" in name else 10)
            if kind is None:
                assert model.invoke("Hi").text == "Hello"
            else:
                with pytest.raises(kind) as caught:
                    model.invoke("Hi")
                assert type(caught.value) is kind
                assert caught.value.partial_text == ("Hel" if "during" in name else "")

    def test_a_rate_limit_says_when_to_ask_again(self) -> None:
        with ScriptedServer(faults.rate_limit(0.01), "Hello") as server:
            assert model_at(server, max_retries=1).invoke("Hi").text == "Hello"
        with ScriptedServer(faults.rate_limit(30)) as server, pytest.raises(DarkAIRateLimitError) as caught:
            model_at(server).invoke("Hi")
        assert caught.value.retry_after == 30

    def test_connections_are_refused_for_a_while(self) -> None:
        with ScriptedServer("Hello", "Hello again") as server:
            model = model_at(server)
            assert model.invoke("Hi").text == "Hello"
            with server.refused():
                for _ in range(2):
                    with pytest.raises(DarkAIConnectionError, match="refused"):
                        model.invoke("Hi")
            assert model.invoke("Hi").text == "Hello again"
            assert len(server.calls) == 2


async def test_a_condition_is_waited_for_and_told_where_it_does_not_come() -> None:
    waiting = threading.Event()
    with ScriptedServer([waiting, *reply("Hello")]) as server:
        caller = threading.Thread(target=model_at(server).invoke, args=("Hi",))
        caller.start()
        await server.await_for(lambda server: server.active == 1)
        with pytest.raises(TimeoutError, match=r"does not hold after 0\.01 s: .*'calls': 1"):
            server.wait_for(lambda server: server.active == 2, 0.01)
        waiting.set()
        caller.join()
        assert repr(server) == f"<ScriptedServer {server.url}, 1 calls>"


def test_a_server_leaves_no_thread_and_no_connection() -> None:
    before = set(threading.enumerate())
    with ScriptedServer("Hello") as server:
        assert model_at(server).invoke("Hi").text == "Hello"
        model = model_at(server)
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert "scripted-server" not in left
    with pytest.raises(DarkAIConnectionError, match="refused"):
        model.invoke("Hi")
