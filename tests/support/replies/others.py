"""Broken calls, results that a model makes up, forced calls, and prose."""

from tests.support.replies.case import (
    ADD,
    ADD_BLOCK,
    ANY,
    LONG,
    NOW,
    NOW_BLOCK,
    PARIS,
    SUM,
    WEATHER,
    WEATHER_BLOCK,
    Case,
    forced,
    text,
)

BROKEN = [
    Case(
        "no JSON", '<tool_call>{"name": "add", "arguments": {"a": 1, "b": }}</tool_call>', invalid=(("add", '{"a": 1'),)
    ),
    Case(
        "no JSON, text after",
        '<tool_call>{"name": "add", "arguments": {"a": }}</tool_call> Sorry.',
        "Sorry.",
        invalid=(("add", "{"),),
    ),
    Case("arguments a list in order", '<tool_call>{"name": "add", "arguments": [1, 2]}</tool_call>', calls=(SUM,)),
    Case("arguments a list", '<tool_call>{"name": "add", "arguments": [1]}</tool_call>', invalid=(("add", "[1]"),)),
    Case("arguments a number", '<tool_call>{"name": "add", "arguments": 12}</tool_call>', invalid=(("add", "12"),)),
    Case(
        "arguments prose",
        '<tool_call>{"name": "add", "arguments": "one and two"}</tool_call>',
        invalid=(("add", "one and two"),),
    ),
    Case("no name", '<tool_call>{"arguments": {"q": 1}}</tool_call>', invalid=((None, '{"arguments": {"q": 1}}'),)),
    Case(
        "a name that is a number",
        '<tool_call>{"name": 5, "arguments": {}}</tool_call>',
        invalid=((None, '{"name": 5'),),
    ),
    Case("empty block", "<tool_call></tool_call>", invalid=((None, ""),)),
    Case("unquoted words", "<tool_call>{add 1 and 2}</tool_call>", invalid=((None, "{add 1 and 2}"),)),
    Case("cut in the name", '<tool_call>\n{"name": "get_w', invalid=((None, '{"name": "get_w'),)),
    Case("cut before the arguments", '<tool_call>\n{"name": "add", "arguments": ', invalid=(("add", '"arguments":'),)),
    Case(
        "cut in the arguments", '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b', invalid=(("add", '{"a": 1'),)
    ),
    Case(
        "cut in a string",
        '<tool_call>\n{"name": "say", "arguments": {"text": "Once upon',
        invalid=(("say", '{"text": "Once upon'),),
    ),
    Case(
        "cut in an escape",
        '<tool_call>\n{"name": "say", "arguments": {"text": "Once\\',
        invalid=(("say", '{"text": "Once'),),
    ),
    Case(
        "cut after the arguments",
        '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}',
        invalid=(("add", '{"a": 1, "b": 2'),),
    ),
    Case("cut after the name, no arguments yet", '<tool_call>\n{"name": "now"', invalid=(("now", '{"name": "now"'),)),
    Case("cut after the tag", "Well.\n<tool_call>\n", "Well.", invalid=((None, ""),)),
    Case(
        "a whole call, then a cut one",
        f'{NOW_BLOCK}\n<tool_call>{{"name": "add", "arguments": {{"a"',
        calls=(NOW,),
        invalid=(("add", "{"),),
    ),
    Case(
        "a broken call, then a whole one",
        f'<tool_call>{{"name": "add", "arguments": {{"a": }}}}</tool_call>\n{NOW_BLOCK}',
        calls=(NOW,),
        invalid=(("add", "{"),),
    ),
]

