"""LangChain's own conformance tests of a chat model, over real sockets, against the local server."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer

# What LangChain's tests use of core warns that it is in beta.
pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


@pytest.fixture(scope="class", autouse=True)
def _server(request: pytest.FixtureRequest) -> Iterator[None]:
    with LocalServer() as server:
        request.cls.server = server
        yield


@pytest.fixture
def vcr() -> SimpleNamespace:
    """Say that there is a recording to measure with: the local server answers in its place."""
    return SimpleNamespace(responses=True)


class TestStandard(ChatModelIntegrationTests):
    server: LocalServer

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatDarkAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "llama-3-70b", "base_url": self.server.url}

    @property
    def enable_vcr_tests(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return self.has_structured_output

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "gpt-4o"
