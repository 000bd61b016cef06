"""How a backend is named, what is made of it, and one sentence for each that cannot be made."""

import builtins
import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_darkai._gateway.reasoning_openai import ReasoningChatOpenAI
from langchain_darkai.server import OfflineChatModel
from langchain_darkai.server.backends import BackendError, BackendSpec, Plan, parse_backend
from langchain_darkai.server.config import BackendSettings, Config
from langchain_darkai.server.fallback import FallbackChatModel

PARSED = [
    ("offline", ("offline", "offline", "", None)),
    ("mine=offline", ("mine", "offline", "", None)),
    ("ollama:llama3.1", ("llama3.1", "ollama", "llama3.1", None)),
    ("ollama:llama3.1:8b", ("llama3.1:8b", "ollama", "llama3.1:8b", None)),
    ("small=ollama:llama3.1:8b", ("small", "ollama", "llama3.1:8b", None)),
    ("ollama:a@http://gpu-1:11434", ("a", "ollama", "a", "http://gpu-1:11434")),
    ("big=openai:meta/l-3@http://gpu-1:8000/v1", ("big", "openai", "meta/l-3", "http://gpu-1:8000/v1")),
    ("openai:@cf/meta/l@https://u:p@a.example/v1?x=y", ("@cf/meta/l", "openai", "@cf/meta/l", "https://u:p@a.example/v1?x=y")),
    ("openai:model@version", ("model@version", "openai", "model@version", None)),
    ("openai:ft:gpt-4o:me::id", ("ft:gpt-4o:me::id", "openai", "ft:gpt-4o:me::id", None)),
    ("llama.cpp:models/a.Q4_1.gguf", ("a.Q4_1", "llama.cpp", "models/a.Q4_1.gguf", None)),
    ("llama-cpp:a=b.gguf", ("a=b", "llama.cpp", "a=b.gguf", None)),
    ("llama_cpp:C:\\models\\a.gguf", None),
    ("x=llama.cpp:/models/a.gguf", ("x", "llama.cpp", "/models/a.gguf", None)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), [case for case in PARSED if case[1]])
def test_a_backend_is_read(text: str, parts: tuple[str, str, str, str | None]) -> None:
    spec = parse_backend(text)
    assert (spec.name, spec.provider, spec.model, spec.url) == parts
    assert spec.is_named == (spec.name not in {spec.model, "offline", Path(spec.model).stem})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The backend '' is not PROVIDER:MODEL, such as ollama:llama3.1"),
        ("gpt-4o", "The backend 'gpt-4o' is not PROVIDER:MODEL"),
        ("ollama:", "is not PROVIDER:MODEL"),
        (":llama", "is not PROVIDER:MODEL"),
        ("=ollama:a", "has no name before its '='"),
        ("http://gpu-1:8000/v1", "is not PROVIDER:MODEL"),
        ("openai:a@http://", "is not one like http://gpu-1:8000/v1"),
        ("openai:a@http://h:port/v1", "is not one like http://gpu-1:8000/v1"),
        ("openai:a@gpu-1:8000", "'openai:a' has an address without http:// after its @. Write @http://HOST:PORT."),
        ("openai:a@gpu-1:8000/v1", "has an address without http:// after its @"),
        ("offline@http://a", "is not PROVIDER:MODEL"),
    ],
)
def test_what_is_no_backend_is_said(text: str, reason: str) -> None:
    with pytest.raises(BackendError) as caught:
        parse_backend(text)
    assert reason in str(caught.value)


def test_a_password_in_a_url_is_not_shown() -> None:
    with pytest.raises(BackendError) as caught:
        parse_backend("offline@http://me:secret@a:port")
    assert "secret" not in str(caught.value)
    with pytest.raises(BackendError) as caught:
        parse_backend("openai:a@me:secret@b:8000")
    assert "secret" not in str(caught.value)
    assert parse_backend("openai:a@http://me:secret@b/v1?key=secret").where == "openai:a at http://b/v1"


WORDS = st.text(st.characters(codec="utf-8", exclude_characters=":=@", exclude_categories=["Z", "C"]), min_size=1)
MODELS = st.lists(WORDS, min_size=1, max_size=4).flatmap(
    lambda words: st.lists(st.sampled_from(":/=@"), min_size=len(words) - 1, max_size=len(words) - 1).map(
        lambda marks: "".join(a + b for a, b in zip(words, [*marks, ""], strict=True))
    )
)
URLS = st.sampled_from([None, "http://gpu-1:8000/v1", "https://u:p@a.example", "http://[::1]:80/v1?a=b@c"])


@settings(deadline=None)
@given(st.none() | WORDS, WORDS, MODELS, URLS)
def test_what_a_spec_is_made_of_comes_out_of_it_again(
    name: str | None, provider: str, model: str, url: str | None
) -> None:
    text = f"{f'{name}=' if name else ''}{provider}:{model}{f'@{url}' if url else ''}"
    try:
        spec = parse_backend(text)
    except BackendError as error:
        assert "without http://" in str(error) or model.startswith("//")  # noqa: PT017
        return
    assert (spec.model, spec.url, spec.is_named) == (model, url, name is not None)
    assert spec.name == (name or (Path(model).stem if spec.provider == "llama.cpp" else model))


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_backend_or_an_error(text: str) -> None:
    with contextlib.suppress(BackendError):
        assert isinstance(parse_backend(text), BackendSpec)


def made(text: str, **settings: Any) -> Any:
    """Return what is made of a backend of a configuration."""
    models = Plan(Config(backends={"it": BackendSettings(model=text, **settings)})).make()
    assert isinstance(models, dict)
    return models["it"]


def key_of(model: ChatOpenAI) -> str:
    assert isinstance(model.openai_api_key, SecretStr)
    return model.openai_api_key.get_secret_value()


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)


