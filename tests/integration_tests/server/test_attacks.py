"""Requests that are meant to do harm: they cost no more than their own answer, and others are served meanwhile."""

import json
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.attacks import ATTACKS
from tests.support.programs import complaints, running

SERVING = """
from langchain_darkai.server import serve

serve(port=0, grace_period=0.5, on_ready=lambda url: print(url, flush=True))
"""


class Victim:
    """A server with the offline model, in a process of its own, since a test could not end a thread that hangs."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.process: subprocess.Popen[str] = self._stack.enter_context(running(SERVING))
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def is_alive(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def ask(self, body: Any) -> str:
        """Return the text of a whole reply."""
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/chat", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            *pieces, end = [json.loads(line[6:]) for line in response.read().split(b"\n\n") if line]
        assert end["event"] == "stream-end"
        return "".join(piece["data"]["text"] for piece in pieces)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def victims() -> Iterator[list[Victim]]:
    victims: list[Victim] = []
    yield victims
    for victim in victims:
        victim.close()


@pytest.fixture
def victim(victims: list[Victim]) -> Victim:
    """A server that is well: the one of the test before, unless that test killed it."""
    if not victims or not victims[-1].is_alive():
        for dead in victims:
            dead.close()
        victims.append(Victim())
    return victims[-1]


@pytest.mark.parametrize("name", ATTACKS)
def test_the_server_lives_while_the_offline_model_answers(name: str, victim: Victim) -> None:
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(victim.ask, ATTACKS[name])
        while True:
            assert victim.is_alive()
            if reply.done():
                break
            time.sleep(0.02)
        assert 0 < len(reply.result()) < 200_000


def test_others_are_served_while_many_attack_at_once(victim: Victim) -> None:
    """The threads of the attacks leave the event loop its turns, however many there are."""
    attacks = [threading.Thread(target=victim.ask, args=(ATTACKS["a large set"],)) for _ in range(20)]
    for attack in attacks:
        attack.start()
    seen = 0
    while any(attack.is_alive() for attack in attacks):
        assert victim.is_alive()
        seen += 1
    for attack in attacks:
        attack.join()
    assert seen > 20
    assert victim.ask({"query": "Count from 1 to 3"}) == "1, 2, 3"


@pytest.mark.parametrize("name", ["a long array", "doubling allOf", "a pattern that goes back", "many tools"])
def test_sigterm_ends_a_server_that_is_under_attack(name: str) -> None:
    victim = Victim()
    try:
        body = json.dumps(ATTACKS[name]).encode()
        head = f"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        with ExitStack() as stack:
            for _ in range(8):
                port = int(victim.url.rpartition(":")[2])
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
                client.sendall(head + body)
            victim.process.send_signal(signal.SIGTERM)
            _, error = victim.process.communicate(timeout=20)
        assert victim.process.returncode == 0
        assert complaints(error) == []
    finally:
        victim.close()
