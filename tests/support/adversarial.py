"""Replies that are made to take long to read, and the check that they take no longer than their length allows."""

import gc
import time
from collections.abc import Callable

from tests.support.replies import ADD, ADD_BLOCK, NOW_BLOCK

TextOfSize = Callable[[int], str]


def repeated(piece: str, before: str = "", after: str = "") -> TextOfSize:
    """Return a function of a size that returns a text of about so many characters: `before`, pieces, `after`."""
    return lambda size: before + piece * max(1, (size - len(before) - len(after)) // len(piece)) + after


CALL = '<tool_call>{"name": "say", "arguments": {"text": "'
OPEN_CALL = '<tool_call>{"name": "add", "arguments": {}'

# A size in characters to a text of about that size.
ADVERSARIAL: dict[str, TextOfSize] = {
    "letters": repeated("a"),
    "prose": repeated("It's 3 < 4 [see], `really`.\n"),
    "blanks": repeated(" "),
    "line ends": repeated("\n"),
    "blanks after a call": repeated(" ", NOW_BLOCK),
    "blank lines after a call": repeated("\n ", NOW_BLOCK, "x"),
    "fences": repeated("```\n"),
    "fences with text": repeated("\n```\ntext"),
    "fences of JSON": repeated('\n```json\n{"x": 1}\n```\n', "x"),
    "fences of calls": repeated(f"\n```\n{ADD_BLOCK}\n```\n", "x"),
    "fences of calls, then text": repeated(f"```json\n{ADD}\n```\n", "x\n", "y"),
    "fences that open strings": repeated('\n```json\n{"text": "x\n', "x"),
    "fences of tildes": repeated("\n~~~\n", "x"),
    "a fence's language": repeated("a", "```"),
    "blanks after a fence": repeated(" ", "```", "x"),
    "blank lines in a fence": repeated("\n", "```json\n"),
    "ends of a fence": repeated("\n```x", "```\n"),
    "back-ticks": repeated("`"),
    "back-ticks in rows of three": repeated("``` "),
    "back-ticks in odd rows": repeated("` `` ``` `"),
    "back-ticks at the end of a fence": repeated("`", "```\n\n"),
    "lone back-ticks": repeated("` a\n\n"),
    "lone back-ticks on lines": repeated("`\n"),
    "a lone back-tick before a call": repeated("x", "`\n<tool_call>"),
    "a lone back-tick before calls": repeated(ADD_BLOCK, "a ` b\n"),
    "a lone back-tick, a call, blanks": repeated(" ", "`\n<tool_call>\n"),
    "tildes": repeated("~"),
    "less-than signs": repeated("<"),
    "square brackets": repeated("["),
    "square brackets and blanks": repeated(" ", "["),
    "curly brackets": repeated("{"),
    "curly brackets in prose": repeated("a { b "),
    "thoughts": repeated("<think>x</think>"),
    "thoughts that do not end": repeated("<think>"),
    "ends of thoughts": repeated("</", "<think>"),
    "ends of thoughts that nothing opened": repeated("{x} </think>.</think>"),
    "announced Python": repeated("\n[add(a=1, b=2)]\nx", "x"),
    "announced Python that does not end": repeated("\n[add(", "x"),
    "half marks": repeated("<tool_cal <|python_ta [TOOL_CALL <functio "),
    "function tags without a name": repeated("<function="),
    "a long name of a function": repeated("a", "<function="),
    "marks in prose": repeated("<tool_call> <|python_tag|> <function=x> "),
    "made-up results": repeated("\nTool"),
    "labels after a call": repeated("\n Too: x", NOW_BLOCK),
    "labels in a line after a call": repeated("Tool: x", f"{NOW_BLOCK}\nx"),
    "marks after a call": repeated("` a", NOW_BLOCK),
    "comments": repeated("# a comment\n"),
    "comments after a call": repeated("# a `comment\n", NOW_BLOCK),
    "parameters that do not end": repeated("<parameter=a>\n", "<function=add>", "</function>"),
    "parameters that do not end, cut": repeated("<parameter=a>\n", "<function=add>"),
    "parameters": repeated("<parameter=a>1</parameter>", "<function=add>", "</function>"),
    "blanks in a function tag": repeated(" ", "<function=add>", "x</function>"),
    "function tags": repeated("<function=now></function>"),
    "bare JSON, a long text": repeated("a", '{"type": "'),
    "bare JSON, a long name": repeated("a", '{"'),
    "bare JSON, escapes": repeated("\\u00e9", '{"type": "'),
    "a bare call, then blanks": repeated(" ", ADD),
    "a bare call, then back-ticks": repeated("`", ADD),
    "a bare call, then semicolons": repeated(";", ADD),
    "a bare call, then fences": repeated("\n```a", ADD),
    "bare calls": repeated(ADD),
    "a bare list of calls": repeated(f"{ADD}, ", "["),
    "a Python list": repeated("add(a=1), ", "["),
    "a Python list, blanks": repeated(" ", "[add"),
    "a Python list, a long name": repeated("a", "[add."),
    "a Python chain": repeated("add.", "<|python_tag|>", "add()"),
    "Python brackets": repeated("add(", "<|python_tag|>"),
    "Python minus signs": repeated("-", "<|python_tag|>add(a=", "1)"),
    "a mark, then blanks": repeated(" ", "<|python_tag|>"),
    "Mistral's calls": repeated("add{}", "[TOOL_CALLS]"),
    "Mistral's calls, blanks": repeated(" ", "[TOOL_CALLS]add"),
    "a mark for each call": repeated("[TOOL_CALLS]add[ARGS]{}"),
    "calls": repeated(f"{NOW_BLOCK}\n"),
    "calls without an end": repeated("<tool_call>{"),
    "empty calls": repeated("<tool_call></tool_call>"),
    "a call's text": repeated("a", CALL),
    "a call's text, whole": repeated("a", CALL, '"}}</tool_call>'),
    "a call's text, line ends": repeated("\n", CALL),
    "a call's text, quotes": repeated('" ', CALL),
    "a call's text, a quote and blanks": repeated(" ", CALL + '"'),
    "a call's text, escapes": repeated("\\n", CALL),
    "a call's text, back-slashes": repeated("\\", CALL),
    "a call's text, high surrogates": repeated("\\ud83d", CALL),
    "a call's text, characters in two halves": repeated("\\ud83d\\ude00", CALL),
    "a call's number": repeated("1", '<tool_call>{"name": "add", "arguments": {"a": '),
    "a call's name": repeated("a", '<tool_call>{"name": "'),
    "a call's lists": repeated("[],", '<tool_call>{"name": "save", "arguments": {"data": ['),
    "a call's nested lists": repeated("[", '<tool_call>{"name": "save", "arguments": {"data": '),
    "a call's members": repeated('"a": 1, ', '<tool_call>{"name": "add", "arguments": {'),
    "a call's text that holds lists": repeated("[],", '<tool_call>{"name": "save", "arguments": {"tags": "[', ']"}}'),
    "arguments first": repeated("[],", '<tool_call>{"arguments": {"x": [', "[]]}}"),
    "blanks after arguments": repeated(" ", OPEN_CALL),
    "brackets after a call": repeated("}", OPEN_CALL),
    "back-ticks after a call": repeated("`", OPEN_CALL + "}"),
    "commas after a call": repeated(",", OPEN_CALL + "}"),
    "members after arguments": repeated('"a": 1, ', OPEN_CALL + ", "),
    "a call in single quotes": repeated("'a', ", "<tool_call>{'name': 'save', 'arguments': {'data': ["),
    "objects with a name that does not end": repeated('{"x'),
    "objects with a name and no value": repeated('{"x', "", '":]'),
    "marks of every format": repeated(
        "<invoke name=<|channel|><｜tool▁call▁begin｜><|tool_call_start|>[THINK][/THINK]"
    ),
    "tags with prefixes": repeated("\n<acme:", "", "x"),
    "tags with prefixes that do not end": repeated("a", "\n<", ":"),
    "marks around each other": repeated("<tool_calls><function_calls><minimax:tool_call>"),
    "marks around a call, nested": repeated("<tool_calls>", "", ADD_BLOCK),
    "values that show calls": repeated("<function=x><parameter=y>", "<function=say><parameter=text>"),
    "values that show ends of calls": repeated("</function></parameter> x", "<function=say><parameter=text>"),
    "values that show ends, blanks": repeated("</parameter>  \n", "<function=say><parameter=text>", "</function>"),
    "a value's text": repeated("a\n", "<function=say><parameter=text>", "</parameter></function>"),
    "a value's less-than signs": repeated("<", "<function=say><parameter=text>", "</parameter></function>"),
    "tags within tags": repeated("]<]minimax[>[<a>", "]<]minimax[>[<invoke name=say>"),
    "tags beside tags": repeated("]<]minimax[>[<a>x]<]minimax[>[</a>", "]<]minimax[>[<invoke name=say>"),
    "names of arguments": repeated("<parameter=a", "<function=say>", ">"),
    "pairs": repeated("<arg_key>a</arg_key><arg_value>1</arg_value>", "<tool_call>add", "</tool_call>"),
    "pairs that do not end": repeated("<arg_value>", "<tool_call>add<arg_key>a</arg_key>"),
    "Gemma's texts": repeated('<|"|>a<|"|>,', "<|tool_call>call:save{tags:[", "]}<tool_call|>"),
    "Gemma's brackets": repeated("{", "<|tool_call>call:save"),
    "Python in marks, strings": repeated("'a' \"b\" ", "<|tool_call_start|>[say(text=", ")]"),
    "Python in marks, escapes": repeated("\\'", "<|tool_call_start|>[say(text='"),
    "Python in marks, brackets": repeated("([", "<|tool_call_start|>[say(text="),
    "Python in marks, blanks": repeated(" ", "<|tool_call_start|>["),
    "lines of Python": repeated("now()\n", "<function_calls>\n", "</function_calls>"),
    "Kimi's calls": repeated("<|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>{}<|tool_call_end|>"),
    "Kimi's name": repeated("a", "<|tool_call_begin|>"),
    "harmony's headers": repeated("<|channel|>commentary<|message|>"),
    "harmony's header that does not end": repeated("<|channel|>", "<|start|>assistant"),
    "analysis without marks": repeated("assistantanalysisW", "analysisW"),
    "thoughts of harmony": repeated("<|channel|>analysis<|message|>x<|end|>"),
    "a broken call of a vendor": repeated("</tool", '<tool_calls>[{"name": "add", "arguments": x'),
    "functionary's calls": repeated(">>>now\n{}\n"),
    "greater-than signs": repeated(">"),
    "JSON on lines": repeated('{"x": 1}\n', "x\n"),
    "JSON on lines that begins like calls": repeated('{"name": "add"\n', "x\n"),
    "lists on lines": repeated("[{\n", "x\n"),
    "brackets on lines": repeated("{\n", "x\n"),
    "calls on lines, then text": repeated(f"{ADD}\n", "x\n", "y"),
    "empty calls, then text": repeated("<tool_call>\n</tool_call>\n", "", "x"),
    "ends of calls after a call": repeated("</tool_call>\n", NOW_BLOCK),
    "half ends of calls after a call": repeated("</tool_", NOW_BLOCK),
    "a name and JSON": repeated("a", 'say{"text": "', '"}'),
    "stop sequences, nearly": repeated("Observatio "),
    "the beginning of a stop sequence": repeated("E"),
}

ALLOWED = 20
"""How much longer 8 times the text may take. Linear cost gives 8, its square 64."""

LEAST = 0.002
"""Seconds below which a time is not measured: one that a busy machine can double."""


def assert_linear(run: Callable[[str], object], text_of: TextOfSize, size: int, factor: int = 8) -> None:
    """Assert that a text of so many times the size takes about so many times as long, in one of three tries."""
    small, large = text_of(size), text_of(size * factor)
    short = long = float("inf")
    for _ in range(3):
        short, long = min(short, seconds(run, small)), min(long, seconds(run, large))
        if long <= max(short, LEAST) * factor * ALLOWED / 8:
            return
    raise AssertionError(f"{len(small):,} characters take {short:.4f} s, {len(large):,} take {long:.4f} s")


def seconds(run: Callable[[str], object], text: str) -> float:
    """Return the processor time that a function takes, without the garbage collector's: it looks at all of pytest."""
    gc.disable()
    try:
        start = time.process_time()
        run(text)
        return time.process_time() - start
    finally:
        gc.enable()
