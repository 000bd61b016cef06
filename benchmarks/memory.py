"""The peak of the Python heap, a stream, while many are open at once: `python -m benchmarks.memory NAME URL NUMBER`."""

import asyncio
import gc
import sys
import tracemalloc
from typing import Any

from benchmarks import contenders


async def _peak(name: str, url: str, number: int) -> float:
    """Return the bytes a stream at the worst moment, over what the process holds when none is open."""
    bare = contenders.BareClient(url)
    use: Any = contenders.read if name == "bare" else contenders.astream
    client: Any = bare
    if name != "bare":
        client = contenders.CoreOverBare(bare=bare) if name == "core" else contenders.darkai(url)
    await use(client)
    gc.collect()
    tracemalloc.start()
    await contenders.at_once(use, client, number)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    await bare.aclose()
    return peak / number


if __name__ == "__main__":
    print(asyncio.run(_peak(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
