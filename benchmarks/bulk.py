"""The row of the batches: a file of prompts to a file of answers, beside `abatch` of the same prompts in memory."""

import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import contenders
from benchmarks.rows import SHORT, Outcome, Row, Setting

PROMPTS, AT_ONCE = 10_000, 64


def _bulk(setting: Setting) -> Outcome:
    """Compare `arun_batch` with `abatch`, with as many prompts at once. They take turns; a quick look takes a tenth."""
    from langchain_darkai.bulk import arun_batch

    model = contenders.darkai(f"{setting.url}/{SHORT}")
    count = PROMPTS if setting.time.rounds > 1 else PROMPTS // 10
    prompts = [f"{contenders.PROMPT} {number}" for number in range(count)]
    ours, theirs, ratios = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        rows.write_text("".join(json.dumps({"id": n, "prompt": prompt}) + "\n" for n, prompt in enumerate(prompts)))

        async def from_file(number: int) -> None:
            report = await arun_batch(model, rows, Path(folder) / f"{number}.jsonl", concurrency=AT_ONCE)
            assert report.answered == count

        async def in_memory() -> None:
            assert len(await model.abatch(prompts, {"max_concurrency": AT_ONCE})) == count

        setting.loop.run_until_complete(model.ainvoke(contenders.PROMPT))
        for number in range(setting.time.rounds):
            began = time.perf_counter()
            setting.loop.run_until_complete(in_memory())
            between = time.perf_counter()
            setting.loop.run_until_complete(from_file(number))
            ours.append(time.perf_counter() - between)
            theirs.append(between - began)
            ratios.append(ours[-1] / theirs[-1])
    return Outcome(statistics.median(ours) / count * 1e6, "µs", {"bare": statistics.median(ratios)})


BULK_ROWS = (Row("bulk-file", "10,000 prompts, each", "wall", {"bare": 1.3}, _bulk),)
