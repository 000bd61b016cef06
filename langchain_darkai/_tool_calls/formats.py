"""The formats in which models write calls and thoughts: one row for each, read by one engine.

A new format is one row here, its cases in the tests' table of replies, and a line in docs/tool-calls.md. A row says
which mark begins a call, what stands after it (its family), and what closes it:

- "body": calls that bring their names along: JSON, Python, a name with JSON, or another row's calls.
- "named": a name, a separator, and the arguments as JSON.
- "tags": a tag with the name, then a tag for each argument, or the arguments as JSON.
- "tree": a tag with the name, then a tag of each argument's own name, with tags for what is in a list or an object.
- "message": harmony's header of a message, which names the tool, then the arguments as JSON.

Values that come as text get their types from the tool's schema; a string stays a string.
"""

from dataclasses import dataclass
from typing import Literal

from langchain_darkai.prompts import CALL_END, CALL_START

Family = Literal["body", "named", "tags", "tree", "message"]


@dataclass(frozen=True)
class Pairs:
    """The tags of arguments of which each has its name in one tag and its value in another."""

    key: str
    key_end: str
    value: str
    value_end: str


@dataclass(frozen=True)
class Format:
    """A format of calls.

    - `marks`: the texts of which each begins a call. They are compared without regard to case.
    - `closes`: what may end it. A row of the family "body" or "named" may lack it at the reply's end.
    - `separator`: what ends the name, for the family "named"; for "tags", what ends a tag.
    - `argument`, `argument_end`: for "tags", the tag of an argument up to its name, and what ends its value. In a
      "tree", `argument` is what stands before each tag.
    - `pairs`: for "body", the tags of arguments after a name.
    - `inner`: a mark that may follow and is in no row.
    - `at_start`: the mark is too common a word to count anywhere but at the reply's beginning, thoughts aside.
    """

    title: str
    marks: tuple[str, ...]
    family: Family = "body"
    closes: tuple[str, ...] = ()
    separator: str = ""
    argument: str = ""
    argument_end: str = ""
    pairs: Pairs | None = None
    inner: str = ""
    at_start: bool = False


def _invoke(title: str, prefix: str) -> Format:
    """Return the row of `<invoke name="...">` tags with a prefix."""
    return Format(
        title,
        (f"<{prefix}invoke name=",),
        "tags",
        (f"</{prefix}invoke>",),
        separator=">",
        argument=f"<{prefix}parameter name=",
        argument_end=f"</{prefix}parameter>",
    )


_BARS = ("｜", "|", "｜｜")  # DeepSeek's own, and what becomes of them

_PAIRS = Pairs("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>")
OURS = Format("the form that is asked for", (CALL_START,), closes=(CALL_END,), pairs=_PAIRS)
"""Hermes, Qwen 2.5 and 3, ERNIE, Granite 4 and GLM 4.5 open their calls with the same mark."""

BARE = Format("a name and its arguments, the whole reply", (), pairs=_PAIRS, at_start=True)

