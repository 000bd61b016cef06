"""What the package uses of aiohttp's and asyncio's private interfaces."""

import contextlib

import aiohttp


def take_buffered(content: aiohttp.StreamReader) -> bytes:
    """Return what had come before a fault while nobody read it; aiohttp would pass it over."""
    with contextlib.suppress(Exception):
        return content._read_nowait(-1)
    return b""
