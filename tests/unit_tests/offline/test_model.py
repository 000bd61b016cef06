"""The offline model as a chat model: streams, stop sequences, usage and settings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import ValidationError

from langchain_darkai.offline.model import OfflineChatModel
from tests.support.offline import ADD, PERSON, WEATHER, offer, say, want

MESSAGES = [SystemMessage("Be kind."), HumanMessage("Why  is\nthe sky blue, and what is 你好啊集团 ? ")]


def merged(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


@pytest.mark.parametrize("stop", [None, ["language"], ["no such word", ""]])
async def test_streams_give_what_a_whole_reply_gives(stop: list[str] | None) -> None:
    model = OfflineChatModel()
    whole = model.invoke(MESSAGES, stop=stop)
    assert isinstance(whole, AIMessage)
    chunks = list(model.stream(MESSAGES, stop=stop))
    async_chunks = [chunk async for chunk in model.astream(MESSAGES, stop=stop)]
    assert (await model.ainvoke(MESSAGES, stop=stop)).content == whole.content
    for pieces in (chunks, async_chunks):
        assert merged(pieces).content == whole.content
        assert merged(pieces).usage_metadata == whole.usage_metadata
        assert merged(pieces).response_metadata["model_name"] == whole.response_metadata["model_name"]
        assert pieces[-1].chunk_position == "last"
        assert len(pieces) > 12
        assert all(len(str(piece.content).split()) <= 1 for piece in pieces)


def test_stop_cuts_at_the_earliest_sequence() -> None:
    assert say(HumanMessage("Count from 1 to 9"), stop=["7", " 4", "5"]) == "1, 2, 3,"


def test_usage_counts_words_and_punctuation() -> None:
    message = OfflineChatModel().invoke("Count from 1 to 3.")
    assert isinstance(message, AIMessage)
    assert message.usage_metadata == {"input_tokens": 6, "output_tokens": 5, "total_tokens": 11}


def test_a_pause_before_every_piece_changes_nothing_else() -> None:
    assert "".join(str(c.content) for c in OfflineChatModel(delay=0.001).stream("Count from 1 to 3")) == "1, 2, 3"


def test_settings_of_the_offline_model_are_checked() -> None:
    with pytest.raises(ValidationError, match="temprature"):
        OfflineChatModel(temprature=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="delay"):
        OfflineChatModel(delay=-1)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.sampled_from([None, offer(WEATHER, ADD), want(PERSON)]))
def test_any_text_is_answered_and_always_in_the_same_way(text: str, system: SystemMessage | None) -> None:
    messages: list[BaseMessage] = [*([system] if system else []), HumanMessage(text)]
    answer = say(*messages)
    assert answer
    assert say(*messages) == answer


@pytest.mark.parametrize(
    "messages", [[SystemMessage("Only rules.")], [AIMessage("And so")], [ToolMessage("5", tool_call_id="x")]]
)
def test_conversations_without_a_question_get_an_answer(messages: list[BaseMessage]) -> None:
    assert say(*messages)
