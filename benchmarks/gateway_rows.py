"""What is measured of the servers: one row of the second table each."""

import asyncio
import contextlib
import statistics
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from benchmarks import gateway_clients
from benchmarks.gateway_clients import STREAMS, Client, ModelAlone
from benchmarks.gateways import LITELLM, PACED_TOKENS, running
from benchmarks.measure import Clock, Time, take_turns
from benchmarks.rows import PROFILED, Outcome, Row

IN_A_ROW = 20
CLIENTS, OF_EACH = 16, 4
IDLE_STREAMS, IDLE_STREAMS_QUICK = 1_000, 100


@dataclass(frozen=True)
class GatewaySetting:
    """Where and how long a row is measured, and which servers take part. `stack` ends those that were started."""

    backend: str
    loop: asyncio.AbstractEventLoop
    time: Time
    litellm: Path
    names: Sequence[str]
    stack: contextlib.ExitStack

    @cached_property
    def clients(self) -> dict[str, Client]:
        """The clients, by the names of their servers, which are started with this."""
        running_here = partial(running, backend=self.backend, litellm=self.litellm)
        clients = {name: Client(self.stack.enter_context(running_here(name))) for name in self.names}
        self.stack.callback(lambda: self.loop.run_until_complete(gateway_clients.close(clients.values())))
        return clients

    @cached_property
    def memory(self) -> dict[str, tuple[float, float]]:
        """What each server holds at rest, and for an idle stream; in new processes, which have done nothing else."""
        streams = IDLE_STREAMS if self.time.rounds > 1 else IDLE_STREAMS_QUICK
        measured = {}
        for name in self.names:
            with running(name, self.backend, self.litellm) as gateway:
                client = Client(gateway)
                measured[name] = self.loop.run_until_complete(gateway_clients.memory(client, streams))
                self.loop.run_until_complete(client.aclose())
        return measured

    def contest(
        self,
        use: Callable[..., Coroutine[Any, Any, int]],
        *arguments: Any,
        clock: Clock = "cpu",
        with_model: bool = False,
    ) -> dict[str, dict[int, float]]:
        """Let all clients take turns; return what they metered, or the time on the wall, by round."""
        taking_part: dict[str, Any] = {**self.clients, **({"astream": ModelAlone(self.backend)} if with_model else {})}

        def job(client: Any) -> object:
            return self.loop.run_until_complete(use(client, *arguments))

        samples = take_turns(
            {name: partial(job, client) for name, client in taking_part.items()},
            self.time,
            {name: partial(getattr, client, "metered") for name, client in taking_part.items()},
        )
        lengths = {name: its.result for name, its in samples.items()}
        assert len(set(lengths.values())) == 1, f"The contenders got different texts: {lengths}."
        return {name: its.of(clock) for name, its in samples.items()}


@contextlib.contextmanager
def gateway_setting(
    backend: str, loop: asyncio.AbstractEventLoop, time_for: Time, litellm: Path = LITELLM
) -> Iterator[GatewaySetting]:
    """Let the servers that are asked for run until the block ends. LiteLLM takes part where its command is."""
    _allow_open_files()
    names = ["bare", PROFILED, *(["litellm"] if litellm.exists() else [])]
    with contextlib.ExitStack() as stack:
        yield GatewaySetting(backend, loop, time_for, litellm, names, stack)


def _compared(
    samples: dict[str, dict[int, float]], unit: str, in_unit: float, *, more_is_better: bool = False
) -> Outcome:
    """Return the median of this package's server in a unit, and what the others say of it, all within rounds."""
    ours = samples[PROFILED]

    def over_rounds(name: str, compare: Callable[[float, float], float]) -> float:
        its = samples[name]
        return statistics.median(compare(ours[number], its[number]) for number in ours.keys() & its.keys())

    compare: dict[str, Callable[[float, float], float]] = {
        "bare": lambda mine, its: mine / its,
        "astream": lambda mine, its: (mine - its) * in_unit,
        "litellm": lambda mine, its: its / mine,
    }
    ratios = {name: over_rounds(name, compare[name]) for name in samples if name != PROFILED}
    middle = statistics.median(ours.values())
    return Outcome(in_unit / middle if more_is_better else in_unit * middle, unit, ratios)


def _token(setting: GatewaySetting) -> Outcome:
    """Compare the processor time of a streamed token, without that of the request itself."""
    samples = setting.contest(gateway_clients.tokens, with_model=True)
    return _compared(samples, "µs", 1e6 / (STREAMS * (PACED_TOKENS - 1)))


def _short(use: Callable[..., Coroutine[Any, Any, int]], setting: GatewaySetting) -> Outcome:
    """Compare the processor time of a short request."""
    samples = setting.contest(use, IN_A_ROW, with_model=True)
    return _compared(samples, "ms", 1e3 / IN_A_ROW)


def _rate(setting: GatewaySetting) -> Outcome:
    """Compare how many short streams a server answers in a second."""
    samples = setting.contest(gateway_clients.crowd, CLIENTS, OF_EACH, clock="wall")
    return _compared(samples, "/s", CLIENTS * OF_EACH, more_is_better=True)


def _first_text(setting: GatewaySetting) -> Outcome:
    """Compare the time until a stream's first text."""
    return _compared(setting.contest(gateway_clients.first_texts, IN_A_ROW), "ms", 1e3 / IN_A_ROW)


def _at_rest(setting: GatewaySetting) -> Outcome:
    """Compare the memory of the processes after some requests."""
    return _compared({name: {0: at_rest} for name, (at_rest, _) in setting.memory.items()}, "MB", 1e-6)


def _idle_stream(setting: GatewaySetting) -> Outcome:
    """Compare the memory that each of many waiting streams takes."""
    return _compared({name: {0: a_stream} for name, (_, a_stream) in setting.memory.items()}, "kB", 1e-3)


def _allow_open_files(number: int = 8_192) -> None:
    """Let the servers, which inherit this, hold two sockets for each stream."""
    with contextlib.suppress(ImportError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < number:
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


GATEWAY_ROWS = (
    Row("gateway-token", "a streamed token", "CPU", {"litellm": 3, "astream": 40}, _token),
    Row("gateway-short", "a short stream", "CPU", {"litellm": 12}, partial(_short, gateway_clients.short_streams)),
    Row("gateway-whole", "a short reply, whole", "CPU", {}, partial(_short, gateway_clients.short_replies)),
    Row("gateway-rate", "short streams, 16 at once", "wall", {}, _rate),
    Row("gateway-first", "time to the first text", "wall", {"litellm": 5}, _first_text),
    Row("gateway-rest", "memory at rest", "RSS", {}, _at_rest),
    Row("gateway-idle", "- for each idle stream", "RSS", {"ours": 60}, _idle_stream),
)
