"""The server of the soak test: raw sockets, replies in packets that end anywhere, and the faults of the table."""

import random
import sys
from collections import Counter
from collections.abc import Iterator

from langchain_darkai.testing import ReceivedCall, ScriptedServer
from langchain_darkai.testing.wire import CLOSE, RESET, STREAM, Step, chunk
from soak.replies import Question, question_of
from tests.support.faults import FAULTS

_SCRIPTS = {fault.name: fault.script for fault in FAULTS}
_attempts: Counter[int] = Counter()


def script(request: ReceivedCall) -> Iterator[Step]:
    """Yield what the server does for a question: its fault, as often as the question says, then its reply."""
    question = question_of(request.query)
    _attempts[question.number] += 1
    if question.fault and _attempts[question.number] <= question.times:
        faulty = _cut(question) if question.fault == "cut" else _SCRIPTS[question.fault]
        yield from faulty(request) if callable(faulty) else faulty
    else:
        yield from _packets(question)


def _packets(question: Question) -> Iterator[Step]:
    """Yield a complete reply in packets that end anywhere; sometimes the end of the body comes later by itself."""
    chance, body = random.Random(question.number), question.body
    yield STREAM
    while body:
        size = chance.choice((1, 7, 100, 1000, 10_000))
        packet, body = body[:size], body[size:]
        yield chunk(packet)
        if chance.random() < 0.05:
            yield chance.choice((0.0, 0.001, 0.02))
    if chance.random() < 0.2:
        yield 0.01
    yield chunk(b"")


def _cut(question: Question) -> list[Step]:
    kept, is_reset = question.cut
    end: list[Step] = [0.05, RESET] if is_reset else [chunk(b""), CLOSE] if question.number % 2 else [CLOSE]
    return [STREAM, *([chunk(kept)] if kept else []), *end]


if __name__ == "__main__":
    with ScriptedServer(rule=script, keep_alive=True) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()  # until the soak ends