MADE_UP = [
    Case("a tool's turn", f'{ADD_BLOCK}\nTool (id="call_1"): 3\nAssistant: It is 3.', calls=(SUM,)),
    Case("a tool's turn without an id", f"{ADD_BLOCK}\nTool: 3\nIt is 3.", calls=(SUM,)),
    Case("tool_response (Qwen)", f"{ADD_BLOCK}\n<tool_response>\n3\n</tool_response>\nIt is 3.", calls=(SUM,)),
    Case("tool_result", f"{ADD_BLOCK}\n<tool_result>3</tool_result>", calls=(SUM,)),
    Case("an observation (ReAct)", f"Adding.\n{ADD_BLOCK}\nObservation: 3\nThe sum is 3.", "Adding.", (SUM,)),
    Case("a user's turn", f"{ADD_BLOCK}\nUser: Thanks!\nAssistant: You are welcome.", calls=(SUM,)),
    Case("after bare JSON", f"{ADD}\nObservation: 3", calls=(SUM,)),
    Case("after text after a call", f"{ADD_BLOCK}\nI wait.\nTool: 3", "I wait.", (SUM,)),
    Case(
        "calls with a result between them", f"{ADD_BLOCK}\n<tool_response>3</tool_response>\n{NOW_BLOCK}", calls=(SUM,)
    ),
    Case(
        "words that begin so, but go on",
        f"{ADD_BLOCK}\nTool results come in the next turn.",
        "Tool results come in the next turn.",
        (SUM,),
    ),
    Case(
        "a label within a line",
        f"{ADD_BLOCK}\nThe next line is Observation: none.",
        "The next line is Observation: none.",
        (SUM,),
    ),
    text("labels without a call", "Tool: a hammer\nObservation: it is heavy\nUser: me"),
]

FORCED = [
    Case("bare arguments", '{"city": "Paris"}', calls=(PARIS,), choice=forced("get_weather"), tools=("get_weather",)),
    Case(
        "fenced bare arguments",
        '```json\n{"city": "Paris"}\n```',
        calls=(PARIS,),
        choice=forced("get_weather"),
        tools=("get_weather",),
    ),
    Case("bare arguments, types", '{"a": "1", "b": 2}', calls=(SUM,), choice=forced("add"), tools=("add",)),
    Case("bare arguments, none", "{}", calls=(NOW,), choice=forced("now"), tools=("now",)),
    Case("a call anyway", WEATHER_BLOCK, calls=(PARIS,), choice=forced("get_weather"), tools=("get_weather",)),
    Case("a bare call anyway", WEATHER, calls=(PARIS,), choice=forced("get_weather"), tools=("get_weather",)),
    Case(
        "prose, then fenced arguments",
        'Sure:\n```json\n{"city": "Paris"}\n```',
        "Sure:",
        (PARIS,),
        choice=forced("get_weather"),
        tools=("get_weather",),
    ),
    Case("prose, then a fenced call", f"Sure:\n```json\n{ADD}\n```", "Sure:", (SUM,), choice=ANY),
    text(
        "arguments of no such names, forced", '{"town": "Paris"}', choice=forced("get_weather"), tools=("get_weather",)
    ),
    text("arguments where any tool will do", '{"city": "Paris"}', choice=ANY),
    text("refused", "I would rather not.", choice=forced("get_weather"), tools=("get_weather",)),
    text(
        "a thought about arguments",
        '<think>{"city": "Paris"}</think>\nNo.',
        choice=forced("get_weather"),
        tools=("get_weather",),
    ),
]

PROSE = [
    text("plain", "The capital of France is Paris."),
    text("blank ends", "  Two lines\n\nand blanks  \n\n"),
    text("only blanks", " \n\t\n "),
    text("unicode prose", "Ünïcödé, 漢字, 🎉, \u2028, \x00, עברית"),
    text("markdown", "# Title\n\n* one\n* `two`\n\n```python\nprint({'a': [1]})\n```\n\n| a | b |\n|---|---|\n"),
    text("comparisons", "1 < 2, 3 << 4, a <b and <t, <to, <tool, <tool_ and <tool_calling>"),
    text("HTML", "<table><thead><th>x</th></thead><t></t></table>"),
    text("back-ticks", "` `` ``` ```` ~ ~~ ~~~ `a` ``b`c`` ```d"),
    text("brackets", "] } ) > [[ {{ (( << [T [TOOL [TOOL_CALLS"),
    text("a long text", LONG),
    text("a thought", "<think>Hm.</think>\n\nIt is blue."),
    text("a fence that does not end", "```python\nprint(1)"),
    text("a shell fence at the start", "```bash\nls -l\n```\nlists files."),
]