FORMATS = (
    OURS,
    # Tags with the name, then tagged arguments or JSON.
    Format(
        "Qwen3-Coder, Llama 3.1, Seed-OSS, Nemotron 3, Step 3.5",
        ("<function=",),
        "tags",
        ("</function>", CALL_END),
        separator=">",
        argument="<parameter=",
        argument_end="</parameter>",
    ),
    Format(
        "MiniCPM 5",
        ("<function name=",),
        "tags",
        ("</function>",),
        separator=">",
        argument="<param name=",
        argument_end="</param>",
    ),
    _invoke("MiniMax M2", ""),
    _invoke("Step 3", "steptml:"),
    *(_invoke(f"DeepSeek V3.2 and V4, {bar}DSML{bar}", f"{bar}DSML{bar}") for bar in _BARS),
    Format(
        "Kimi K3",
        ("<|open|>call ",),
        "tags",
        ("<|close|>call<|sep|>",),
        separator="<|sep|>",
        argument="<|open|>argument ",
        argument_end="<|close|>argument<|sep|>",
    ),
    Format(
        "MiniMax M3",
        ("]<]minimax[>[<invoke name=",),
        "tree",
        ("]<]minimax[>[</invoke>",),
        separator=">",
        argument="]<]minimax[>[",
    ),
    # A name, then JSON.
    Format(
        "DeepSeek V3 and V3.1",
        ("<｜tool▁call▁begin｜>",),
        "named",
        ("<｜tool▁call▁end｜>",),
        separator="<｜tool▁sep｜>",
    ),
    Format(
        "DeepSeek V3 and V3.1, half-width bars",
        ("<|tool▁call▁begin|>",),
        "named",
        ("<|tool▁call▁end|>",),
        separator="<|tool▁sep|>",
    ),
    Format(
        "Kimi K2", ("<|tool_call_begin|>",), "named", ("<|tool_call_end|>",), separator="<|tool_call_argument_begin|>"
    ),
    Format(
        "Solar",
        ("<|tool_call:begin|>", "<|tool_call:name|>"),
        "named",
        ("<|tool_call:end|>",),
        separator="<|tool_call:args|>",
    ),
    Format("functionary", (">>>",), "named", separator="\n", at_start=True),
    Format("harmony (gpt-oss)", ("<|channel|>", "<|start|>assistant"), "message", ("<|call|>", "<|end|>")),
    Format(
        "harmony without its marks",
        ("assistantcommentary to=", "commentary to=", "to=functions."),
        "message",
        ("<|call|>", "<|end|>"),
        at_start=True,
    ),
    # Calls that bring their names along.
    Format("Llama 3", ("<|python_tag|>",), closes=("<|eom_id|>", "<|eot_id|>")),
    Format("Llama 4", ("<|python_start|>",), closes=("<|python_end|>", "<|eom_id|>", "<|eot_id|>", "<|eot|>")),
    Format("Mistral", ("[TOOL_CALLS]",), closes=("[/TOOL_CALLS]", "</s>")),
    Format("Granite 20B", ("<function_call>",), closes=("</function_call>",)),
    Format("Glaive", ("<functioncall>",), closes=("</functioncall>", "<|endoftext|>")),
    Format("Granite 3, Phi-4-mini", ("<|tool_call|>",), closes=("<|/tool_call|>",)),
    Format("Phi-4-mini, functools", ("functools",), at_start=True),
    Format("Jamba, Hunyuan, MiniMax M1", ("<tool_calls>",), closes=("</tool_calls>",)),
    Format("LFM 2, MiniCPM 3", ("<|tool_call_start|>",), closes=("<|tool_call_end|>",)),
    Format("OLMo 3", ("<function_calls>",), closes=("</function_calls>",)),
    Format("Cohere Command", ("<|START_ACTION|>",), closes=("<|END_ACTION|>",)),
    Format("InternLM", ("<|action_start|><|plugin|>", "<|action_start|> <|plugin|>"), closes=("<|action_end|>",)),
    Format("Nemotron", ("<TOOLCALL>",), closes=("</TOOLCALL>",)),
    Format("Apertus", ("<|tools_prefix|>",), closes=("<|tools_suffix|>",)),
    Format(
        "LongCat",
        ("<longcat_tool_call>",),
        closes=("</longcat_tool_call>",),
        pairs=Pairs("<longcat_arg_key>", "</longcat_arg_key>", "<longcat_arg_value>", "</longcat_arg_value>"),
    ),
    Format(
        "Hy3",
        ("<tool_call:opensource>",),
        closes=("</tool_call:opensource>", "<end_of_tool_call:opensource>"),
        pairs=Pairs(
            "<arg_key:opensource>", "</arg_key:opensource>", "<arg_value:opensource>", "</arg_value:opensource>"
        ),
    ),
    Format("GigaChat 3.1", ("<|function_call|>",), closes=("<|message_sep|>",)),
    Format("GigaChat 3", ("function call<|role_sep|>",), closes=("<|message_sep|>",), at_start=True),
    Format("Gemma 4", ("<|tool_call>",), closes=("<tool_call|>",)),
    Format("FunctionGemma", ("<start_function_call>",), closes=("<end_function_call>",)),
    # Around calls of the rows above.
    Format("MiniMax M3, around its calls", ("]<]minimax[>[<tool_call>",), closes=("]<]minimax[>[</tool_call>",)),
    Format("MiniMax M2, around its calls", ("<minimax:tool_call>",), closes=("</minimax:tool_call>",)),
    Format("Seed-OSS, around its call", ("<seed:tool_call>",), closes=("</seed:tool_call>",)),
    *(
        Format(
            f"DeepSeek V3.2 and V4, {bar}DSML{bar}{tag}",
            (f"<{bar}DSML{bar}{tag}>",),
            closes=(f"</{bar}DSML{bar}{tag}>",),
        )
        for bar in _BARS
        for tag in ("function_calls", "tool_calls", "calls")
    ),
    Format(
        "DeepSeek V3, around its calls",
        (
            *("<｜tool▁calls▁begin｜>", "<|tool▁calls▁begin|>", "<｜tool▁calls｜>"),  # the last ones: R1's distills
            *("<｜tool calls begin｜>", "<｜tool\\_calls\\_begin｜>"),
        ),
        closes=("<｜tool▁calls▁end｜>", "<|tool▁calls▁end|>"),
    ),
    Format("Step 3, around its calls", ("<｜tool_calls_begin｜>",), closes=("<｜tool_calls_end｜>",)),
    Format(
        "Step 3, around its call",
        ("<｜tool_call_begin｜>",),
        "named",
        ("<｜tool_call_end｜>",),
        separator="<｜tool_sep｜>",
    ),
    Format(
        "Kimi K2, around its calls",
        ("<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"),
        closes=("<|tool_calls_section_end|>", "<|tool_call_section_end|>"),
    ),
    Format("Kimi K3, around its calls", ("<|open|>tools<|sep|>",), closes=("<|close|>tools<|sep|>",)),
    Format("Hy3, around its calls", ("<tool_calls:opensource>",), closes=("</tool_calls:opensource>",)),
    Format("Solar, around its calls", ("<|tool_calls|>",), closes=("<|calls|>",)),
)
"""The table. No mark begins with another one: a mark counts as soon as it is there."""

