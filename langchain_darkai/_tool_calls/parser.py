"""A model's reply to content and tool calls, as it comes.

The shape that the model is asked for, which counts wherever it stands, with near-JSON, a code fence around the JSON,
several objects, and a missing closing tag accepted within:

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>

Shapes that models write out of habit. They count for the tools that are bound, and nothing else:

    <function=get_weather>{"city": "Paris"}</function>              also with <parameter=city>Paris</parameter>
    <|python_tag|>get_weather(city="Paris")                         or JSON; to the end of the reply
    [TOOL_CALLS] [{"name": "get_weather", "arguments": {...}}]      or get_weather{...}, get_weather[ARGS]{...}
    <function_call>, <tool_calls>, <|tool_call|>                    around JSON

and, where they are the whole reply but for thoughts before it:

    {"name": "get_weather", "arguments": {"city": "Paris"}}         also "parameters"; several; a list of them
    [get_weather(city="Paris"), add(a=1, b=2)]
    any of these in one code fence that holds nothing else

Where one tool must be called, an object of nothing but its arguments is a call, too.

Call syntax is text in `inline code`, in a code fence amid prose, and in <think>. What is no call is passed on to the
letter; only the blank space around calls goes. Text is held back no longer than it could still begin a call.

A call whose block is broken, or ends in the middle, is invalid: it keeps its text and gets a reason, and what was
handed over of its arguments is closed so that no reader can complete it.
"""

from collections.abc import Mapping, Sequence

from langchain_darkai._tool_calls.call_states import CallHeadState, FunctionTagState, VendorTagState
from langchain_darkai._tool_calls.candidate import BareCallState
from langchain_darkai._tool_calls.output import Call, Part, PartBuffer, ToolCallDelta
from langchain_darkai._tool_calls.state import ParserContext, State, StateName
from langchain_darkai._tool_calls.text_states import TextState
from langchain_darkai._tool_calls.tools import Tool, ToolChoice

__all__ = ["Call", "Part", "ReplyParser", "ToolCallDelta"]

STATES: Mapping[StateName, type[State]] = {
    "text": TextState,
    "bare call": BareCallState,
    "call head": CallHeadState,
    "function tag": FunctionTagState,
    "vendor tag": VendorTagState,
}

_AUTO = ToolChoice()


class ReplyParser:
    """Reads one reply that comes in pieces.

    `tools` are those that are bound. `feed` returns the parts that a piece makes certain, `finish` those of the end;
    `abort` closes a call that is open when the reply breaks off with an error. `calls` are the calls so far,
    `content` is the text without them, and `done` tells that nothing that follows counts.

    Example:
        >>> parser = ReplyParser([Tool("now", "", {})])
        >>> parser.feed('Let me see. <tool_call>{"name": "now", "arg')
        ['Let me see.']
        >>> [piece.arguments for piece in parser.feed('uments": {}}</tool_call>')]
        ['', '{', '}']
        >>> parser.calls[0].name, parser.calls[0].arguments, parser.calls[0].reason
        ('now', '{}', None)
    """

    def __init__(self, tools: Sequence[Tool], choice: ToolChoice = _AUTO, *, parallel: bool = True) -> None:
        self._reading = ParserContext(tools, choice, PartBuffer(parallel=parallel, only=choice.name), STATES)

    @property
    def calls(self) -> list[Call]:
        """The calls so far."""
        return self._reading.out.calls

    @property
    def content(self) -> str:
        """The text so far, without its calls."""
        return self._reading.out.content

    @property
    def done(self) -> bool:
        """Whether the reply is at its end."""
        return self._reading.out.done

    def feed(self, text: str) -> list[Part]:
        """Return the parts that this piece of the reply makes certain."""
        self._reading.read(text)
        return self._reading.out.take()

    def finish(self) -> list[Part]:
        """Return the parts that the reply's end makes certain."""
        reading = self._reading
        while not reading.out.done:
            reader = reading.reader
            again = reader.end(reading.take_carry())
            if reading.reader is reader and not again:
                break
            reading.read(again)
        reading.out.finish(drop_space=reading.ends_in_made_up)
        return reading.out.take()

    def abort(self) -> list[Part]:
        """Return what keeps a half-written call from being completed, where the reply broke off within one."""
        self._reading.reader.abort()
        self._reading.out.done = True
        return self._reading.out.take()
