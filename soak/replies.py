"""The questions of the soak test and their replies. Client and server both compute a reply from its number."""

import json
import random
from typing import NamedTuple

from langchain_darkai.testing.wire import event, text

_WORDS = (
    "a",
    "Grüße",
    "世界",
    "🎉",
    "\n",
    "\r\n",
    " ",
    '"',
    "\\",
    "data: {",
    "\u2028",
    "\x00",
    "x" * 60,
    "</tool_call>",
)


class Question(NamedTuple):
    """What one call asks for. The reply's text follows from the number.

    `fault` is the name of a row in the table of faults, "cut" for a reply that breaks off, or empty. Only the first
    `times` attempts meet it.
    """

    number: int
    fault: str = ""
    times: int = 1_000_000

    def __str__(self) -> str:
        return json.dumps(self)

    @property
    def pieces(self) -> list[str]:
        """The pieces of the reply's text."""
        chance = random.Random(self.number)
        return ["".join(chance.choices(_WORDS, k=chance.randint(1, 6))) for _ in range(chance.randint(1, 30))]

    @property
    def text(self) -> str:
        """The reply's text."""
        return "".join(self.pieces)

    @property
    def body(self) -> bytes:
        """The reply's events; every third reply repeats the whole text in a final event."""
        whole = event("final-response", message=self.text) if self.number % 3 == 0 else b""
        return text(*self.pieces) + whole + event("stream-end")

    @property
    def cut(self) -> tuple[bytes, bool]:
        """What a cut reply still sends, and whether the connection is then reset rather than closed."""
        chance = random.Random(self.number)
        return self.body[: chance.randrange(len(self.body) - len(event("stream-end")))], chance.random() < 0.3

    @property
    def text_before_the_cut(self) -> str:
        """The text of the events that a cut reply still sends completely."""
        lines = self.cut[0].split(b"\n")[:-1]
        return "".join(self.pieces[: len([line for line in lines if b'"text-chunk"' in line])])


def question_of(query: str) -> Question:
    """Return the question that a query holds."""
    number, fault, times = json.loads(query)
    return Question(number, fault, times)