START_MARKS = tuple(mark for row in FORMATS if row.at_start for mark in row.marks)
"""The marks that count at the reply's beginning, and after a call."""

RECIPIENTS = {"all\n": (">>>",)}
"""What a reply begins with that names who each part of it is for, and the marks that count anywhere in it then."""

PREFIXED = ("invoke name=", "function_calls>", "tool_calls>", "tool_call>")
"""What makes a mark of `<prefix:...`, whatever the prefix is, at the beginning of a line."""

LAYOUT = (
    *("</s>", "<|im_end|>", "<|eot_id|>", "<|eot|>", "<|eom|>", "<|end|>", "<|return|>", "<｜end▁of▁sentence｜>"),
    *("<|close|>message<|sep|>", "<turn|>", "<end_of_turn>", "<|END_OF_TURN_TOKEN|>", "<|endoftext|>"),
    *("<|end_of_text|>", "<|assistant_end|>", "<start_function_response>", "</longcat_s>"),
)
"""Marks that mean nothing after a call: of a turn's end, or left over from a format whose row closes earlier."""


MAX_PREFIX = 24
"""Characters of such a prefix."""


def prefixed(mark: str) -> Format:
    """Return the row of a mark with a prefix that is in no row."""
    prefix, _, tag = mark[1:].rpartition(":")
    if tag.startswith("invoke"):
        return _invoke("any prefix", f"{prefix}:")
    return Format("around calls, any prefix", (mark,), closes=(f"</{mark[1:]}",), inner=f"<{prefix}:invoke name=")


@dataclass(frozen=True)
class Thought:
    """A format of thoughts: what opens one, and what closes it."""

    opens: tuple[str, ...]
    closes: tuple[str, ...]


_TAGS = ("think", "thinking", "thought", "reasoning")

THOUGHTS = (
    Thought(tuple(f"<{tag}>" for tag in _TAGS), tuple(f"</{tag}>" for tag in _TAGS)),
    Thought(("[THINK]",), ("[/THINK]",)),  # Mistral
    Thought(("<seed:think>",), ("</seed:think>",)),
    Thought(("<mm:think>",), ("</mm:think>",)),  # MiniMax M3
    Thought(("<longcat_think>",), ("</longcat_think>",)),
    Thought(("<think:opensource>",), ("</think:opensource>",)),  # Hy3
    Thought(("<|START_THINKING|>",), ("<|END_THINKING|>",)),  # Cohere
    Thought(("<|inner_prefix|>",), ("<|inner_suffix|>",)),  # Apertus
    Thought(("<|thought_start|>",), ("<|thought_end|>",)),  # MiniCPM 3
    Thought(("<|begin_of_thought|>",), ("<|end_of_thought|>",)),
    Thought(("<|channel>thought", "<|channel>analysis"), ("<channel|>",)),  # Gemma 4
    Thought(("<|open|>think<|sep|>",), ("<|close|>think<|sep|>",)),  # Kimi K3
    Thought(("<|think|>",), ("<|end|>",)),  # Solar
    Thought(("◁think▷",), ("◁/think▷",)),  # Kimi VL
)
"""The formats of thoughts. Calls and answers inside a thought are drafts, and do not count."""

OPENED_THOUGHT = Thought(
    (), tuple(close for thought in THOUGHTS for close in thought.closes if "think" in close.lower())
)
"""A thought whose opening mark is in the prompt, as chat templates put it there: the reply begins within it."""

HARMONY_THOUGHT = Thought(("<|message|>",), ("<|end|>", "<|return|>", "<|start|>"))
"""The analysis of harmony, which begins after its header. A header in it is a part of it, unless a message begins."""

BARE_THOUGHT = Thought(("analysis",), ("assistantcommentary", "assistantfinal", "assistantanalysis"))
"""The same without its marks, at the reply's beginning."""

ANSWER_OPENS = ("<|START_RESPONSE|>", "<|START_TEXT|>", "<|begin|>assistant", "<|content|>", "<|open|>response<|sep|>")
ANSWER_CLOSES = (
    *("<|return|>", "<|end|>", "<|END_RESPONSE|>", "<|END_TEXT|>", "<|close|>response<|sep|>"),
    "<|close|>message<|sep|>",
)
"""Marks around the answer of a model that marks its thoughts, too. They go where the thoughts are taken out: those that
open the answer at a line's beginning, those that close it where nothing or another mark follows."""
