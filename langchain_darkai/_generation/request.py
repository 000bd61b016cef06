"""What one LangChain call asks of the model: its messages, and what the reply has to be."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_darkai._generation.prefill import Prefill, answer_prefill, call_prefill
from langchain_darkai._retry import CallPolicy
from langchain_darkai._settings import ChatSettings
from langchain_darkai._threads import LazyImport
from langchain_darkai._validation import (
    check_count,
    check_model,
    check_model_kwargs,
    check_stop,
    check_switch,
    refuse_unknown,
    sampling_parameters,
)
from langchain_darkai.client import DarkAI
from langchain_darkai.prompts import OnUnsupported, format_prompt
from langchain_darkai.transport import ApiCall

if TYPE_CHECKING:
    from langchain_darkai._structured_output.output_format import OutputFormat
    from langchain_darkai._tool_calls.tools import Tool, ToolChoice

CALL_PARAMETERS = (
    *("model", "temperature", "max_tokens", "timeout", "max_retries", "max_reasks", "model_kwargs", "stream"),
    *("tool_choice", "parallel_tool_calls", "reasoning"),
)
"""The keyword arguments of a call that can be given to `with_structured_output`, too."""

CALL_ARGUMENTS = (*CALL_PARAMETERS, "tools", "response_format", "output_format", "strict")
"""The keyword arguments that a call of the model takes, beside those of LangChain."""


@dataclass(frozen=True)
class ReplyRequirements:
    """What a reply must be, apart from an answer to the messages. By default, nothing more is required.

    `instructions` tell it to the model, and `prefill` begins a reply that must be a call or JSON.
    `content_must_be_json` is true where the caller reads the message's content as JSON, as it is.
    """

    instructions: str = ""
    prefill: Prefill | None = None
    tools: "tuple[Tool, ...]" = ()
    choice: "ToolChoice | None" = None
    parallel: bool = True
    output: "OutputFormat | None" = None
    content_must_be_json: bool = False

    @property
    def forces_call(self) -> bool:
        """Whether the reply must be a call."""
        return self.choice is not None and self.choice.forced

    @property
    def forced_tool(self) -> str | None:
        """The tool that must be called; None for any, or none."""
        return self.choice.name if self.choice else None


_NO_REQUIREMENTS = ReplyRequirements()


@dataclass(frozen=True)
class GenerationRequest:
    """One LangChain call: what is sent, and how its reply is read and judged."""

    messages: list[BaseMessage]
    call: ApiCall
    policy: CallPolicy
    requirements: ReplyRequirements
    stop: tuple[str, ...]
    max_reasks: int
    on_unsupported: OnUnsupported
    reasoning: bool | None

    @property
    def prefill(self) -> Prefill | None:
        """The beginning of the reply that stands in the prompt. There is none if the conversation ends in another."""
        prefill = self.requirements.prefill
        return prefill if prefill and self.call.query.endswith(f"\nAssistant: {prefill.text}") else None

    def can_reask(self, reasks: int) -> bool:
        """Return whether the model can be asked once more, after `reasks` times, in the time that is left."""
        return reasks < self.max_reasks and not self.policy.budget.is_spent

    def with_feedback(self, reply: str, violation: str) -> "GenerationRequest":
        """Return the request that shows the model its reply and what is wrong with it, in the same time budget."""
        messages = [*self.messages, AIMessage(reply), HumanMessage(violation)]
        required = self.requirements
        if required.forces_call:
            required = replace(required, prefill=call_prefill(required.tools, reply))
        query = _query(messages, required, self.on_unsupported)
        policy = replace(self.policy, is_reask=True)
        return replace(self, call=replace(self.call, query=query), requirements=required, policy=policy)


def build_request(
    settings: ChatSettings,
    client: DarkAI,
    messages: list[BaseMessage],
    stop: list[str] | None,
    arguments: Mapping[str, Any],
    *,
    may_restart: bool,
    callbacks: Any = None,
) -> GenerationRequest:
    """Return the request of a call: the model's settings, overridden by the call's keyword arguments.

    An argument that is None leaves the parameter out of the request, even if the model has a value for it.
    `may_restart` is described at `CallPolicy`, `callbacks` at `ApiCall`.

    Raises DarkAIInvalidRequestError, a ValueError, for arguments that cannot work.
    """
    refuse_unknown(arguments, CALL_ARGUMENTS, "A call of ChatDarkAI")
    unset = {name for name, value in arguments.items() if value is None}
    defaults = {**sampling_parameters(vars(settings)), **settings.model_kwargs}
    parameters = {
        **{name: value for name, value in defaults.items() if name not in unset},
        **sampling_parameters(arguments),
        **check_model_kwargs(arguments.get("model_kwargs") or {}),
    }
    requirements = requirements_from(arguments)
    model = arguments.get("model")
    sequences = check_stop((settings.stop if stop is None else stop) or ())
    call = client.call(
        _query(messages, requirements, settings.on_unsupported),
        check_model(settings.model if model is None else model, client.models),
        parameters=parameters,
        per_event=settings.chunk_per_event,
        allow_empty=settings.allow_empty,
        is_whole=may_restart,
        stop=sequences,
        callbacks=callbacks,
    )
    limiter = settings.rate_limiter
    policy = client.policy(
        timeout=arguments.get("timeout", ...),
        max_retries=arguments.get("max_retries"),
        may_restart=may_restart,
        acquire_rate_limit=partial(limiter.aacquire, blocking=True) if limiter else None,
    )
    reasks = arguments.get("max_reasks")
    return GenerationRequest(
        messages=messages,
        call=call,
        policy=policy,
        requirements=requirements,
        stop=sequences,
        max_reasks=settings.max_reasks if reasks is None else check_count("max_reasks", reasks),
        on_unsupported=settings.on_unsupported,
        reasoning=reasoning_of(settings, arguments),
    )


def _query(messages: list[BaseMessage], requirements: ReplyRequirements, on_unsupported: OnUnsupported) -> str:
    return format_prompt(
        messages,
        instructions=requirements.instructions,
        prefill=requirements.prefill.text if requirements.prefill else "",
        on_unsupported=on_unsupported,
    )


def reasoning_of(settings: ChatSettings, arguments: Mapping[str, Any]) -> bool | None:
    """Return what is to become of thoughts: a call's own argument, also None, or else the model's setting."""
    return check_switch("reasoning", arguments.get("reasoning", settings.reasoning))


def requirements_from(arguments: Mapping[str, Any]) -> ReplyRequirements:
    """Return what a call's keyword arguments ask of the reply.

    The code for tools and schemas is imported with the first call that needs it, so that importing the package is fast.
    """
    names = ("tools", "tool_choice", "output_format")
    if not any(arguments.get(name) for name in names) and arguments.get("response_format") is None:
        return _NO_REQUIREMENTS
    from langchain_darkai._structured_output.output_format import format_of_response_format
    from langchain_darkai._tool_calls.tools import offered_tools, parse_tool_choice, tool_from, tool_instructions

    response_format = format_of_response_format(arguments.get("response_format"))
    output: OutputFormat | None = arguments.get("output_format") or response_format
    bound = [tool_from(tool) for tool in arguments.get("tools") or ()]
    tool_choice, parallel = arguments.get("tool_choice"), arguments.get("parallel_tool_calls") is not False
    if output is not None and output.method == "function_calling":
        bound.append(output.tool)
        tool_choice, parallel = tool_choice or "any", arguments.get("parallel_tool_calls") is True
    choice = parse_tool_choice(tool_choice, bound)
    tools = offered_tools(bound, choice)
    instructions = [tool_instructions(tools, choice, parallel=parallel)] if tools else []
    prefill = call_prefill(tools) if choice.forced else None
    if output is not None and output.method != "function_calling":
        instructions.append(output.instructions())
        prefill = prefill if tools else answer_prefill({} if output.is_wrapped else output.schema)
    return ReplyRequirements(
        instructions="\n\n".join(instructions),
        prefill=prefill,
        tools=tuple(tools),
        choice=choice,
        parallel=parallel,
        output=output,
        content_must_be_json=response_format is not None,
    )


_parsers = LazyImport(
    "langchain_darkai._structured_output.output_format", "langchain_darkai._tool_calls.parser", "jsonschema"
)
"""The code for tools and schemas. jsonschema lists folders and reads files when it is imported."""


async def load_parsers(settings: ChatSettings, arguments: Mapping[str, Any]) -> None:
    """Import the code for tools and schemas, if a call's keyword arguments need it, while the event loop goes on."""
    needs_any = arguments.keys() & {"tools", "response_format", "output_format"}
    if not _parsers and (needs_any or reasoning_of(settings, arguments) is not None):
        await _parsers.modules()
