"""Replies in the form that the model is asked for, and what stands in their arguments."""

import json

from tests.support.replies.case import (
    ADD,
    ADD_BLOCK,
    LONG,
    NOW,
    NOW_BLOCK,
    ODD,
    PARIS,
    SUM,
    WEATHER,
    WEATHER_BLOCK,
    Case,
    bare,
    block,
)

BLOCKS = [
    Case("block", WEATHER_BLOCK, calls=(PARIS,)),
    Case("block on one line", f"<tool_call>{WEATHER}</tool_call>", calls=(PARIS,)),
    Case("block after prose", f"Let me look that up.\n{WEATHER_BLOCK}", "Let me look that up.", (PARIS,)),
    Case("block after prose on its line", f"Let me look that up. {WEATHER_BLOCK}", "Let me look that up.", (PARIS,)),
    Case("blank lines around", f"\n\n{WEATHER_BLOCK}\n\n", calls=(PARIS,)),
    Case("two blocks", f"{WEATHER_BLOCK}\n{ADD_BLOCK}", calls=(PARIS, SUM)),
    Case("two blocks without a line between", WEATHER_BLOCK + ADD_BLOCK, calls=(PARIS, SUM)),
    Case("the same call twice", f"{NOW_BLOCK}\n{NOW_BLOCK}", calls=(NOW, NOW)),
    Case("text around two blocks", f"One\n{WEATHER_BLOCK}\nTwo\n{ADD_BLOCK}\nThree", "One\nTwo\nThree", (PARIS, SUM)),
    Case("text after", f"{WEATHER_BLOCK}\nI wait for the result.", "I wait for the result.", (PARIS,)),
    Case("text right after", f"{NOW_BLOCK}Done.", "Done.", (NOW,)),
    Case("no arguments", NOW_BLOCK, calls=(NOW,)),
    Case("arguments left out", '<tool_call>{"name": "now"}</tool_call>', calls=(NOW,)),
    Case("arguments null", '<tool_call>{"name": "now", "arguments": null}</tool_call>', calls=(NOW,)),
    Case("arguments an empty string", '<tool_call>{"name": "now", "arguments": ""}</tool_call>', calls=(NOW,)),
    Case(
        "arguments first (Hermes)",
        '<tool_call>\n{"arguments": {"city": "Paris"}, "name": "get_weather"}\n</tool_call>',
        calls=(PARIS,),
    ),
    Case(
        "parameters (Llama)",
        '<tool_call>{"name": "add", "parameters": {"a": 1, "b": 2}}</tool_call>',
        calls=(SUM,),
    ),
    Case("args", '<tool_call>{"name": "add", "args": {"a": 1, "b": 2}}</tool_call>', calls=(SUM,)),
    Case("tool and input", '<tool_call>{"tool": "add", "input": {"a": 1, "b": 2}}</tool_call>', calls=(SUM,)),
    Case(
        "an id before",
        '<tool_call>{"id": "x1", "name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>',
        calls=(SUM,),
    ),
    Case(
        "an id after", '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}, "id": "x1"}</tool_call>', calls=(SUM,)
    ),
    Case(
        "OpenAI's nesting",
        '<tool_call>{"type": "function", "function": '
        '{"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": 2}"}}</tool_call>',
        calls=(SUM,),
    ),
    Case(
        "arguments as a string",
        '<tool_call>{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call>',
        calls=(PARIS,),
    ),
    Case("fence in the block", f"<tool_call>\n```json\n{ADD}\n```\n</tool_call>", calls=(SUM,)),
    Case("list in the block (Granite)", f"<tool_call>[{ADD}, {WEATHER}]</tool_call>", calls=(SUM, PARIS)),
    Case("two objects in the block", f"<tool_call>\n{ADD}\n{WEATHER}\n</tool_call>", calls=(SUM, PARIS)),
    Case("pretty JSON", f"<tool_call>\n{json.dumps(json.loads(ADD), indent=4)}\n</tool_call>", calls=(SUM,)),
    Case("tight JSON", '<tool_call>{"name":"add","arguments":{"a":1,"b":2}}</tool_call>', calls=(SUM,)),
    Case(
        "Qwen3-Coder in the block",
        "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n2\n</parameter>\n</function>\n</tool_call>",
        calls=(SUM,),
    ),
    Case("name, then JSON (GLM)", '<tool_call>add\n{"a": 1, "b": 2}\n</tool_call>', calls=(SUM,)),
    Case("no closing tag", f"Right.\n<tool_call>\n{ADD}", "Right.", (SUM,)),
    Case("closing tag cut", f"<tool_call>\n{ADD}\n</tool_c", calls=(SUM,)),
    Case("no closing tags at all", f"<tool_call>\n{ADD}\n<tool_call>\n{WEATHER}", calls=(SUM, PARIS)),
    Case("last bracket missing", '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}</tool_call>', calls=(SUM,)),
    Case("one bracket too many", f"<tool_call>\n{ADD}}}\n</tool_call>", calls=(SUM,)),
    Case("unknown name", block("fly", to="Mars"), calls=(("fly", {"to": "Mars"}),)),
    Case("unknown argument", block("add", a=1, b=2, c=3), calls=(("add", {"a": 1, "b": 2, "c": 3}),)),
    Case(
        "only the first where calls are not parallel", f"{ADD_BLOCK}\n{WEATHER_BLOCK} end", calls=(SUM,), parallel=False
    ),
    Case("thought before", f"<think>\nAdd them.\n</think>\n\n{ADD_BLOCK}", "<think>\nAdd them.\n</think>", (SUM,)),
    Case(
        "quoted in the thought, called after it",
        f"<think>I could write {NOW_BLOCK} or add.</think>{ADD_BLOCK}",
        f"<think>I could write {NOW_BLOCK} or add.</think>",
        (SUM,),
    ),
    Case("code before", f"Given `add(1, 2)`:\n{ADD_BLOCK}", "Given `add(1, 2)`:", (SUM,)),
    Case("a fence before", f"```python\n1 + 2\n```\n{ADD_BLOCK}", "```python\n1 + 2\n```", (SUM,)),
    Case("a lone back-tick a line before", f"Here`s the call:\n{ADD_BLOCK}", "Here`s the call:", (SUM,)),
    Case("fence around the block", f"```\n{ADD_BLOCK}\n```", calls=(SUM,)),
    Case("fence around two blocks", f"```xml\n{ADD_BLOCK}\n{WEATHER_BLOCK}\n```\n", calls=(SUM, PARIS)),
    Case("thought, then a fenced block", f"<think>x</think>\n```\n{ADD_BLOCK}\n```", "<think>x</think>", (SUM,)),
    Case("windows line ends", WEATHER_BLOCK.replace("\n", "\r\n"), calls=(PARIS,)),
    Case("less-than signs before", f"If 1 < 2 and <b>so</b> on: {ADD_BLOCK}", "If 1 < 2 and <b>so</b> on:", (SUM,)),
]

