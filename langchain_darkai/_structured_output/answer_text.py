"""The text of a reply whose caller reads it as JSON: the answer, and nothing else, as it becomes certain."""

from collections.abc import Iterable, Iterator

from langchain_darkai._structured_output.extraction import AnswerScanner, Judgement
from langchain_darkai._tool_calls.output import Part, ReasoningDelta


class AnswerText:
    """Makes bare JSON of the text of one reply.

    1. The first object that begins with a member of the schema is the answer, valid or not. Nothing after it counts.
       Its JSON is certain as it comes; its closing bracket waits until the answer is known to be valid.
    2. If no object begins so, the first valid JSON value is the answer, and certain when it is whole.
    3. Other text waits until the end. If there is an answer, it is dropped; if there is none, it is the text.
    4. If a call comes before any answer, all text is the text, since the reply is no answer but a call.

    So the parts and then `rest` are the same text in whatever pieces the reply comes, and as a whole.
    """

    def __init__(self, scanner: AnswerScanner) -> None:
        self._scanner = scanner
        scanner.is_shown = True
        self._new: list[Part] = []
        self._certain: list[str] = []
        self._held: list[str] = []
        self._is_plain = False  # a call came before any answer

    def feed(self, parts: Iterable[Part]) -> list[Part]:
        """Return the parts of the reply that are certain now."""
        for judge in self.steps(parts):
            judge()
        return self.take()

    def steps(self, parts: Iterable[Part]) -> Iterator[Judgement]:
        """Read parts of the reply, in the steps of an `AnswerScanner`."""
        for part in parts:
            if isinstance(part, ReasoningDelta):
                self._new.append(part)
            elif not isinstance(part, str):
                self._new += [*self._before_call(), part]
            elif self._is_plain:
                self._new.append(part)
            else:
                yield from self._scanner.steps(part)
                if not self._scanner.is_found:
                    self._held.append(part)
                elif new := self._scanner.drain():
                    self._new.append(new)

    def take(self) -> list[Part]:
        """Return the parts that became certain since the last time."""
        new, self._new = self._new, []
        self._certain += [part for part in new if isinstance(part, str)]
        return new

    def _before_call(self) -> list[Part]:
        if self._scanner.is_found:
            return []
        held, self._held = "".join(self._held), []
        self._is_plain = True
        return [held] if held else []

    def rest(self) -> str:
        """Return what the reply's end makes certain."""
        return self._scanner.rest() if self._scanner.is_found else "".join(self._held)

    def text(self) -> str:
        """Return all of the text, if the reply ends here."""
        new = [part for part in self._new if isinstance(part, str)]
        return "".join((*self._certain, *new, self.rest()))

    def check(self) -> None:
        """Raise InvalidAnswer, with what is wrong, unless the reply has a valid answer."""
        self._scanner.finish()
