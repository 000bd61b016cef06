"""A model's reply to content and tool calls, as it comes.

The form that the model is asked for counts wherever it stands. Near-JSON, a code fence around the JSON, several objects
and a missing closing tag are accepted:

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>

Forms that models write out of habit, the rows of `formats.FORMATS`, count for the tools that are bound only.

These count for bound tools, too, where they are the whole reply, thoughts before them aside:

    {"name": "get_weather", "arguments": {"city": "Paris"}}         also "parameters"; several; a list of them
    [get_weather(city="Paris"), add(a=1, b=2)]
    get_weather{"city": "Paris"}
    any of these in a code fence that holds nothing else

JSON or a fence with JSON at the reply's end is a call, too, where it begins a line and has the arguments that the tool
requires, and no others. Where the model must call one certain tool, an object of nothing but arguments is a call of it.

A call is text in `inline code`, in a code fence with prose behind it, and in a thought. Text is passed on unchanged;
only the blank space around calls is dropped. It is held back no longer than it may still be the beginning of a call.

A call that is broken or truncated is invalid. It keeps its text and gets a reason. Its arguments get an end that keeps
LangChain, which completes partial JSON, from completing them: else the call would run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from langchain_darkai._text import MAX_SLICE
from langchain_darkai._tool_calls.bare_calls import AnnouncedCallState, BareCallState
from langchain_darkai._tool_calls.call_states import CallHeadState
from langchain_darkai._tool_calls.format_states import AfterCallState
from langchain_darkai._tool_calls.formats import OPENED_THOUGHT
from langchain_darkai._tool_calls.output import ParsedToolCall, Part, PartBuffer
from langchain_darkai._tool_calls.state import ParserContext, State, StateName
from langchain_darkai._tool_calls.text_states import TextState
from langchain_darkai._tool_calls.thoughts import ThoughtState
from langchain_darkai._tool_calls.tools import Tool, ToolChoice

STATES: Mapping[StateName, type[State]] = {
    "text": TextState,  # the first one, to which all others return; from it, any other is reached
    "bare call": BareCallState,
    "announced call": AnnouncedCallState,
    "call head": CallHeadState,
    "after call": AfterCallState,
}
"""The states that are entered by name. Thoughts, code, formats and the rest of a call have states beside these."""

_AUTO = ToolChoice()


class ReplyParser:
    """Reads one reply that comes in pieces.

    `tools` are those that are bound. `feed` returns the parts that a piece makes certain, `finish` those that the
    reply's end makes certain; `abort` takes the place of `finish` where the reply breaks off with an error. `reasoning`
    says what becomes of thoughts: see `PartBuffer`. Without tools, nothing else is looked for. With `in_thought`, the
    reply begins within a thought: `was_in_thought` tells so of a reply that was read without it.

    Example:
        >>> parser = ReplyParser([Tool("now", "", {})])
        >>> parser.feed('Let me see. <tool_call>{"name": "now", "arg')
        ['Let me see.']
        >>> [piece.arguments for piece in parser.feed('uments": {}}</tool_call>')]
        ['', '{', '}']
        >>> parser.calls[0].name, parser.calls[0].arguments, parser.calls[0].reason
        ('now', '{}', None)
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        choice: ToolChoice = _AUTO,
        *,
        parallel: bool = True,
        reasoning: bool | None = None,
        in_thought: bool = False,
    ) -> None:
        self._out = PartBuffer(parallel=parallel, only_tool=choice.name, reasoning=reasoning)
        self._context = ParserContext(tools, choice, self._out, STATES, reasoning=reasoning)
        if in_thought:
            self._context.switch_to(ThoughtState(self._context, "", OPENED_THOUGHT))

    @property
    def calls(self) -> list[ParsedToolCall]:
        """The calls so far."""
        return self._out.calls

    @property
    def content(self) -> str:
        """The text so far, without the calls."""
        return self._out.content

    @property
    def reasoning(self) -> str:
        """The thoughts so far that were taken out of the text."""
        return "".join(self._out.reasoning_pieces)

    @property
    def was_in_thought(self) -> bool:
        """Whether a mark closed a thought that nothing had opened."""
        return self._context.was_in_thought

    @property
    def done(self) -> bool:
        """Whether the reply is over: nothing that follows counts."""
        return self._out.done

    def feed(self, text: str) -> list[Part]:
        """Return the parts that this piece of the reply makes certain."""
        for _ in self.slices(text):
            pass
        return self.take()

    def finish(self) -> list[Part]:
        """Return the parts that the reply's end makes certain."""
        for _ in self.slices(None):
            pass
        return self.take()

    def slices(self, text: str | None) -> Iterable[None]:
        """Read a piece of the reply, or its end for None. A long piece is read slice by slice, as this is iterated."""
        if text is None:
            return self._finish()
        text = self._context.take_pending() + text
        while text and not self._out.done:
            if len(text) > MAX_SLICE:
                return self._read(text)
            text = self._context.state.read(text)
        return ()

    def take(self) -> list[Part]:
        """Return the parts that became certain since the last time."""
        return self._out.drain()

    def abort(self) -> list[Part]:
        """Return what keeps a call that has begun from running, where the reply breaks off."""
        self._context.state.abort()
        self._out.done = True
        return self._out.drain()

    def _read(self, text: str) -> Iterator[None]:
        # A state returns a copy of what it has not read. In a slice that copy is short, however many marks there are.
        context = self._context
        unread = [text]  # the last one comes next
        while unread and not self._out.done:
            text = unread.pop()
            if len(text) > MAX_SLICE:
                unread += reversed([text[at : at + MAX_SLICE] for at in range(0, len(text), MAX_SLICE)])
                continue
            if text := context.state.read(context.take_pending() + text):
                unread.append(text)
            elif unread:
                yield

    def _finish(self) -> Iterator[None]:
        context = self._context
        while not self._out.done:
            state = context.state
            again = state.end(context.take_pending())
            if context.state is state and not again:
                break
            yield from self.slices(again)
        self._out.finish(drop_space=context.ends_in_made_up)
