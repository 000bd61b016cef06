"""The examples of FastAPI, Streamlit and MCP run, against servers that answer, fail and wait."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from langchain_core.exceptions import ModelInvalidRequestError
from streamlit.testing.v1 import AppTest

from examples.tests.support import EXAMPLES, printed_by, running, wait_for
from langchain_darkai.server import LocalServer
from tests.support.models import ScriptedModel, replying

pytestmark = pytest.mark.timeout(900)  # a busy machine takes its time to start programs

QUESTION = {"messages": [["user", "Count from 1 to 3"]]}


def test_an_agent_uses_the_tools_of_an_mcp_server_and_remembers(tmp_path: Path) -> None:
    assert printed_by("agent_mcp.py", folder=tmp_path).splitlines() == [
        "Tools: look_up_order cancel_order",
        "My name is Ada. Look up order 17.",
        "    The answer that I got from look_up_order: order 17: shipped on Monday.",
        "Cancel order 18.",
        "    The answer that I got from cancel_order: order 18 is cancelled.",
        "Look up order 18.",
        "    The answer that I got from look_up_order: order 18: cancelled.",
        "What is my name?",
        "    Your name is Ada. You told me so earlier in this conversation.",
    ]


def test_a_web_service_streams_reports_failures_and_stops_the_model_of_a_client_that_leaves(tmp_path: Path) -> None:
    model = ScriptedModel(replies=[["1, ", "2"], [ModelInvalidRequestError("no such thing")], ["1, ", ...], [...]])
    with LocalServer(model) as server:
        variables = {"DARKAI_BASE_URL": server.url}
        with running("fastapi_stream.py", "0", folder=tmp_path, **variables) as process:
            log = tmp_path / "errors.txt"
            wait_for(lambda: "Uvicorn running on" in log.read_text(), process)
            [port] = re.findall(r"Uvicorn running on http://127\.0\.0\.1:(\d+)", log.read_text())

            with reply_of(int(port)) as response:
                *pieces, end = response.read().decode().strip().split("\n\n")
            assert "".join(json.loads(piece.removeprefix("data: "))["text"] for piece in pieces) == "1, 2"
            assert end == "event: end\ndata: {}"

            with reply_of(int(port)) as response:
                event, data = response.read().decode().strip().split("\n")
            assert event == "event: error"
            assert "no such thing" in json.loads(data.removeprefix("data: "))["message"]

            with reply_of(int(port)) as response:
                assert response.readline() == b'data: {"text": "1, "}\n'
                assert not model.record.was_cancelled.is_set()
            assert model.record.was_cancelled.wait(60)

            model.record.was_cancelled.clear()
            with reply_of(int(port)):
                model.comes_to(1, 60)
            assert model.record.was_cancelled.wait(60)


@contextmanager
def reply_of(port: int) -> Iterator[http.client.HTTPResponse]:
    """Ask the web service; the connection is closed at the end, whatever is still to come."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/chat", json.dumps(QUESTION), {"content-type": "application/json"})
    with connection.getresponse() as response:
        yield response
    connection.close()


@pytest.fixture
def chat_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Open the chat of Streamlit with a model behind a server."""
    st.cache_resource.clear()

    def start(url: str) -> AppTest:
        monkeypatch.setenv("DARKAI_BASE_URL", url)
        return AppTest.from_file(str(EXAMPLES / "streamlit_chat.py"), default_timeout=120).run()

    return start


def shown(page: AppTest) -> list[tuple[str, str]]:
    return [(message.name, message.markdown[0].value) for message in page.chat_message if message.markdown]


def test_a_chat_in_the_browser_remembers_and_survives_a_failure(chat_with: Any) -> None:
    model = replying("Hello, Ada!", ModelInvalidRequestError("no such thing"), "Your name is Ada.")
    with LocalServer(model) as server:
        page = chat_with(server.url)
        page.chat_input[0].set_value("My name is Ada.").run()
        first = [("user", "My name is Ada."), ("assistant", "Hello, Ada!")]
        assert shown(page) == first

        page.chat_input[0].set_value("Fail!").run()
        assert "no such thing" in page.error[0].value

        page.chat_input[0].set_value("What is my name?").run()
        assert shown(page) == [*first, ("user", "What is my name?"), ("assistant", "Your name is Ada.")]
        assert not page.exception
    assert [text for _, text in model.asked[-1]] == ["My name is Ada.", "Hello, Ada!", "What is my name?"]


def test_a_chat_in_the_browser_starts_a_server_of_its_own(chat_with: Any) -> None:
    page = chat_with("")
    page.chat_input[0].set_value("Count from 1 to 3").run()
    assert shown(page)[-1] == ("assistant", "1, 2, 3")
    st.cache_resource.clear()
