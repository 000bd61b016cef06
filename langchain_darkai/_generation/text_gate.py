"""Which text of a streamed reply is passed on at once, and which is held back."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_darkai._tool_calls.output import Part, ReasoningDelta


class TextGate:
    """Holds back text that may turn out not to be part of the answer.

    Text is passed on as it comes, except in two cases:

    - With `hold`, the reply must be a tool call. If it has only text, the model is asked again. So text is held back
      until the first call or the end.
    - If text was passed on and the model is asked again, the text of the next reply is held back until its end, since
      it may repeat the answer.

    Example:
        >>> gate = TextGate(hold=True)
        >>> gate.feed(["Let me see."]), gate.end()
        ([], 'Let me see.')
    """

    def __init__(self, *, hold: bool) -> None:
        self._hold = hold
        self._has_shown = False  # text was passed on, in this reply or an earlier one
        self._replies = 0
        self._thought_replies = 0  # up to the last one of which a thought was passed on
        self.begin_reply()

    def begin_reply(self) -> None:
        """Drop the text that was held: that reply was not the answer, and another one begins."""
        self._follows_shown = self._has_shown
        self._replies += 1
        self._held: list[str] = []
        self._has_call = False

    def feed(self, parts: "list[Part]") -> "list[Part]":
        """Return the parts to hand over now. Held text goes before a call, unless an earlier reply's text was shown."""
        passed: list[Part] = []
        for part in parts:
            if not isinstance(part, str) and part.kind == "thought":
                passed.append(self._parted(part))
            elif not isinstance(part, str):
                passed += self._before_call()
                passed.append(part)
            elif self._follows_shown or (self._hold and not self._has_call):
                self._held.append(part)
            else:
                self._has_shown = True
                passed.append(part)
        return passed

    def _parted(self, thought: "ReasoningDelta") -> "ReasoningDelta":
        """Return a piece of a thought, which is no part of the answer; parted from those of an earlier reply."""
        is_first = self._thought_replies < self._replies
        parted = replace(thought, text=f"\n\n{thought.text}") if is_first and self._thought_replies else thought
        self._thought_replies = self._replies
        return parted

    def _before_call(self) -> "list[Part]":
        held, self._held = "".join(self._held), []
        self._has_call = True
        if not held or self._follows_shown:
            return []
        self._has_shown = True
        return [held]

    def end(self) -> str:
        """Return the text to hand over at the end of the last reply: what was held.

        It begins a new paragraph where other text stands before it.
        """
        rest = "".join(self._held)
        if not rest or (self._follows_shown and self._has_call):
            return ""
        return f"\n\n{rest}" if self._follows_shown else rest


class AnswerGate(TextGate):
    """Passes on answers in JSON, as `AnswerText` makes them of replies.

    What was passed on cannot be taken back. If an answer was not valid and the model was asked again, the new answer
    goes on where the text ends: with its rest, if it begins with that text, and else with all of its members, since of
    two members of one name readers of JSON take the last. If neither gives what the new answer says, it begins a new
    paragraph, and the text is no JSON.

    Example:
        >>> gate = AnswerGate()
        >>> gate.feed(['{"age": "old"']), gate.begin_reply(), gate.feed(['{"age": 30}']), gate.end()
        (['{"age": "old"'], None, [], ', "age": 30}')
    """

    def __init__(self, *, hold: bool = False) -> None:
        super().__init__(hold=hold)
        self._shown: list[str] = []

    def feed(self, parts: "list[Part]") -> "list[Part]":
        """Return the parts to hand over now."""
        passed = super().feed(parts)
        self._shown += [part for part in passed if isinstance(part, str)]
        return passed

    def end(self) -> str:
        """Return the text to hand over at the end of the last reply."""
        rest = super().end()
        if not rest or not self._follows_shown:
            return rest
        shown, answer = "".join(self._shown), "".join(self._held)
        for addition in (answer[len(shown) :], f"{_closing(shown)}, {answer[1:]}"):
            if _is_same_json(shown + addition, answer):
                return addition
        return rest


def _closing(beginning: str) -> str:
    """Return what closes the members of an object that has begun, but not the object."""
    from langchain_darkai._json.reader import LenientJsonReader

    reader = LenientJsonReader()
    reader.feed(f"{beginning},")  # the comma tells that a quote at the end closes its string
    return reader.completion()[:-1]


def _is_same_json(text: str, other: str) -> bool:
    try:
        return bool(text == other or json.loads(text) == json.loads(other))
    except ValueError:
        return False
