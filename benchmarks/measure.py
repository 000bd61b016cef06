"""Samples of several jobs, taken in turns, and what they say of each other."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Clock = Literal["wall", "cpu"]
Job = Callable[[], object]
"""One use of a client, over when it returns."""
Meter = Callable[[], float]
"""What has counted some seconds so far."""


@dataclass(frozen=True)
class Time:
    """How long to measure: for so many seconds, but no fewer rounds than that. `only` runs one job, to profile it."""

    seconds: float
    rounds: int
    only: str | None = None


@dataclass
class Samples:
    """Seconds of one job, by the number of the round that each was taken in, and what the job returned."""

    result: object
    wall: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)

    def of(self, clock: Clock) -> dict[int, float]:
        """Return the samples of one clock."""
        return self.wall if clock == "wall" else self.cpu

    def median(self, clock: Clock) -> float:
        """Return the median of all rounds."""
        return statistics.median(self.of(clock).values())

    def over(self, other: "Samples", clock: Clock) -> float:
        """Return how many times the other's time this is: the median over the rounds that both took part in.

        What else the machine does comes and goes; within a round it is about the same for all.
        """
        mine, theirs = self.of(clock), other.of(clock)
        return statistics.median(mine[number] / theirs[number] for number in mine.keys() & theirs.keys())


def take_turns(
    jobs: Mapping[str, Job], time_for: Time, meters: Mapping[str, Meter] | None = None
) -> dict[str, Samples]:
    """Run all jobs in rounds; return their samples.

    A round begins with another job each time. Slow jobs sit some rounds out, so that they leave time for the others.
    `meters` says by name what a job's "cpu" is, where that is not the time of this process's processor.
    """
    meters = meters or {}
    jobs = {name: job for name, job in jobs.items() if time_for.only in (None, name)}
    samples = {name: Samples(job()) for name, job in jobs.items()}  # makes connections, imports and caches, too
    gc.collect()
    gc.freeze()  # a collection before each sample must not go through all modules
    spent = dict.fromkeys(jobs, 0.0)
    names = list(jobs)
    number = 0
    started = time.perf_counter()
    while number < time_for.rounds or time.perf_counter() - started < time_for.seconds:
        names.append(names.pop(0))
        for name in names:
            if number >= time_for.rounds and spent[name] > 2 * statistics.median(spent.values()):
                continue
            wall, cpu = timed(jobs[name], meters.get(name, time.process_time))
            samples[name].wall[number], samples[name].cpu[number] = wall, cpu
            spent[name] += wall
        number += 1
    gc.unfreeze()
    return samples


def timed(job: Job, meter: Meter = time.process_time) -> tuple[float, float]:
    """Return the seconds that a job takes, by the clock on the wall and by that of the processor, all threads'."""
    gc.collect()
    wall, cpu = time.perf_counter(), meter()
    job()
    return time.perf_counter() - wall, meter() - cpu
