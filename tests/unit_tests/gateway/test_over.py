"""ChatDarkAI over a model in the same process: the same as over a server, as a run within the run, and no socket."""

import asyncio
import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.exceptions import ModelRateLimitError
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.context import collect_runs
from pydantic import BaseModel

from langchain_darkai import ChatDarkAI
from langchain_darkai.errors import (
    DarkAIAPIError,
    DarkAIEmptyResponseError,
    DarkAIRateLimitError,
    DarkAIRefusalError,
    DarkAITimeoutError,
    DarkAIToolChoiceError,
)
from langchain_darkai.testing import FunctionChatModel
from tests.support.asker import ENTRIES, Asker
from tests.support.models import GeneratingModel, SyncStreamingModel
from tests.support.native import NativeModel, TextModel, call_chunk

BLOCK = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'


class Person(BaseModel):
    age: int


def weather(city: str) -> str:
    """Tell the weather."""
    return city


def text(*pieces: Any, **fields: Any) -> TextModel:
    return TextModel(replies=[pieces], **fields)


async def comes(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(5000):
        if is_so():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it has not come")


def joined(chunks: list[AIMessage]) -> AIMessage:
    """Return a reply's chunks as one message."""
    whole: Any = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert isinstance(whole, AIMessage)
    return whole


class Recorder(BaseCallbackHandler):
    """Keeps the runs of models: which began within which, with what usage they ended, and what failed."""

    def __init__(self) -> None:
        self.names: dict[Any, str] = {}
        self.parents: dict[str, str | None] = {}
        self.tags: dict[str, list[str]] = {}
        self.usage: dict[str, Any] = {}
        self.tokens: list[tuple[str, str]] = []
        self.errors: list[tuple[str, str]] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any, **kwargs: Any) -> None:
        name = self.names[run_id] = kwargs["name"] or serialized["name"]
        self.parents[name] = self.names.get(kwargs["parent_run_id"])
        self.tags[name] = kwargs["tags"]

    def on_llm_new_token(self, token: Any, *, run_id: Any, **kwargs: Any) -> None:
        self.tokens.append((self.names[run_id], token))

    def on_llm_end(self, response: LLMResult, *, run_id: Any, **kwargs: Any) -> None:
        self.usage[self.names[run_id]] = response.generations[0][0].message.usage_metadata  # type: ignore[union-attr]

    def on_llm_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        self.errors.append((self.names[run_id], type(error).__name__))


@pytest.mark.parametrize("entry", ENTRIES)
async def test_a_model_without_tools_has_them(entry: str) -> None:
    model = text("Let me look.\n", BLOCK)
    chunks = await Asker(entry).chunks(ChatDarkAI.over(model).bind_tools([weather]), "Weather in Paris?")
    assert [call["args"] for call in joined(chunks).tool_calls] == [{"city": "Paris"}]
    assert "<tools>" in model.last_asked[0][1]


@pytest.mark.parametrize("entry", ENTRIES)
async def test_a_model_with_tools_uses_its_own(entry: str) -> None:
    model = NativeModel(replies=[[call_chunk("", "weather"), call_chunk('{"city": '), call_chunk('"Paris"}')]])
    chunks = await Asker(entry).chunks(ChatDarkAI.over(model).bind_tools([weather]), "Weather in Paris?")
    assert [call["args"] for call in joined(chunks).tool_calls] == [{"city": "Paris"}]
    assert model.last_asked == [("human", "Weather in Paris?")]


@pytest.mark.parametrize("model_class", [GeneratingModel, SyncStreamingModel])
@pytest.mark.parametrize("entry", ENTRIES)
async def test_a_model_without_asynchronous_code_works_too(model_class: type[GeneratingModel], entry: str) -> None:
    chunks = await Asker(entry).chunks(ChatDarkAI.over(model_class(replies=[["It is ", "noon."]])))
    assert "".join(str(chunk.text) for chunk in chunks) == "It is noon."


def test_a_structured_answer_is_asked_for_in_words_checked_and_asked_for_again() -> None:
    model = TextModel(replies=[["I am thirty."], ['{"age": 30}']])
    assert ChatDarkAI.over(model).with_structured_output(Person).invoke("How old?") == Person(age=30)
    assert len(model.asked) == 2


