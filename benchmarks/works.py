"""Work whose instructions are counted: what the decoder, the parser and the prompt make of fixed inputs.

`python -m benchmarks.works` is the process that `benchmarks.guard` runs under valgrind.
"""

import gc
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from benchmarks import server
from langchain_darkai import format_prompt
from langchain_darkai._structured_output.answer_text import AnswerText
from langchain_darkai._structured_output.extraction import AnswerScanner
from langchain_darkai._tool_calls.parser import ReplyParser
from langchain_darkai._tool_calls.tools import Tool
from langchain_darkai.protocol import EventDecoder, encode_event

READ = 2500
"""Bytes or characters that a burst brings at once, about as many as 50 events have."""

TOOL = Tool(
    "write_file", "", {"type": "object", "properties": {"path": {"type": "string"}, "text": {"type": "string"}}}
)
PROSE = "".join(server.PIECES)
CODE = f"Here is how:\n\n```python\nfor boat in boats:\n    print(boat)\n```\n\nThen `boat` is *out*. {PROSE}"
CALL = '<tool_call>\n{"name": "write_file", "arguments": {"path": "a.txt", "text": "The river."}}\n</tool_call>\n'
FOREIGN = "Der Fluß fließt ins Meer — 川は海へ流れる。 "


def _cut(text: str, size: int = READ) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _events(texts: Iterable[str]) -> bytes:
    return b"".join(encode_event("text-chunk", {"text": text}) for text in texts)


def _decode(reads: Sequence[bytes]) -> None:
    decoder = EventDecoder()
    for read in reads:
        decoder.feed(read)


def _parse(pieces: Sequence[str]) -> None:
    parser = ReplyParser([TOOL])
    for piece in pieces:
        parser.feed(piece)
    parser.finish()


def _answer(pieces: Sequence[str]) -> None:
    answer = AnswerText(AnswerScanner(lambda value: value, None, is_wrapped=False, first_names=frozenset({"boats"})))
    for piece in pieces:
        answer.feed([piece])
    answer.check()


def _format(history: Sequence[BaseMessage]) -> None:
    for _ in range(5):
        format_prompt(history)


def _works() -> Iterator[tuple[str, Callable[[], None]]]:
    tokens = list(server.PIECES) * 40
    burst = _events(tokens)
    yield "decoder, a burst", partial(_decode, [burst[at : at + READ] for at in range(0, len(burst), READ)])
    yield "decoder, a token a read", partial(_decode, [_events([token]) for token in tokens])
    foreign = _events(FOREIGN.split() * 150)
    yield "decoder, other scripts", partial(_decode, [foreign[at : at + READ] for at in range(0, len(foreign), READ)])
    yield "parser, prose in bursts", partial(_parse, _cut(PROSE * 1000))
    yield "parser, prose a token", partial(_parse, tokens)
    yield "parser, prose with code", partial(_parse, _cut(CODE * 100))
    argument = f"{server.ARGUMENT_START}{json.dumps(PROSE * 400)[1:-1]}{server.ARGUMENT_END}"
    yield "parser, an argument", partial(_parse, _cut(argument))
    yield "parser, 300 calls", partial(_parse, _cut(CALL * 300))
    boats = {"boats": [{"name": f"boat {number}", "crew": number, "log": PROSE} for number in range(100)]}
    yield "structured answer", partial(_answer, _cut(f"Here it is:\n{json.dumps(boats)}"))
    history = [(AIMessage if number % 2 else HumanMessage)(f"{number}: {CODE}") for number in range(60)]
    yield "prompt, 60 messages", partial(_format, history)


WORKS: Mapping[str, Callable[[], None]] = dict(_works())


def main() -> None:
    """Count the instructions of each work, twice. The interpreter has adapted itself to the code before that."""
    for work in WORKS.values():
        for _ in range(3):
            work()
    gc.collect()
    gc.disable()
    for name, work in [*WORKS.items()] * 2:
        _tell("zero")
        _tell("instrumentation", "on")
        work()
        _tell("instrumentation", "off")
        _tell("dump", name)


def _tell(*command: str) -> None:
    """Give valgrind, which runs this process, a command."""
    subprocess.run(["vgdb", f"--pid={os.getpid()}", *command], check=True, capture_output=True)


if __name__ == "__main__":
    main()
