"""Calls as models write them: for each format, a function that writes calls in it."""

import json
from collections.abc import Callable
from typing import Any

Pairs = list[tuple[str, dict[str, Any]]]
Writer = Callable[[Pairs], str]


def dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_text(value: Any) -> str:
    """Return a value as tags hold it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else dumped(value)


def objects(calls: Pairs, name: str = "name", arguments: str = "arguments") -> list[str]:
    return [dumped({name: tool, arguments: given}) for tool, given in calls]


def listed(before: str, after: str = "", name: str = "name", arguments: str = "arguments") -> Writer:
    """Return a writer of a JSON list."""
    return lambda calls: f"{before}[{', '.join(objects(calls, name, arguments))}]{after}"


def each(before: str, after: str = "", between: str = "\n", arguments: str = "arguments") -> Writer:
    """Return a writer of one JSON object for each call."""
    return lambda calls: between.join(f"{before}{one}{after}" for one in objects(calls, arguments=arguments))


def named(before: str, separator: str, after: str, around: tuple[str, str] = ("", ""), between: str = "") -> Writer:
    """Return a writer of a name and JSON for each call; `{n}` is the call's number."""

    def write(calls: Pairs) -> str:
        parts = [
            f"{before.replace('{n}', str(n))}{tool}{separator.replace('{n}', str(n))}{dumped(given)}{after}"
            for n, (tool, given) in enumerate(calls)
        ]
        return around[0] + between.join(parts) + around[1]

    return write


def tagged(call: str, argument: str, ends: tuple[str, str], around: tuple[str, str], line: str = "\n") -> Writer:
    """Return a writer of a tag for each argument; `{}` stands for names, `line` between tags and values."""

    def write(calls: Pairs) -> str:
        parts = []
        for tool, given in calls:
            inner = "".join(
                f"{argument.replace('{}', name)}{line}{as_text(value)}{line}{ends[0]}\n"
                for name, value in given.items()
            )
            parts.append(f"{around[0]}{call.replace('{}', tool)}\n{inner}{ends[1]}{around[1]}")
        return "\n".join(parts)

    return write


def wrapped(writer: Writer, before: str, after: str) -> Writer:
    return lambda calls: before + writer(calls) + after


def pairs(before: str, after: str, prefix: str = "", suffix: str = "", separator: str = "") -> Writer:
    """Return a writer of a tag for each argument's name and one for its value."""
    key, value = f"{prefix}arg_key{suffix}", f"{prefix}arg_value{suffix}"

    def write(calls: Pairs) -> str:
        parts = []
        for tool, given in calls:
            inner = "".join(
                f"<{key}>{name}</{key}>\n<{value}>{as_text(item)}</{value}>\n" for name, item in given.items()
            )
            parts.append(f"{before}{tool}{separator}\n{inner}{after}")
        return "\n".join(parts)

    return write


def python(before: str, after: str, between: str = ", ") -> Writer:
    def write(calls: Pairs) -> str:
        parts = [f"{tool}({', '.join(f'{name}={item!r}' for name, item in given.items())})" for tool, given in calls]
        return before + between.join(parts) + after

    return write


def gemma(before: str, after: str, quote: str) -> Writer:
    def literal(value: Any) -> str:
        if isinstance(value, str):
            return f"{quote}{value}{quote}"
        if isinstance(value, dict):
            return "{" + ",".join(f"{name}:{literal(item)}" for name, item in value.items()) + "}"
        return "[" + ",".join(map(literal, value)) + "]" if isinstance(value, list) else dumped(value)

    return lambda calls: "".join(f"{before}call:{tool}{literal(given)}{after}" for tool, given in calls)


def dsml(around: str, bar: str = "｜") -> Writer:
    tag = f"{bar}DSML{bar}"

    def write(calls: Pairs) -> str:
        parts = []
        for tool, given in calls:
            inner = "".join(
                f'<{tag}parameter name="{name}" string="{str(isinstance(item, str)).lower()}">'
                f"{as_text(item)}</{tag}parameter>\n"
                for name, item in given.items()
            )
            parts.append(f'<{tag}invoke name="{tool}">\n{inner}</{tag}invoke>\n')
        return f"<{tag}{around}>\n{''.join(parts)}</{tag}{around}>"

    return write