def test_a_forced_call_that_does_not_come_is_an_error() -> None:
    with pytest.raises(DarkAIToolChoiceError, match="fake did not call the tool 'weather'"):
        ChatDarkAI.over(text("No."), model="fake").bind_tools([weather], tool_choice="any").invoke("Weather?")


def test_native_says_what_the_model_does_itself() -> None:
    model = NativeModel(replies=[[BLOCK]])
    ChatDarkAI.over(model, native="never").bind_tools([weather]).invoke("Weather?")
    assert "<tools>" in model.last_asked[0][1]
    with pytest.raises(ValueError, match="TextModel has no bind_tools of its own"):
        ChatDarkAI.over(text("Hi"), native="always")


@pytest.mark.parametrize("entry", ENTRIES)
async def test_the_model_within_is_a_run_within_the_run(entry: str) -> None:
    usage = UsageMetadata(input_tokens=3, output_tokens=2, total_tokens=5)
    recorder = Recorder()
    model = ChatDarkAI.over(text("It is ", AIMessageChunk(content="noon.", usage_metadata=usage)))
    config = {"callbacks": [recorder], "tags": ["mine"], "run_name": "Outer"}
    await Asker(entry).chunks(model.with_config(config), "Hi")  # type: ignore[arg-type]

    assert recorder.parents == {"Outer": None, "TextModel": "Outer"}
    assert recorder.usage == {"Outer": usage, "TextModel": usage}
    assert set(recorder.tags["TextModel"]) == {"mine", "nostream"}  # LangGraph streams the tokens of the outer run
    assert {name for name, _ in recorder.tokens} == ({"Outer", "TextModel"} if Asker(entry).streams else set())


@pytest.mark.parametrize("entry", ENTRIES)
async def test_a_tracer_has_the_inner_run_in_the_outer_one(entry: str) -> None:
    with collect_runs() as collected:
        await Asker(entry).chunks(ChatDarkAI.over(text("Hi")))
    [run] = collected.traced_runs
    assert run.name == "ChatDarkAI"
    assert [child.name for child in run.child_runs] == ["TextModel"]


