"""langchain-openai's model for engines that speak OpenAI's protocol and send thoughts beside the text.

vLLM, llama.cpp, SGLang and others add `reasoning_content`, or `reasoning`, to a message. OpenAI does not, and so
langchain-openai leaves it out. Import this module only where langchain-openai is installed.
"""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI

_MEMBERS = ("reasoning_content", "reasoning")


class ReasoningChatOpenAI(ChatOpenAI):
    """A ChatOpenAI whose messages keep an engine's thoughts, in `additional_kwargs["reasoning_content"]`."""

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        generation = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        # What is streamed with a `response_format` has the provider's chunk within.
        choices = chunk.get("choices") or chunk.get("chunk", {}).get("choices") or [{}]
        if generation is not None:
            _keep_thoughts(generation.message, choices[0].get("delta"))
        return generation

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        members = response if isinstance(response, dict) else response.model_dump()
        for generation, choice in zip(result.generations, members.get("choices") or [], strict=False):
            _keep_thoughts(generation.message, choice.get("message"))
        return result

    def _get_generation_chunk_from_completion(self, completion: Any) -> ChatGenerationChunk:
        # The whole message once more, after a stream with a `response_format`: its thoughts have come already.
        generation = super()._get_generation_chunk_from_completion(completion)
        generation.message.additional_kwargs.pop("reasoning_content", None)
        return generation


def _keep_thoughts(message: Any, members: Any) -> None:
    """Put the thoughts in a provider's message, or in a piece of one, into a message of LangChain's."""
    if isinstance(message, AIMessage) and isinstance(members, Mapping):
        thoughts = next((members[name] for name in _MEMBERS if isinstance(members.get(name), str)), "")
        if thoughts:
            message.additional_kwargs["reasoning_content"] = thoughts
