"""Ask a model about more rows than one machine can: a Dask data frame, whose partitions are asked by the workers.

Install: pip install 'langchain-darkai[dask]'
Start:   python examples/dask_dataframe.py [prompts.jsonl [answers]]
         A line of the file is {"id": "1", "prompt": "..."}. Without one, the script makes a thousand lines.
Prints:  how many rows the folder `answers` had before and has now, and how many of them failed.

The answers are Parquet: `id` and `prompt`, the fields of `Person`, and `error` where there is no answer. Start it again
after a crash: it asks only for ids that are not in the folder. The partitions of a worker that dies are asked again by
another. `DASK_SCHEDULER_ADDRESS` names a cluster, whose machines share the folder; without it, the script starts one of
two processes. `DARKAI_BASE_URL` names the model's server, which all workers must reach. Without it, the script starts
one of its own, with a model of rules.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer

AT_ONCE = 32  # requests of each partition that is asked
PARTITION = 4096  # bytes of a partition, about 64 prompts: what is asked again where a worker dies
COLUMNS = {"id": pa.string(), "prompt": pa.string(), "name": pa.string(), "age": pa.int64(), "error": pa.string()}
TYPES = {"id": "string", "prompt": "string", "name": "string", "age": "Int64", "error": "string"}


class Person(BaseModel):
    """What each prompt is asked for."""

    name: str
    age: int


def columns_of(answer: Person | BaseException) -> dict[str, Any]:
    """Return the columns of an answer, or of the error in its place."""
    return answer.model_dump() if isinstance(answer, Person) else {"error": f"{type(answer).__name__}: {answer}"}


def ask(rows: pd.DataFrame, base_url: str) -> pd.DataFrame:
    """Answer a partition; a row that fails has its error instead."""
    model = ChatDarkAI(base_url=base_url).with_structured_output(Person)
    config: RunnableConfig = {"max_concurrency": AT_ONCE}
    answers = model.batch(rows["prompt"].to_list(), config, return_exceptions=True) if len(rows) else []
    answered = [columns_of(answer) for answer in answers]
    return rows.join(pd.DataFrame(answered, index=rows.index, columns=["name", "age", "error"])).astype(TYPES)


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
    done = column(folder, "id")
    print(f"{len(done)} rows before")
    run = time.time_ns()  # so that this run's files have names of their own
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    with Client(address) if address else Client(n_workers=2, threads_per_worker=1):
        frame = dd.read_json(prompts, lines=True, blocksize=PARTITION, dtype={"id": str, "prompt": str})
        (
            frame[~frame["id"].isin(done)]
            .map_partitions(ask, base_url, meta=pd.DataFrame(columns=list(TYPES)).astype(TYPES))
            .to_parquet(
                str(folder),
                name_function=lambda number: f"{run}-{number}.parquet",
                schema=pa.schema(COLUMNS),
                write_index=False,
            )
        )
    errors = column(folder, "error")
    print(f"{len(errors)} rows now, {sum(error is not None for error in errors)} of them failed")


if __name__ == "__main__":
    main(*sys.argv[1:3])
