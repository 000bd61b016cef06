"""What a recorder writes down over real sockets is what a replayer answers: bytes, times and faults, no secrets."""

import http.client
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_darkai import (
    ChatDarkAI,
    DarkAIConnectionError,
    DarkAIInvalidRequestError,
    DarkAIRateLimitError,
    DarkAIStreamTruncatedError,
    DarkAITimeoutError,
)
from langchain_darkai.testing import (
    CassetteError,
    Recorder,
    Replayer,
    ReplayError,
    ScriptedServer,
    faults,
    reply,
    wire,
)
from langchain_darkai.testing.cassette import Exchange, Piece, RecordedRequest, RecordedResponse, load, save
from langchain_darkai.testing.replayer import steps_of
from langchain_darkai.testing.wire import CLOSE, LAST_CHUNK, RESET, Step

KEY = "sk-very-secret-7"


class Got(NamedTuple):
    """What a client gets that knows nothing of the package."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool


def ask_raw(url: str, content: bytes = b'{"query": "Hi"}', path: str = "/chat", **headers: str) -> Got:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=15)
    status, got, body = 0, {}, b""
    try:
        connection.request("POST", path, content, {"content-type": "application/json", **headers})
        response = connection.getresponse()
        status, got = response.status, {name: value for name, value in response.getheaders() if name in HEADERS}
        while piece := response.read1(65536):
            body += piece
    except (http.client.HTTPException, OSError, ValueError):
        return Got(status, got, body, is_whole=False)
    finally:
        connection.close()
    return Got(status, got, body, is_whole=True)


HEADERS = ("retry-after", "x-request-id", "x-other")
VALUES = st.text("abc 123;=/", min_size=1).map(str.strip).filter(bool)
ENDS: dict[str, list[Step]] = {"complete": [LAST_CHUNK], "closed": [CLOSE], "reset": [faults.PAUSE, RESET]}


@settings(deadline=None, max_examples=20)
@given(
    status=st.sampled_from([200, 201, 404, 429, 500]),
    headers=st.dictionaries(st.sampled_from(HEADERS), VALUES),
    pieces=st.lists(st.tuples(st.sampled_from([0.0, 0.01]), st.binary(min_size=1, max_size=50)), max_size=3),
    end=st.sampled_from(list(ENDS)),
)
def test_a_replay_is_what_was_recorded(
    status: int, headers: dict[str, str], pieces: list[tuple[float, bytes]], end: Any
) -> None:
    sent = {name.replace("-", "_"): value for name, value in headers.items()}
    script: list[Step] = [wire.head(status, transfer_encoding="chunked", **sent)]
    script += [step for wait, content in pieces for step in (wait, wire.chunk(content))]
    expected = Got(status, headers, b"".join(content for _, content in pieces), is_whole=end == "complete")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recorded.yaml"
        with ScriptedServer([*script, *ENDS[end]]) as server, Recorder(server.url, path) as recorder:
            assert ask_raw(recorder.url) == expected
        [exchange] = load(path)
        with Replayer(path) as replayer:
            assert ask_raw(replayer.url) == expected
    response = exchange.response
    assert response.end == ("complete" if end == "complete" else "broken")
    assert b"".join(piece.data for piece in response.body) == expected.body
    assert sum(piece.after for piece in response.body) >= sum(wait for wait, _ in pieces) - 0.005  # it is rounded


def test_times_are_kept_and_replayed_where_they_are_asked_for() -> None:
    response = RecordedResponse(200, {}, (Piece(0.25, b"Hel"), Piece(1.5, b"lo")))
    head, *steps = steps_of(response, with_times=True)
    assert isinstance(head, bytes)
    assert steps == [0.25, wire.chunk(b"Hel"), 1.5, wire.chunk(b"lo"), LAST_CHUNK]
    assert steps_of(response)[1:] == [wire.chunk(b"Hel"), wire.chunk(b"lo"), LAST_CHUNK]


class TestRecorder:
    def test_no_secret_is_in_the_file(self, tmp_path: Path) -> None:
        half = len(KEY) // 2
        body = [f"data: your key {KEY[:half]}".encode(), f"{KEY[half:]} is wrong".encode()]
        headers = {"set_cookie": "session=abcdef-cookie", "x_other": f"for {KEY}"}
        script = [wire.head(401, transfer_encoding="chunked", **headers), *map(wire.chunk, body), LAST_CHUNK]
        path = tmp_path / "recorded.yaml"
        secrets = [KEY, "abcdef-cookie", "passw0rd-of-url", "key-in-base-url", "key-in-query", "key-in-body", "my-own"]
        with ScriptedServer(script) as server:
            base_url = server.url.replace("//", "//someone:passw0rd-of-url@") + "/chat?key=key-in-base-url"
            with Recorder(base_url, path, secrets=["my-own"]) as recorder:
                assert "passw0rd" not in repr(recorder)
                content = f'{{"query": "{KEY} my-own key-in-query", "api_key": "key-in-body"}}'.encode()
                got = ask_raw(recorder.url, content, "/chat?token=key-in-query", **{"x-api-key": KEY})
            [call] = server.calls
        assert got.body == b"".join(body), "the client gets all as it is"
        assert call.content == content
        assert call.target == "/chat?token=key-in-query&key=key-in-base-url"
        assert call.headers["x-api-key"] == KEY
        assert call.headers["authorization"].startswith("Basic ")
        text = path.read_text(encoding="utf-8")
        assert [secret for secret in secrets if secret in text] == []
        assert "data: your key ***" in text

    def test_calls_at_once_are_written_in_the_order_in_which_they_came(self, tmp_path: Path) -> None:
        def slow_first(call: Any) -> list[Step]:
            return [0.2 if call.query == "0" else 0.0, *reply(f"reply {call.query}")]

        with ScriptedServer(rule=slow_first) as server, Recorder(server.url, tmp_path / "r.yaml") as recorder:
            model = ChatDarkAI(base_url=recorder.url, max_retries=0)
            texts = [message.text for message in model.batch([str(n) for n in range(8)])]
        assert texts == [f"reply {n}" for n in range(8)]
        exchanges = load(tmp_path / "r.yaml")
        assert sorted(exchange.request.body["query"] for exchange in exchanges) == [str(n) for n in range(8)]
        with Replayer(tmp_path / "r.yaml") as replayer:
            model = ChatDarkAI(base_url=replayer.url, max_retries=0)
            assert [message.text for message in model.batch([str(n) for n in range(8)])] == texts

    def test_a_server_that_is_not_there_is_a_fault_like_others(self, tmp_path: Path) -> None:
        with ScriptedServer() as gone:
            pass
        with Recorder(gone.url, tmp_path / "r.yaml") as recorder:
            model = ChatDarkAI(base_url=recorder.url, max_retries=0)
            with pytest.raises(DarkAIConnectionError, match="before the reply"):
                model.invoke("Hi")
        with Replayer(tmp_path / "r.yaml") as replayer:
            model = ChatDarkAI(base_url=replayer.url, max_retries=0)
            with pytest.raises(DarkAIConnectionError, match="before the reply"):
                model.invoke("Hi")

    def test_a_url_that_is_none_is_refused_without_being_shown(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="base_url is not a URL like") as caught:
            Recorder("secret-key", tmp_path / "r.yaml")
        assert "secret-key" not in str(caught.value)
        with pytest.raises(RuntimeError, match="not running"):
            Recorder("http://127.0.0.1:9", tmp_path / "r.yaml").url  # noqa: B018


def test_each_fault_is_the_same_error_in_a_replay(tmp_path: Path) -> None:
    kinds = {
        "0": (faults.rate_limit(), DarkAIRateLimitError),
        "1": (faults.reset(), DarkAIConnectionError),
        "2": (faults.reset("Hel"), DarkAIStreamTruncatedError),
        "3": (faults.cut("Hello", at=70), DarkAIStreamTruncatedError),
        "4": (faults.stall("Hel"), DarkAITimeoutError),
    }

    def meet(url: str) -> None:
        for query, (_, kind) in kinds.items():
            timeout = 0.5 if kind is DarkAITimeoutError else 20.0
            with pytest.raises(kind):
                ChatDarkAI(base_url=url, max_retries=0, stream_chunk_timeout=timeout).invoke(query)

    scripts = [script for script, _ in kinds.values()]
    with ScriptedServer(*scripts) as server, Recorder(server.url, tmp_path / "r.yaml") as recorder:
        meet(recorder.url)
    with Replayer(tmp_path / "r.yaml") as replayer:
        meet(replayer.url)
    assert load(tmp_path / "r.yaml")[-1].response.end == "left"


class TestReplayer:
    @pytest.fixture
    def recording(self, tmp_path: Path) -> Path:
        def exchange(query: str, text: str) -> Exchange:
            response = RecordedResponse(200, {}, (Piece(0.0, wire.text(text) + wire.event("stream-end")),))
            request = RecordedRequest("POST", "/chat", {}, {"query": query, "model": "llama-3-70b"})
            return Exchange(request, response)

        path = tmp_path / "chat.yaml"
        save(path, [exchange("Hi", "first"), exchange("Bye", "Goodbye"), exchange("Hi", "second")])
        return path

    def test_the_same_request_gets_its_responses_in_order(self, recording: Path) -> None:
        with Replayer(recording) as replayer:
            model = ChatDarkAI(base_url=replayer.url, api_key="another", default_headers={"x-other": "1"})
            assert [model.invoke(said).text for said in ("Hi", "Hi", "Bye")] == ["first", "second", "Goodbye"]
        assert [call.messages[0].text for call in replayer.calls] == ["Hi", "Hi", "Bye"]

    def test_a_request_that_was_never_recorded_shows_the_nearest_one(self, recording: Path) -> None:
        def ask_another() -> None:
            with Replayer(recording) as replayer:
                ChatDarkAI(base_url=replayer.url).invoke("By the way")

        with pytest.raises(ReplayError) as caught:
            ask_another()
        assert str(caught.value).splitlines()[1:] == [
            "--- the nearest recorded request",
            "+++ this request",
            "@@ -1,5 +1,5 @@",
            " method: POST",
            " path: /chat",
            " body:",
            "-  query: Bye",
            "+  query: By the way",
            "   model: llama-3-70b",
        ]
        assert str(caught.value).startswith(f"{recording} has no response to POST /chat:")
        assert isinstance(caught.value.__context__, DarkAIInvalidRequestError)

    def test_a_request_too_many_is_an_error_unless_the_last_response_may_repeat(self, recording: Path) -> None:
        with Replayer(recording, repeat_last=True) as replayer:
            model = ChatDarkAI(base_url=replayer.url)
            assert [model.invoke("Hi").text for _ in range(4)] == ["first", "second", "second", "second"]

        def ask_thrice() -> None:
            with Replayer(recording) as replayer:
                for _ in range(3):
                    ChatDarkAI(base_url=replayer.url).invoke("Hi")

        with pytest.raises(ReplayError, match=r"has 2 responses to POST /chat .* it was asked once more"):
            ask_thrice()

    @pytest.mark.parametrize("refers_to", ["a" * 32, "b" * 32])
    def test_ids_of_calls_may_differ_where_they_refer_to_the_same_calls(self, tmp_path: Path, refers_to: str) -> None:
        def query(first: str, second: str, answered: str) -> str:
            return f'{{"query": "calls=[call_{first}, call_{second}] Tool (id=call_{answered})"}}'

        recorded = query("a" * 32, "b" * 32, refers_to)
        body = RecordedRequest("POST", "/chat", {}, json.loads(recorded))
        save(tmp_path / "ids.yaml", [Exchange(body, RecordedResponse(200, {}, (Piece(0.0, b"Hello"),)))])
        new = {"a" * 32: "1" * 32, "b" * 32: "2" * 32}
        same, other = new[refers_to], new["b" * 32 if refers_to == "a" * 32 else "a" * 32]
        with Replayer(tmp_path / "ids.yaml", repeat_last=True) as replayer:
            assert ask_raw(replayer.url, query("1" * 32, "2" * 32, same).encode()).body == b"Hello"
        with pytest.raises(ReplayError), Replayer(tmp_path / "ids.yaml") as replayer:
            assert ask_raw(replayer.url, query("1" * 32, "2" * 32, other).encode()).status == 400

    def test_a_file_without_exchanges_says_so(self, tmp_path: Path) -> None:
        save(tmp_path / "empty.yaml", [])
        with pytest.raises(ReplayError, match="has no exchanges"), Replayer(tmp_path / "empty.yaml") as replayer:
            ChatDarkAI(base_url=replayer.url).invoke("Hi")

    def test_a_file_that_is_no_recording_is_refused_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "broken.yaml").write_text("Hello", encoding="utf-8")
        with pytest.raises(CassetteError, match=r"broken\.yaml"):
            Replayer(tmp_path / "broken.yaml")
