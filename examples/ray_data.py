"""Ask a model about more rows than one machine can: Ray Data, with actors on every machine of a cluster.

Install: pip install 'langchain-darkai[ray]'
Start:   python examples/ray_data.py [prompts.jsonl [answers]]
         A line of the file is {"id": "1", "prompt": "..."}. Without one, the script makes a thousand lines.
Prints:  how many rows the folder `answers` had before and has now, and how many of them failed.

The answers are Parquet: `id` and `prompt`, the fields of `Person`, and `error` where there is no answer. Start it again
after a crash: it asks only for ids that are not in the folder. A worker that dies is replaced, and the batches that it
had are asked again. `RAY_ADDRESS` names a cluster, whose machines share the folder; without it, this machine is one.
`DARKAI_BASE_URL` names the model's server, which all machines must reach. Without it, the script starts one of its own,
with a model of rules.
"""

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray
from pydantic import BaseModel

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer

ACTORS = 2
AT_ONCE = 32  # requests of each actor
BATCH = 64  # rows that are asked again where a worker dies
COLUMNS = {"id": pa.string(), "prompt": pa.string(), "name": pa.string(), "age": pa.int64(), "error": pa.string()}


class Person(BaseModel):
    """What each prompt is asked for."""

    name: str
    age: int


def columns_of(answer: Person | BaseException) -> dict[str, Any]:
    """Return the columns of an answer, or of the error in its place."""
    return answer.model_dump() if isinstance(answer, Person) else {"error": f"{type(answer).__name__}: {answer}"}


class Asker:
    """An actor: one model, with one pool of connections, for all batches that it gets."""

    def __init__(self, base_url: str) -> None:
        self.model = ChatDarkAI(base_url=base_url, max_concurrency=AT_ONCE).with_structured_output(Person)

    async def __call__(self, batch: pa.Table) -> AsyncIterator[pa.Table]:
        """Answer a batch; a row that fails has its error instead."""
        rows = batch.to_pylist()
        answers = await self.model.abatch([row["prompt"] for row in rows], return_exceptions=True)
        answered = [row | columns_of(answer) for row, answer in zip(rows, answers, strict=True)]
        yield pa.Table.from_pylist(answered, pa.schema(COLUMNS))


def column(folder: Path, name: str) -> list[str | None]:
    """Return a column of all answers so far."""
    files = [file for file in folder.glob("*.parquet") if is_whole(file)]
    return [value for file in files for value in pq.read_table(file, columns=[name])[name].to_pylist()]


def is_whole(file: Path) -> bool:
    """Tell whether a file was written to its end. One that a killed run left unfinished is removed."""
    try:
        pq.read_metadata(file)
    except pa.ArrowInvalid:
        file.unlink()
        return False
    return True


def main(prompts: str = "", answers: str = "answers") -> None:
    """Ask for all prompts that have no answer in the folder yet."""
    if not prompts:
        prompts = "example-prompts.jsonl"
        rows = [json.dumps({"id": str(n), "prompt": f"Alice is {n} years old."}) for n in range(1000)]
        Path(prompts).write_text("\n".join(rows), encoding="utf-8")
    folder = Path(answers).absolute()
    folder.mkdir(exist_ok=True)
    base_url = os.environ.get("DARKAI_BASE_URL") or LocalServer().start().url
    done = pa.array(column(folder, "id"), pa.string())
    print(f"{len(done)} rows before")
    ray.init()
    (
        ray.data.read_json(prompts)
        .map_batches(lambda rows: rows.filter(pc.invert(pc.is_in(rows["id"], done))), batch_format="pyarrow")
        .repartition(target_num_rows_per_block=BATCH)
        .map_batches(
            Asker,
            fn_constructor_args=[base_url],
            batch_size=None,  # a block
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=ACTORS),
            num_cpus=0,  # it waits for the model nearly all the time, and leaves the processors to the rest
        )
        .write_parquet(str(folder))
    )
    errors = column(folder, "error")
    print(f"{len(errors)} rows now, {sum(error is not None for error in errors)} of them failed")


if __name__ == "__main__":
    main(*sys.argv[1:3])
