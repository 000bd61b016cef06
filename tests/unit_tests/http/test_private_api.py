"""The private attributes of aiohttp and asyncio that the package uses are there, and do what it takes them to do.

Tried with aiohttp 3.13.3 and 3.14.5, on Python 3.10 to 3.13. Where a test fails with a newer version,
`langchain_darkai/_http/private_api.py` says what each attribute is needed for.
"""

import ast
import asyncio
import gc
import re
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol

import langchain_darkai
from langchain_darkai._http.private_api import give_up_transport, take_buffered

Connect = Callable[[socket.socket, socket.socket], Awaitable[list[asyncio.BaseTransport]]]


class TestTakeBuffered:
    async def test_what_came_before_a_failure_is_returned_once(self) -> None:
        loop = asyncio.get_running_loop()
        content = aiohttp.StreamReader(BaseProtocol(loop), 2**16, loop=loop)
        content.feed_data(b"Hel")
        content.feed_data(b"lo")
        content.set_exception(aiohttp.ClientPayloadError("broken"))
        with pytest.raises(aiohttp.ClientPayloadError):
            content.read_nowait()  # the public way: were it to return the bytes, no private one would be needed
        assert take_buffered(content) == b"Hello"
        assert take_buffered(content) == b""
        with pytest.raises(aiohttp.ClientPayloadError):
            await content.readany()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def context(protocol: int) -> ssl.SSLContext:
    """Return a TLS context that needs no certificate."""
    made = ssl.SSLContext(protocol)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("aNULL:@SECLEVEL=0")
    return made


async def plain(ours: socket.socket, theirs: socket.socket) -> list[asyncio.BaseTransport]:
    transport, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, sock=ours)
    return [transport]


async def tls(ours: socket.socket, theirs: socket.socket) -> list[asyncio.BaseTransport]:
    loop = asyncio.get_running_loop()
    (client, _), (server, _) = await asyncio.gather(
        loop.create_unix_connection(
            asyncio.Protocol, sock=ours, ssl=context(ssl.PROTOCOL_TLS_CLIENT), server_hostname=""
        ),
        loop.connect_accepted_socket(asyncio.Protocol, theirs, ssl=context(ssl.PROTOCOL_TLS_SERVER)),
    )
    return [client, server]


def end_of(pair: tuple[socket.socket, socket.socket], connect: Connect, give_up: Callable[..., object]) -> list[str]:
    """Return what is warned of when transports end whose loop and sockets are closed already."""
    loop = asyncio.new_event_loop()
    transports = loop.run_until_complete(connect(*pair))
    loop.close()
    for transport in transports:
        give_up(transport)
    for end in pair:
        end.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del transports, transport
        gc.collect()
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("connect", [plain, tls])
def test_a_transport_that_is_given_up_neither_warns_nor_calls_its_loop(
    pair: tuple[socket.socket, socket.socket], connect: Connect
) -> None:
    def give_up(transport: asyncio.BaseTransport) -> None:
        give_up_transport(transport)
        transport.close()

    assert end_of(pair, connect, give_up) == []


def test_a_transport_that_is_not_given_up_warns(pair: tuple[socket.socket, socket.socket]) -> None:
    def give_up(transport: asyncio.BaseTransport) -> None:
        with pytest.raises(RuntimeError, match="loop is closed"):
            transport.close()

    assert "unclosed transport" in end_of(pair, plain, give_up)[0]


def test_no_other_module_uses_private_attributes() -> None:
    folder = Path(langchain_darkai.__file__).parent / "_http"
    assert {path.name for path in folder.glob("*.py") if private_attributes(path)} == {"private_api.py"}


def private_attributes(path: Path) -> set[str]:
    """Return the private names that a module takes from anything but its own objects."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and re.match("_(?!_|replace)", node.attr)  # a named tuple's `_replace` is public
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }
