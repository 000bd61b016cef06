"""A GGUF file as a chat model: llama.cpp in this process, asked by its OpenAI protocol over loopback.

It needs the extra `llama-cpp`: langchain-openai for the class that asks, xllamacpp for llama.cpp.
"""

# xllamacpp is installed only where it is used, and has no hints.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from pathlib import Path
from typing import Any

import openai
from pydantic import PrivateAttr, SecretStr
from typing_extensions import Self

from langchain_darkai._gateway.reasoning_openai import ReasoningChatOpenAI
from langchain_darkai._validation import check_count

__all__ = ["ChatLlamaCpp", "start_engine"]

_MAGIC = b"GGUF"


class ChatLlamaCpp(ReasoningChatOpenAI):
    """A chat model of a GGUF file in this process. It and its copies keep the engine running.

    Example:
        `ChatLlamaCpp.of_file("model.gguf").invoke("Hello")`
    """

    _engine: Any = PrivateAttr(None)

    @classmethod
    def of_file(
        cls,
        path: str | Path,
        *,
        slots: int = 1,
        context: int = 8192,
        threads: int | None = None,
        gpu_layers: int | None = None,
        **settings: Any,
    ) -> Self:
        """Load a file and return the model; `settings` are those of ChatOpenAI, the others those of `start_engine`.

        Raises ImportError without xllamacpp, and ValueError for a file that llama.cpp cannot load.
        """
        engine = start_engine(path, slots=slots, context=context, threads=threads, gpu_layers=gpu_layers)
        given: dict[str, Any] = {
            "model": Path(path).stem,
            "base_url": f"{engine.listening_address}/v1",
            "api_key": SecretStr("none"),
            "max_retries": 0,
            "timeout": None,  # a long prompt takes a machine without a GPU minutes
            "stream_usage": True,
            "use_responses_api": False,
            # A proxy of the environment does not lead to this process. The options would make the class warn of that.
            "http_socket_options": (),
            "http_client": openai.DefaultHttpxClient(trust_env=False),
            "http_async_client": openai.DefaultAsyncHttpxClient(trust_env=False),
        }
        model = cls(**{**given, **settings})
        model._engine = engine
        return model


def start_engine(
    path: str | Path,
    *,
    slots: int = 1,
    context: int = 8192,
    threads: int | None = None,
    gpu_layers: int | None = None,
) -> Any:
    """Load a file and return the server of xllamacpp, whose `listening_address` is its URL; it ends with its object.

    - `slots`: how many replies are written at once, each with a context of its own.
    - `context`: tokens of the context of a slot.
    - `threads`: None for as many as there are cores. They wait for each other after each step, so that on busy cores
      fewer are faster.
    - `gpu_layers`: how many layers a GPU takes; None for as many as fit, where there is one.

    Raises ImportError without xllamacpp, and ValueError for a file that llama.cpp cannot load, and for options that are
    no counts.
    """
    slots, context = check_count("slots", slots, 1), check_count("context", context, 1)
    with Path(path).open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError(f"{path} is not a GGUF file: it does not begin with {_MAGIC.decode()}.")
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = context * slots
    params.kv_unified = False  # a slot's context is its own, however many there are
    if threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = check_count("threads", threads, 1)
    if gpu_layers is not None:
        params.n_gpu_layers = check_count("gpu_layers", gpu_layers)
    params.use_jinja = True
    params.endpoint_slots = True
    params.warmup = False
    params.verbosity = 0
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ValueError(
            f"llama.cpp cannot load {path}. The file is broken, or of a kind that this version does not know, or the "
            "memory is too small for it."
        ) from error
