"""Which text of a streamed reply is passed on at once, and which is held back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_darkai._tool_calls.output import Part


class TextGate:
    """Holds back text that may turn out not to be part of the answer.

    Text is passed on as it comes, except in two cases:

    - With `hold`, the reply must be a tool call or JSON. If it has only text, the model is asked again. So text is held
      back until the first call or the end.
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
        self.begin_reply()

    def begin_reply(self) -> None:
        """Drop the text that was held: that reply was not the answer, and another one begins."""
        self._follows_shown = self._has_shown
        self._held: list[str] = []
        self._has_call = False

    def feed(self, parts: "list[Part]") -> "list[Part]":
        """Return the parts to hand over now. Held text goes before a call, unless an earlier reply's text was shown."""
        passed: list[Part] = []
        for part in parts:
            if not isinstance(part, str):
                passed += self._before_call()
                passed.append(part)
            elif self._follows_shown or (self._hold and not self._has_call):
                self._held.append(part)
            else:
                self._has_shown = True
                passed.append(part)
        return passed

    def _before_call(self) -> "list[Part]":
        held, self._held = "".join(self._held), []
        self._has_call = True
        if not held or self._follows_shown:
            return []
        self._has_shown = True
        return [held]

    def end(self, answer: str | None = None) -> str:
        """Return the text to hand over at the end of the last reply: what was held, or the answer in its place.

        It begins a new paragraph where other text stands before it.
        """
        rest = "".join(self._held) if answer is None else answer
        if not rest or (self._follows_shown and self._has_call):
            return ""
        return f"\n\n{rest}" if self._follows_shown else rest