async def test_asynchronous_callbacks_and_those_of_the_model_itself_are_told_too() -> None:
    told: list[str] = []

    class Told(AsyncCallbackHandler):
        async def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            told.append("start")

    class OfModel(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            told.append("own")

    model = ChatDarkAI.over(text("Hi", callbacks=[OfModel()]))
    await model.ainvoke("Hi", {"callbacks": [Told()]})
    assert sorted(told) == ["own", "start", "start"]


async def test_a_model_in_a_chain_is_a_run_in_the_chains_run() -> None:
    recorder = Recorder()
    model = ChatDarkAI.over(text("Hi"))
    chain: Any = RunnableLambda(lambda question: model.invoke(question).text)
    assert await chain.ainvoke("Hi", {"callbacks": [recorder]}) == "Hi"
    assert len(recorder.parents) == 2
    assert [parent for parent in recorder.parents.values() if parent] == ["ChatDarkAI"]


async def test_where_callbacks_want_tokens_of_a_whole_reply_it_is_a_run_within_the_run_too() -> None:
    model = ChatDarkAI.over(text("It is ", "noon."))
    chain: Any = RunnableLambda(lambda question: model.invoke(question).text)
    events = [event async for event in chain.astream_events("Hi", version="v2")]
    started = {event["name"]: event for event in events if event["event"] == "on_chat_model_start"}
    assert started["TextModel"]["parent_ids"][-1] == started["ChatDarkAI"]["run_id"]
    streamed = [event["name"] for event in events if event["event"] == "on_chat_model_stream"]
    assert set(streamed) == {"TextModel", "ChatDarkAI"}


@pytest.mark.parametrize("model_class", [TextModel, NativeModel])
async def test_an_agent_streams_each_token_once(model_class: type[TextModel]) -> None:
    call = BLOCK if model_class is TextModel else call_chunk('{"city": "Paris"}', "weather")
    agent: Any = create_agent(ChatDarkAI.over(model_class(replies=[[call], ["It is ", "sunny."]])), [weather])
    stream = agent.astream({"messages": [("user", "Weather in Paris?")]}, stream_mode="messages")
    assert "".join([message.text async for message, _ in stream]) == "ParisIt is sunny."


@pytest.mark.parametrize("entry", ENTRIES)
async def test_an_error_of_the_model_is_ours_with_it_as_the_cause(entry: str) -> None:
    class SlowDownError(ModelRateLimitError):
        pass

    recorder = Recorder()
    model = ChatDarkAI.over(text(SlowDownError("too fast")), max_retries=0)
    with pytest.raises(DarkAIRateLimitError, match=r"TextModel \(in this process\) reported an error: 'too") as caught:
        await Asker(entry).chunks(model.with_config(callbacks=[recorder]))
    assert isinstance(caught.value.__cause__, SlowDownError)
    assert caught.value.status == 429
    assert [error for _, error in recorder.errors] == ["SlowDownError", "DarkAIRateLimitError"]


async def test_what_may_be_temporary_is_asked_again_and_a_fault_in_the_code_is_not() -> None:
    hurried = TextModel(replies=[[ModelRateLimitError("too fast")], ["Hi"]])
    assert (await ChatDarkAI.over(hurried).ainvoke("Hi")).content == "Hi"
    broken = text(KeyError("name"))
    with pytest.raises(DarkAIAPIError, match=r"TextModel \(in this process\) failed with KeyError") as caught:
        await ChatDarkAI.over(broken).ainvoke("Hi")
    assert isinstance(caught.value.__cause__, KeyError)
    assert not caught.value.is_retryable
    assert len(broken.asked) == 1


async def test_text_before_an_error_is_kept() -> None:
    seen: list[str] = []
    with pytest.raises(DarkAIAPIError) as caught:
        await Asker("astream").into(seen, ChatDarkAI.over(text("It is ", ValueError())))
    assert seen == ["It is "]
    assert caught.value.partial_text == "It is "


@pytest.mark.parametrize("entry", ENTRIES)
async def test_the_timeout_reaches_the_model(entry: str) -> None:
    model = text("It is ", ...)
    with pytest.raises(DarkAITimeoutError, match="the model's reply was whole") as caught:
        await Asker(entry).chunks(ChatDarkAI.over(model, timeout=0.05))
    assert model.record.was_cancelled.wait(5)
    assert caught.value.partial_text == ("It is " if Asker(entry).streams else "")
    await asyncio.sleep(0)  # the caller's task is not cancelled


async def test_a_timeout_of_the_models_own_is_one_of_ours() -> None:
    with pytest.raises(DarkAITimeoutError, match="took too long"):
        await ChatDarkAI.over(text(TimeoutError()), max_retries=0).ainvoke("Hi")


async def test_whoever_leaves_cancels_the_model() -> None:
    model = text("It is ", ...)
    task = asyncio.ensure_future(ChatDarkAI.over(model).ainvoke("Hi"))
    await comes(lambda: bool(model.asked))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await comes(model.record.was_cancelled.is_set)

    model = text("It is ", ...)
    stream = ChatDarkAI.over(model).astream("Hi")
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await comes(model.record.was_cancelled.is_set)


async def test_a_stop_sequence_reaches_the_model_and_ends_the_reply_anyhow() -> None:
    model = text("It is noon. ", "END", " and more", ...)
    message = [chunk async for chunk in ChatDarkAI.over(model).astream("Hi", stop=["END"])]
    assert "".join(str(chunk.text) for chunk in message) == "It is noon. "
    assert model.given("stop") == [["END"]]
    await comes(model.record.was_cancelled.is_set)


async def test_parameters_set_the_fields_of_the_model_for_the_call() -> None:
    model = text("Hi")
    await ChatDarkAI.over(model, temperature=0.5).ainvoke("Hi", max_tokens=9)
    assert model.given("temperature", "max_tokens") == [0.5, 9]
    assert (model.temperature, model.max_tokens) == (None, None)


def test_a_reply_from_the_cache_of_a_model_that_counts_nothing_is_one_too() -> None:
    model = FakeListChatModel(responses=["first", "second"], cache=InMemoryCache())
    outer = ChatDarkAI.over(model, cache=False)
    assert [outer.invoke("Hi").content for _ in range(2)] == ["first", "first"]


def test_the_name_in_the_metadata_is_the_models() -> None:
    class Named(TextModel):
        model_name: str = "small-1"

    assert ChatDarkAI.over(Named(replies=[["Hi"]])).invoke("Hi").response_metadata["model_name"] == "small-1"
    assert ChatDarkAI.over(text("Hi")).invoke("Hi").response_metadata["model_name"] == "TextModel"
    assert ChatDarkAI.over(text("Hi"), model="mine").invoke("Hi").response_metadata["model_name"] == "mine"


def test_nothing_is_no_answer_unless_it_may_be_one() -> None:
    with pytest.raises(DarkAIEmptyResponseError, match=r"TextModel \(in this process\) gave a reply without any text"):
        ChatDarkAI.over(text(""), max_retries=0).invoke("Hi")
    assert ChatDarkAI.over(text(""), allow_empty=True).invoke("Hi").content == ""
    cut = AIMessageChunk(content="", response_metadata={"finish_reason": "length"})
    assert ChatDarkAI.over(text(cut)).invoke("Hi").response_metadata["finish_reason"] == "length"


def test_thoughts_and_refusals_come_through() -> None:
    thought = AIMessageChunk(content="", additional_kwargs={"reasoning_content": "Hm."})
    message = ChatDarkAI.over(text(thought, "Yes.")).invoke("Well?")
    assert (message.content, message.additional_kwargs) == ("Yes.", {"reasoning_content": "Hm."})
    with pytest.raises(DarkAIRefusalError, match="No!"):
        ChatDarkAI.over(text(AIMessageChunk(content="", additional_kwargs={"refusal": "No!"}))).invoke("Well?")


def test_copies_are_equal_and_share_the_model() -> None:
    inner = FakeListChatModel(responses=["Hi"])
    model = ChatDarkAI.over(inner, temperature=0.5)
    assert model == ChatDarkAI.over(inner, temperature=0.5) == model.model_copy() == copy.deepcopy(model)
    assert copy.deepcopy(model).within is inner
    assert model != ChatDarkAI.over(inner)
    assert model.model_copy(update={"native": "never"}).native == "never"


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_it_pickles_and_dumps_where_the_model_does() -> None:
    model = ChatDarkAI.over(FakeListChatModel(responses=["Hi"]), max_reasks=3)
    unpickled = pickle.loads(pickle.dumps(model))
    assert unpickled == model
    assert unpickled.invoke("Well?").content == "Hi"

    over_over = ChatDarkAI.over(ChatDarkAI(model="gpt-4o", base_url="https://example.org"), native="never")
    loaded = load(dumpd(over_over), valid_namespaces=["langchain_darkai"], allowed_objects=[ChatDarkAI])
    assert isinstance(loaded, ChatDarkAI)
    assert isinstance(loaded.within, ChatDarkAI)
    assert (loaded.native, loaded.within.base_url, loaded.model) == ("never", "https://example.org", "gpt-4o")


def test_what_is_no_chat_model_is_refused() -> None:
    with pytest.raises(TypeError, match="model is a str; give a LangChain chat model"):
        ChatDarkAI.over("gpt-4o")  # type: ignore[arg-type]


def test_the_environment_of_the_endpoint_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKAI_BASE_URL", "https://example.org")
    monkeypatch.setenv("DARKAI_API_KEY", "secret")
    model = ChatDarkAI.over(text("Hi"))
    assert (model.base_url, model.api_key) == (None, None)
    assert "secret" not in str(dumpd(model))


def test_the_window_is_that_of_the_model() -> None:
    model: BaseChatModel = text("Hi", profile={"max_input_tokens": 4096})
    assert (ChatDarkAI.over(model).profile or {})["max_input_tokens"] == 4096


async def test_calls_at_once_do_not_mix() -> None:
    def script(messages: list[BaseMessage], _: Any) -> str:
        return f"re: {messages[-1].text}"

    model = ChatDarkAI.over(FunctionChatModel(script))
    replies = await model.abatch([f"question {number}" for number in range(20)])
    assert [reply.content for reply in replies] == [f"re: question {number}" for number in range(20)]
    assert all(isinstance(reply, AIMessage) for reply in replies)