def test_a_url_means_what_speaks_openais_protocol_and_needs_no_key() -> None:
    model = made("openai:meta/l@http://gpu-1:8000/v1")
    assert isinstance(model, ChatOpenAI)
    assert (model.model_name, model.openai_api_base, key_of(model)) == ("meta/l", "http://gpu-1:8000/v1", "none")


def test_an_engine_keeps_its_thoughts_and_openai_has_its_own_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    assert type(made("openai:meta/l@http://gpu-1:8000/v1")) is ReasoningChatOpenAI
    assert type(made("openai:gpt-4o")) is ChatOpenAI


def test_the_key_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    assert key_of(made("openai:gpt-4o")) == "from-the-environment"
    assert key_of(made("openai:a@http://b/v1")) == "from-the-environment"
    monkeypatch.setenv("GPU_KEY", "its own")
    assert key_of(made("openai:a", url="http://b/v1", api_key_env="GPU_KEY")) == "its own"


def test_options_are_arguments_of_the_models_class(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("ollama:llama3.1", url="http://gpu-1:11434", options={"num_ctx": 8192})
    assert isinstance(model, ChatOllama)
    assert (model.model, model.base_url, model.num_ctx) == ("llama3.1", "http://gpu-1:11434", 8192)
    monkeypatch.setenv("PROXY_KEY", "a key")
    kept = made("ollama:llama3.1", api_key_env="PROXY_KEY").client_kwargs
    assert kept == {"headers": {"authorization": "Bearer a key"}}


def test_other_providers_are_made_by_langchain(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def init_chat_model(model: str, **given: Any) -> FakeListChatModel:
        asked.append((model, given))
        return FakeListChatModel(responses=["Yes."])

    monkeypatch.setattr("langchain.chat_models.init_chat_model", init_chat_model)
    monkeypatch.setenv("A_KEY", "a key")
    made("groq:a:b", api_key_env="A_KEY", options={"temperature": 0})
    assert asked == [("a:b", {"model_provider": "groq", "api_key": "a key", "temperature": 0})]


@pytest.mark.parametrize(
    ("text", "settings", "reason"),
    [
        ("openai:gpt-4o", {}, "OPENAI_API_KEY"),
        ("openai:a", {"api_key_env": "NO_KEY"}, "'it' needs its key in the variable NO_KEY, which is not set."),
        ("openai:a@http://b/v1", {"url": "http://c/v1"}, "'it' has two URLs"),
        ("openai:a", {"url": "gpu-1:8000"}, "The URL of the backend 'it' is not one like"),
        ("openai:a@http://b/v1", {"options": {"temperature": "hot"}}, "Input should be a valid number"),
        ("nobody:a", {}, "Unsupported provider='nobody'."),
        ("anthropic:a", {}, "pip install langchain-anthropic"),
        ("llama.cpp:no-such.gguf", {}, "'it' needs the file no-such.gguf, which is not there."),
        ("llama.cpp:a.gguf", {"url": "http://a"}, "'it' runs in this process and has no URL."),
        (f"llama.cpp:{__file__}", {"options": {"slots": 0}}, "slots=0 is not a whole number of 1 or more."),
        (f"llama.cpp:{__file__}", {"options": {"context": "8k"}}, "context='8k' is not a whole number"),
        (f"llama.cpp:{__file__}", {}, "is not a GGUF file: it does not begin with GGUF."),
    ],
)
def test_a_backend_that_cannot_be_made_is_one_sentence(text: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(BackendError) as caught:
        made(text, **settings)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hot" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "missing", "said"),
    [
        (
            "openai:a",
            "langchain_openai",
            "langchain_openai is not installed. Run: pip install 'langchain-darkai[openai]'",
        ),
        ("ollama:a", "langchain_ollama", "pip install 'langchain-darkai[ollama]'"),
        ("llama.cpp:{file}", "xllamacpp", "pip install 'langchain-darkai[llama-cpp]'"),
        ("groq:a", "langchain.chat_models", "needs langchain, which finds the class of a provider: pip install"),
    ],
)
def test_a_missing_extra_is_named(
    text: str, missing: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    importing = builtins.__import__

    def refuse(name: str, *arguments: Any, **named: Any) -> Any:
        if name == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return importing(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(BackendError) as caught:
        made(text.format(file=tmp_path / "a.gguf"))
    assert said in str(caught.value)


def test_the_models_are_served_in_their_order() -> None:
    config = Config(
        backends={"chat": ["b", "a"], "a": BackendSettings(model="offline"), "b": BackendSettings(model="offline")}
    )
    plan = Plan(config, [parse_backend("openai:x@http://c/v1")])
    assert plan.names == "chat, a, b and x"
    assert list(plan.lines()) == [
        "chat: b, else a",
        "a: the offline model",
        "b: the offline model",
        "x: openai:x at http://c/v1",
    ]
    models = plan.make()
    assert isinstance(models, dict)
    assert list(models) == ["chat", "a", "b", "x"]
    assert isinstance(models["chat"], FallbackChatModel)
    assert list(models["chat"].models) == ["b", "a"]
    assert models["chat"].models["a"] is models["a"]


@pytest.mark.parametrize(("texts", "kind"), [([], OfflineChatModel), (["ollama:a"], ChatOllama)])
def test_one_model_that_nobody_named_answers_to_every_name(texts: list[str], kind: type) -> None:
    assert isinstance(Plan(Config(), [parse_backend(text) for text in texts]).make(), kind)
    assert isinstance(Plan(Config(), [parse_backend("x=offline")]).make(), dict)


def test_two_backends_of_one_name_are_refused() -> None:
    with pytest.raises(BackendError, match="Two backends are called 'offline'"):
        Plan(Config(), [parse_backend("offline")] * 2)