def kimi_k3(calls: Pairs) -> str:
    parts = []
    for tool, given in calls:
        inner = "".join(
            f'<|open|>argument key="{name}" type="{"string" if isinstance(item, str) else "json"}"<|sep|>'
            f"{as_text(item)}<|close|>argument<|sep|>"
            for name, item in given.items()
        )
        parts.append(f'<|open|>call tool="{tool}" index="1"<|sep|>{inner}<|close|>call<|sep|>')
    return f"<|open|>tools<|sep|>{''.join(parts)}<|close|>tools<|sep|><|close|>message<|sep|>"


def minimax_m3(calls: Pairs) -> str:
    sign = "]<]minimax[>["

    def tag(name: str, value: Any) -> str:
        if isinstance(value, dict):
            inner = "".join(tag(key, item) for key, item in value.items())
        else:
            inner = "".join(tag("item", item) for item in value) if isinstance(value, list) else as_text(value)
        return f"{sign}<{name}>{inner}{sign}</{name}>"

    parts = [
        f'{sign}<invoke name="{tool}">{"".join(tag(name, item) for name, item in given.items())}{sign}</invoke>\n'
        for tool, given in calls
    ]
    return f"{sign}<tool_call>\n{''.join(parts)}{sign}</tool_call>"


def invoke(prefix: str, around: str) -> Writer:
    tags = tagged(
        f'<{prefix}invoke name="{{}}">',
        f'<{prefix}parameter name="{{}}">',
        (f"</{prefix}parameter>", f"</{prefix}invoke>"),
        ("", ""),
        line="",
    )
    return wrapped(tags, f"<{around}>\n", f"\n</{around}>") if around else tags


FUNCTION = ("<function={}>", "<parameter={}>", ("</parameter>", "</function>"))