ARGUMENTS = [
    Case("unicode", block("say", text="Ünïcödé 漢字 🎉 עברית"), calls=(("say", {"text": "Ünïcödé 漢字 🎉 עברית"}),)),
    Case(
        "escaped unicode",
        f"<tool_call>{json.dumps(json.loads(bare('say', text=ODD)))}</tool_call>",
        calls=(("say", {"text": ODD}),),
    ),
    Case("everything in a string", block("say", text=ODD), calls=(("say", {"text": ODD}),)),
    Case(
        "tags in a string",
        block("say", text="<tool_call></tool_call>"),
        calls=(("say", {"text": "<tool_call></tool_call>"}),),
    ),
    Case("a very long string", block("say", text=LONG), calls=(("say", {"text": LONG}),)),
    Case(
        "nested",
        block("save", data={"a": {"b": [1, [2, {"c": None}]]}, "": {}}, tags=[]),
        calls=(("save", {"data": {"a": {"b": [1, [2, {"c": None}]]}, "": {}}, "tags": []}),),
    ),
    Case(
        "numbers",
        block("save", data={"x": [0, -1, 1.5, -2.5e-3, 10**30]}),
        calls=(("save", {"data": {"x": [0, -1, 1.5, -2.5e-3, 10**30]}}),),
    ),
    Case("trailing commas", '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2,},}</tool_call>', calls=(SUM,)),
    Case(
        "single quotes",
        "<tool_call>{'name': 'get_weather', 'arguments': {'city': 'Paris'}}</tool_call>",
        calls=(PARIS,),
    ),
    Case(
        "an apostrophe in single quotes",
        "<tool_call>{'name': 'say', 'arguments': {'text': 'it's fine'}}</tool_call>",
        calls=(("say", {"text": "it's fine"}),),
    ),
    Case(
        "Python's literals",
        "<tool_call>{'name': 'save', 'arguments': {'data': {'x': None}, 'sure': True}}</tool_call>",
        calls=(("save", {"data": {"x": None}, "sure": True}),),
    ),
    Case(
        "typographic quotes",
        "<tool_call>{“name”: “get_weather”, “arguments”: {“city”: “Paris”}}</tool_call>",
        calls=(PARIS,),
    ),
    Case(
        "names without quotes",
        '<tool_call>{name: "add", arguments: {a: 1, b: 2}}</tool_call>',
        calls=(SUM,),
    ),
    Case(
        "line ends in a string",
        '<tool_call>{"name": "say", "arguments": {"text": "one\ntwo\tthree"}}</tool_call>',
        calls=(("say", {"text": "one\ntwo\tthree"}),),
    ),
    Case(
        "quotes without an escape",
        '<tool_call>{"name": "say", "arguments": {"text": "he said "hi" to me"}}</tool_call>',
        calls=(("say", {"text": 'he said "hi" to me'}),),
    ),
    Case(
        "a back-slash that escapes nothing",
        '<tool_call>{"name": "search", "arguments": {"query": "\\d+\\."}}</tool_call>',
        calls=(("search", {"query": "\\d+\\."}),),
    ),
    Case("text for numbers", block("add", a="1", b=" 2 "), calls=(SUM,)),
    Case("a round float for an integer", block("add", a=1.0, b=2), calls=(SUM,)),
    Case("text that is no number", block("add", a="one", b="2.5"), calls=(("add", {"a": "one", "b": "2.5"}),)),
    Case("a number for text", block("get_weather", city=75001), calls=(("get_weather", {"city": "75001"}),)),
    Case("text stays text", block("say", text="[1, 2]"), calls=(("say", {"text": "[1, 2]"}),)),
    Case("digits stay text", block("get_weather", city="007"), calls=(("get_weather", {"city": "007"}),)),
    Case("true stays text", block("say", text="true"), calls=(("say", {"text": "true"}),)),
    Case(
        "stringified members",
        block("save", data='{"x": 1}', tags='["a", "1"]', sure="True", ratio="0.5"),
        calls=(("save", {"data": {"x": 1}, "tags": ["a", "1"], "sure": True, "ratio": 0.5}),),
    ),
    Case("text for null", block("search", query="x", limit="null"), calls=(("search", {"query": "x", "limit": None}),)),
]
