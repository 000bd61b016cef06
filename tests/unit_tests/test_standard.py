"""LangChain's own conformance tests of a chat model, those without a network."""

import importlib
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests
from syrupy.assertion import SnapshotAssertion
from syrupy.filters import props

from langchain_darkai import ChatDarkAI

# What LangChain's test of serialization uses of core warns that it is in beta.
pytestmark = pytest.mark.filterwarnings("ignore:The function `load` is in beta")


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the model on core's list of classes that `load(..., allowed_objects="all")` takes.

    LangChain's test uses that list, which only LangChain's own packages are on. Users name the class instead:
    `allowed_objects=[ChatDarkAI]`.
    """
    load = importlib.import_module("langchain_core.load.load")
    path = tuple(ChatDarkAI.lc_id())
    monkeypatch.setitem(load.ALL_SERIALIZABLE_MAPPINGS, path, path)
    monkeypatch.setattr(load, "_default_class_paths_cache", {}, raising=False)


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Leave the versions of installed packages out of the serialized model."""
    return snapshot.with_defaults(exclude=props("lc_versions"))


class TestStandard(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatDarkAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "llama-3-70b", "base_url": "https://model.test"}

    @property
    def supports_json_mode(self) -> bool:
        return self.has_structured_output

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        settings = {"base_url": "https://env.test", "api_key": "env-key", "proxy": "http://proxy.test:3128"}
        return {f"DARKAI_{name.upper()}": value for name, value in settings.items()}, {"model": "gpt-4o"}, settings