WRITERS: dict[str, Writer] = {
    "Hermes and Qwen": each("<tool_call>\n", "\n</tool_call>"),
    "Hermes on one line, parameters": each("<tool_call>", "</tool_call>", "", "parameters"),
    "Granite 4, a list": listed("<tool_call>", "</tool_call>"),
    "Qwen3-Coder": tagged(*FUNCTION, ("<tool_call>\n", "\n</tool_call>")),
    "Qwen3-Coder without its outer tag": tagged(*FUNCTION, ("", "")),
    "Qwen3-Coder, only the outer tag's end": tagged(*FUNCTION, ("", "\n</tool_call>")),
    "Seed-OSS": tagged(*FUNCTION, ("<seed:tool_call>\n", "\n</seed:tool_call>"), line=""),
    "Llama 3.1's function tag": named("<function=", ">", "</function>"),
    "Llama 3's python tag": each("<|python_tag|>", "", "", "parameters"),
    "Llama 3's python tag, semicolons": lambda calls: "<|python_tag|>" + "; ".join(objects(calls)) + "<|eom_id|>",
    "Llama 4": python("<|python_start|>[", "]<|python_end|><|eom|>"),
    "Llama 3.2's Python": python("[", "]"),
    "Llama 3's bare JSON": lambda calls: "; ".join(objects(calls, arguments="parameters")),
    "Mistral": listed("[TOOL_CALLS] "),
    "Mistral, closed": listed("[TOOL_CALLS]", "[/TOOL_CALLS]"),
    "Mistral's ARGS": named("[TOOL_CALLS]", "[ARGS]", ""),
    "Mistral's CALL_ID": named("[TOOL_CALLS]", "[CALL_ID]a1b2c3d4{n}[ARGS]", ""),
    "Granite 3": listed("<|tool_call|>"),
    "Granite 20B": each("<function_call> "),
    "Glaive": each("<functioncall> "),
    "DeepSeek V3": named(
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
        "\n```json\n",
        "\n```<｜tool▁call▁end｜>",
        ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜><｜end▁of▁sentence｜>"),
        "\n",
    ),
    "DeepSeek V3.1": named(
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    ),
    "DeepSeek V3.2": dsml("function_calls"),
    "DeepSeek V4": dsml("tool_calls"),
    "DeepSeek V4, half-width bars": dsml("tool_calls", "|"),
    "Kimi K2": named(
        "<|tool_call_begin|>functions.",
        ":{n}<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
    ),
    "Kimi K3": kimi_k3,
    "GLM 4.5": pairs("<tool_call>", "</tool_call>"),
    "LongCat": each("<longcat_tool_call>\n", "\n</longcat_tool_call>"),
    "LongCat 2": pairs("<longcat_tool_call>", "</longcat_tool_call>", "longcat_"),
    "Hy3": wrapped(
        pairs(
            "<tool_call:opensource>",
            "</tool_call:opensource>",
            suffix=":opensource",
            separator="<tool_sep:opensource>",
        ),
        "<tool_calls:opensource>\n",
        "\n</tool_calls:opensource>",
    ),
    "MiniMax M1": wrapped(each(""), "<tool_calls>\n", "\n</tool_calls>"),
    "MiniMax M2": invoke("", "minimax:tool_call"),
    "MiniMax M3": minimax_m3,
    "invoke": invoke("", ""),
    "invoke in function_calls": invoke("", "function_calls"),
    "invoke with any prefix": invoke("acme:", "acme:function_calls"),
    "MiniCPM 5": tagged('<function name="{}">', '<param name="{}">', ("</param>", "</function>"), ("", ""), line=""),
    "MiniCPM 3": wrapped(python("", "", "\n"), "<|tool_call_start|>\n```python\n", "\n```\n<|tool_call_end|>"),
    "LFM 2": python("<|tool_call_start|>[", "]<|tool_call_end|>"),
    "LFM 2, JSON": listed("<|tool_call_start|>", "<|tool_call_end|>"),
    "OLMo 3": python("<function_calls>\n", "\n</function_calls>", "\n"),
    "Gemma 4": gemma("<|tool_call>", "<tool_call|>", '<|"|>'),
    "FunctionGemma": gemma("<start_function_call>", "<end_function_call>", "<escape>"),
    "harmony": named(
        "<|start|>assistant<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", "<|call|>"
    ),
    "harmony, the recipient first": named(
        "<|start|>assistant to=functions.", "<|channel|>commentary json<|message|>", "<|call|>"
    ),
    "Phi-4-mini": listed("<|tool_call|>", "<|/tool_call|>"),
    "Phi-4-mini's functools": listed("functools"),
    "Cohere": listed("<|START_ACTION|>", "<|END_ACTION|>", "tool_name", "parameters"),
    "xLAM": listed(""),
    "Jamba and Hunyuan": listed("<tool_calls>", "</tool_calls>"),
    "functionary": named(">>>", "\n", "", between="\n"),
    "Step 3": lambda calls: (
        "<｜tool_calls_begin｜>"
        + "".join(
            f"<｜tool_call_begin｜>function<｜tool_sep｜>{invoke('steptml:', '')([call])}<｜tool_call_end｜>"
            for call in calls
        )
        + "<｜tool_calls_end｜>"
    ),
    "GigaChat 3": each("function call<|role_sep|>\n"),
    "GigaChat 3.1": each("<|function_call|>", "<|message_sep|>"),
    "InternLM": each("<|action_start|><|plugin|>\n", "<|action_end|>", arguments="parameters"),
    "Nemotron": listed("<TOOLCALL>", "</TOOLCALL>"),
    "Apertus": lambda calls: (
        f"<|tools_prefix|>[{', '.join(dumped({tool: given}) for tool, given in calls)}]<|tools_suffix|>"
    ),
    "Solar": named(
        "<|tool_call:begin|>{n}<|tool_call:name|>",
        "<|tool_call:args|>",
        "<|tool_call:end|>",
        ("<|tool_calls|>", "<|calls|>"),
    ),
}
"""What models write, by the format's name."""

VARIANTS: dict[str, Writer] = {
    **{f"DSML, {bar}, {tag}": dsml(tag, bar) for bar in ("｜", "|", "｜｜") for tag in ("function_calls", "calls")},
    "DSML, doubled bars, tool_calls": dsml("tool_calls", "｜｜"),
    "DeepSeek V3.1, half-width bars": named(
        "<|tool▁call▁begin|>",
        "<|tool▁sep|>",
        "<|tool▁call▁end|>",
        ("<|tool▁calls▁begin|>", "<|tool▁calls▁end|>"),
    ),
    "InternLM, a blank between its marks": each("<|action_start|> <|plugin|>\n", "<|action_end|>"),
}
"""Formats that differ from one above in little."""

AT_START = {
    "Llama 3.2's Python",
    "Llama 3's bare JSON",
    "Phi-4-mini's functools",
    "xLAM",
    "functionary",
    "GigaChat 3",
}
"""The formats that count at the reply's beginning only, thoughts aside; JSON after other text has rows of its own."""
