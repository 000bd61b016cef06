"""The file of `serve --config`: what it may say, and one sentence for each thing that is wrong with it."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_darkai.server.config import BackendSettings, Config, ConfigError, read_config

WHOLE = """
[server]
host = "0.0.0.0"
port = 9000
api_key_env = "GATEWAY_KEY"
allowed_hosts = ["chat.example"]
cors_origins = ["https://app.example"]
timeout = 60
grace_period = 0
max_query_bytes = 1000
prefill = false

[backends]
chat = ["big", "small"]
small = "ollama:llama3.1:8b"

[backends.big]
model = "openai:meta/llama-3"
url = "http://gpu-1:8000/v1"
api_key_env = "GPU_KEY"
options = { temperature = 0 }
"""


def read(tmp_path: Path, text: str | bytes) -> Config:
    path = tmp_path / "gateway.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_config(path)


def test_every_key_is_read_and_the_order_of_the_backends_kept(tmp_path: Path) -> None:
    config = read(tmp_path, WHOLE)
    assert config.server.api_key_env == "GATEWAY_KEY"
    assert config.server.given() == {
        "host": "0.0.0.0",
        "port": 9000,
        "allowed_hosts": ["chat.example"],
        "cors_origins": ["https://app.example"],
        "timeout": 60.0,
        "grace_period": 0.0,
        "max_query_bytes": 1000,
        "prefill": False,
    }
    assert list(config.backends.items()) == [
        ("chat", ["big", "small"]),
        ("small", BackendSettings(model="ollama:llama3.1:8b")),
        (
            "big",
            BackendSettings(
                model="openai:meta/llama-3",
                url="http://gpu-1:8000/v1",
                api_key_env="GPU_KEY",
                options={"temperature": 0},
            ),
        ),
    ]


def test_what_the_file_does_not_say_is_left_to_the_server(tmp_path: Path) -> None:
    assert read(tmp_path, '[backends]\na = "offline"').server.given() == {}


ONE = '[backends]\na = "offline"\n'
WRONG = [
    ("[server]\nhots = 'a'\n" + ONE, "[server] has no key 'hots'. Did you mean 'host'?"),
    ("[server]\nprot = 1\n" + ONE, "[server] has no key 'prot'. Did you mean 'port'?"),
    ("[server]\nqqq = 1\n" + ONE, "[server] has no key 'qqq'. There are: host, port, api_key_env,"),
    ("[server]\nport = 'http'\n" + ONE, "[server]: port: Input should be a valid integer."),
    ("[server]\nport = 65536\n" + ONE, "[server]: port: Input should be less than or equal to 65535."),
    ("[server]\nport = true\n" + ONE, "[server]: port: Input should be a valid integer."),
    ("[server]\ntimeout = 0\n" + ONE, "[server]: timeout: Input should be greater than 0."),
    ("[server]\ntimeout = inf\n" + ONE, "[server]: timeout: Input should be a finite number."),
    ("[server]\nallowed_hosts = 'a'\n" + ONE, "[server]: allowed_hosts: Input should be a valid list."),
    ("server = 1\n" + ONE, "[server] is not a table."),
    ("[sever]\n" + ONE, "there is no section 'sever'. Did you mean 'server'?"),
    ("", 'there is no backend. Add one: [backends] and below it name = "PROVIDER:MODEL".'),
    ("backends = 1", "there is no backend."),
    ("[backends]\n", "there is no backend."),
    ("[backends]\na = 1", "[backends.a] is not a table."),
    ("[backends.a]\nurl = 'http://a'", "[backends.a] has no 'model', which it needs."),
    ("[backends.a]\nmodle = 'offline'", "[backends.a] has no key 'modle'. Did you mean 'model'?"),
    (ONE + "b = ['a']", "backends.b is a list of 1; name two backends or more"),
    (ONE + "b = ['a', 'aa']", "backends.b: 'aa' is not the name of a backend. Did you mean 'a'?"),
    (ONE + "b = ['a', 1]", "backends.b: 1 is not the name of a backend. There are: a."),
    (ONE + "b = ['a', 'a']\nc = ['a', 'b']", "backends.c: 'b' is itself a list."),
    ("[backends", "is not TOML: "),
    (ONE + ONE, "is not TOML: "),
    (b"a = '\xff'", "is not TOML: "),
]


@pytest.mark.parametrize(("text", "reason"), WRONG)
def test_what_is_wrong_is_said_with_the_file_and_the_place(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "gateway.toml"))
    assert reason in str(caught.value)


def test_a_key_that_stands_in_the_file_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no key 'api_key'\. Did you mean 'api_key_env'") as caught:
        read(tmp_path, "[backends.a]\nmodel = 'offline'\napi_key = 'sk-secret'")
    assert "sk-secret" not in str(caught.value)


@settings(deadline=None)
@given(st.text() | st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 40), st.text(max_size=20)))
def test_any_text_is_a_configuration_or_an_error(given_text: str | tuple[int, int, str]) -> None:
    """Also what somebody has half changed."""
    text = given_text
    if not isinstance(given_text, str):
        start, length, inserted = given_text
        text = WHOLE[:start] + inserted + WHOLE[start + length :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.toml"
        path.write_text(str(text), encoding="utf-8", errors="replace")
        with contextlib.suppress(ConfigError):
            assert read_config(path).backends


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file or directory\."):
        read_config(tmp_path / "none.toml")
