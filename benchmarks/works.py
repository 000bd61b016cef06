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
from benchmarks.parsing import CALL, CODE, PROSE, call_with, cut, parse, read_answer
from langchain_darkai import format_prompt
from langchain_darkai.protocol import EventDecoder, encode_event

MARKUP = """<div class="boat">
  <p>The <b>river</b> runs to the <i>sea</i>, <span>see</span> [1].</p>
  <ul><li><a href="/salt">salt</a></li></ul>
</div>
- [The river](https://example.org/river) runs down
[note]: https://example.org/note
[Boats](https://example.org/boats)

"""
FOREIGN = "Der Fluß fließt ins Meer — 川は海へ流れる。 "


def _events(texts: Iterable[str]) -> bytes:
    return b"".join(encode_event("text-chunk", {"text": text}) for text in texts)


def _decode(reads: Sequence[bytes]) -> None:
    decoder = EventDecoder()
    for read in reads:
        decoder.feed(read)


def _format(history: Sequence[BaseMessage]) -> None:
    for _ in range(5):
        format_prompt(history)


def _works() -> Iterator[tuple[str, Callable[[], None]]]:
    tokens = list(server.PIECES) * 40
    burst = _events(tokens)
    yield "decoder, a burst", partial(_decode, cut(burst))
    yield "decoder, a token a read", partial(_decode, [_events([token]) for token in tokens])
    foreign = _events(FOREIGN.split() * 150)
    yield "decoder, other scripts", partial(_decode, cut(foreign))
    yield "parser, prose in bursts", partial(parse, cut(PROSE * 1000))
    yield "parser, prose a token", partial(parse, tokens)
    yield "parser, prose with code", partial(parse, cut(CODE * 100))
    yield "parser, HTML and links", partial(parse, cut(MARKUP * 100))
    yield "parser, an argument", partial(parse, cut(call_with(PROSE * 400)))
    yield "parser, 300 calls", partial(parse, cut(CALL * 300))
    boats = {"boats": [{"name": f"boat {number}", "crew": number, "log": PROSE} for number in range(100)]}
    yield "structured answer", partial(read_answer, cut(f"Here it is:\n{json.dumps(boats)}"), "boats")
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
