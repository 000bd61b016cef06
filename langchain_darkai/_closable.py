"""`with` and `async with` for what has `close` and `aclose`."""

from typing_extensions import Self


class Closable:
    """Closes itself at the end of a `with` or an `async with` block."""

    async def aclose(self) -> None:
        """Close what belongs to the running event loop."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what belongs to the synchronous calls."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
