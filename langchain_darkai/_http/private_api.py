"""The private interfaces of aiohttp and asyncio that the package uses; no other module uses any.

- aiohttp's `StreamReader._read_nowait` returns the part of a body that is in the buffer when the connection breaks. The
  public methods raise the connection's error and never return that part. They would have to return it first.
- asyncio's transports keep their socket in `_sock`, and know in `_closing` whether they were closed. The transport of a
  TLS connection has its state in `_closed` (and, in Python 3.10, in `_ssl_protocol._in_shutdown`), and the transport
  below it in `_ssl_protocol._transport`. Where a loop has ended, we close the sockets without it, but each transport
  still warns that it was not closed, and calls the loop when it is closed. There would have to be a public way to give
  up a transport without its loop.

Another event loop may lack asyncio's attributes: then its transports are left as they are.
`tests/unit_tests/http/test_private_api.py` names the versions that all this was tried with.
"""

import asyncio
import contextlib
from typing import Any

import aiohttp


def take_buffered(content: aiohttp.StreamReader) -> bytes:
    """Return what is in the buffer of a body whose connection broke, and take it out."""
    with contextlib.suppress(Exception):
        return content._read_nowait(-1)
    return b""


def give_up_transport(transport: asyncio.BaseTransport) -> None:
    """Keep a transport, whose socket is closed without it, from warning of that and from calling its loop."""
    current: Any = transport
    while (tls := getattr(current, "_ssl_protocol", None)) is not None:
        current._closed = tls._in_shutdown = True
        current = getattr(tls, "_transport", None)
    if hasattr(current, "_sock"):
        current._sock = None
        current._closing = True
