"""Calls that are only shown, in thoughts and in arguments, and arguments in tags."""

from tests.support.replies.case import ADD, ADD_BLOCK, NOW, NOW_BLOCK, PARIS, SUM, Calls, Case, bare, text
from tests.support.replies.written import minimax_m3

ARGUMENTS = '{"a": 1, "b": 2}'
QWEN = "<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n2\n</parameter>\n</function>"
QWEN_BLOCK = f"<tool_call>\n{QWEN}\n</tool_call>"
HARMONY_CALL = (
    f"<|start|>assistant<|channel|>commentary to=functions.add <|constrain|>json<|message|>{ARGUMENTS}<|call|>"
)


def wrote(content: str) -> Calls:
    return (("write_file", {"path": "a.md", "content": content}),)


def qwen_file(content: str) -> str:
    return (
        "<tool_call>\n<function=write_file>\n<parameter=path>\na.md\n</parameter>\n"
        f"<parameter=content>\n{content}\n</parameter>\n</function>\n</tool_call>"
    )


THOUGHT_MARKS = {
    "think": ("<think>", "</think>"),
    "Mistral": ("[THINK]", "[/THINK]"),
    "Seed-OSS": ("<seed:think>", "</seed:think>"),
    "MiniMax M3": ("<mm:think>", "</mm:think>"),
    "LongCat": ("<longcat_think>", "</longcat_think>"),
    "Hy3": ("<think:opensource>", "</think:opensource>"),
    "Cohere": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "Apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "MiniCPM 3": ("<|thought_start|>\n", "\n<|thought_end|>"),
    "Gemma 4": ("<|channel>thought\n", "<channel|>"),
    "Kimi K3": ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    "Kimi VL": ("◁think▷", "◁/think▷"),
    "Solar": ("<|think|>", "<|end|>"),
    "harmony": ("<|channel|>analysis<|message|>", "<|end|>"),
    "harmony with its start": ("<|start|>assistant<|channel|>analysis<|message|>", "<|end|>"),
}

THOUGHTS = [
    row
    for name, (opens, closes) in THOUGHT_MARKS.items()
    for row in (
        text(f"a thought of {name} about a call", f"{opens}Maybe {ADD_BLOCK}, no.{closes}It is 3."),
        text(f"a thought of {name} about calls of others", f"{opens}[TOOL_CALLS] [{ADD}] {QWEN}\n{ADD}{closes}3"),
        text(f"a thought of {name} without an end", f"{opens}Maybe {ADD_BLOCK} {HARMONY_CALL[40:]}"),
        Case(
            f"a thought of {name}, then a call",
            f"{opens}Add {NOW_BLOCK}.{closes}\n{ADD_BLOCK}",
            f"{opens}Add {NOW_BLOCK}.{closes}",
            (SUM,),
        ),
        Case(f"a thought of {name}, then bare JSON", f"{opens}Add.{closes}\n{ADD}", f"{opens}Add.{closes}", (SUM,)),
    )
] + [
    text(
        "harmony's analysis and answer",
        "<|channel|>analysis<|message|>1 + 2<|end|><|start|>assistant<|channel|>final<|message|>3",
    ),
    text("a thought that begins a line", f"So:\n<think>Maybe {ADD_BLOCK}.</think> no."),
    text("two thoughts on a line", f"So:\n <think>1</think> <think>Maybe {ADD_BLOCK}.</think> no."),
    Case("a thought after a call", f"{ADD_BLOCK} <think>Maybe {NOW_BLOCK}.", f"<think>Maybe {NOW_BLOCK}.", (SUM,)),
    text(
        "a header of a call within harmony's analysis",
        f"<|channel|>analysis<|message|>Maybe {HARMONY_CALL[18:]} no.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>3",
    ),
    text(
        "a header of a call within harmony's analysis, without an end",
        f"<|channel|>analysis<|message|>{HARMONY_CALL[18:]}",
    ),
    text("a thought that the prompt has opened", "Let me think.\n</think>\n\nIt is 3."),
    Case(
        "a thought that the prompt has opened, then a call",
        f"I add `x`.\n</think>\n\n{ADD_BLOCK}",
        "I add `x`.\n</think>",
        (SUM,),
    ),
    Case("a thought that the prompt has opened, then bare JSON", f"I add.</think>[{ADD}]", "I add.</think>", (SUM,)),
    Case("a thought of Mistral that the prompt has opened", f"I add.[/THINK]add{ARGUMENTS}", "I add.[/THINK]", (SUM,)),
    text("the end of a thought in prose", f"It ends with </think>, or (</THINK>) and </think>. `{ADD}`"),
    text("marks of a thought in prose", f"Write <think>so</think>\n\nor\n<{ADD[1:]}"),
    text("analysis and answer without marks", f"analysisMaybe {ADD_BLOCK}.assistantfinalIt is 3."),
    text("a word that begins like analysis", "analysis of the data shows 3."),
    text("the word analysis", "analysis"),
    text("analysis without marks, in lower case", f"analysisthe user wants {ADD_BLOCK}assistantfinal3"),
    text("analyst, not analysis", "analysts say 3."),
    Case(
        "analysis without marks, then a call",
        f"analysisWe add.assistantcommentary to=functions.add json{ARGUMENTS}",
        "analysisWe add.",
        (SUM,),
    ),
    Case("harmony without marks", f"commentary to=functions.add json{ARGUMENTS}", calls=(SUM,)),
    Case("harmony without marks or blanks", f"assistantcommentary to=functions.addjson{ARGUMENTS}", calls=(SUM,)),
    Case(
        "harmony's preamble, then a call",
        f"<|channel|>commentary<|message|>I will add.<|end|>{HARMONY_CALL}",
        "<|channel|>commentary<|message|>I will add.<|end|>",
        (SUM,),
    ),
    text(
        "harmony, a tool that is built in", '<|channel|>commentary to=browser.search <|message|>{"query": "x"}<|call|>'
    ),
]

SHOWN = [
    Case("Qwen XML that shows a call", qwen_file(f"# Calls\n{QWEN_BLOCK}"), calls=wrote(f"# Calls\n{QWEN_BLOCK}")),
    Case("Qwen XML that shows two", qwen_file(f"{QWEN_BLOCK}\n{QWEN}\n."), calls=wrote(f"{QWEN_BLOCK}\n{QWEN}\n.")),
    Case(
        "Qwen XML that shows our calls",
        qwen_file(f"{ADD_BLOCK}\n{ADD_BLOCK}"),
        calls=wrote(f"{ADD_BLOCK}\n{ADD_BLOCK}"),
    ),
    Case(
        "Qwen XML that mentions tags",
        qwen_file("a </parameter> b </function> c <function=x> d </tool_call> e"),
        calls=wrote("a </parameter> b </function> c <function=x> d </tool_call> e"),
    ),
    Case(
        "a list whose text shows its end and a call",
        f"<tool_calls>[{bare('write_file', path='a.md', content=f'</tool_calls> {ADD_BLOCK}')}]</tool_calls>",
        calls=wrote(f"</tool_calls> {ADD_BLOCK}"),
    ),
    Case(
        "a function tag whose JSON shows its end",
        f'<function=say>{{"text": "</function> {NOW_BLOCK[:11]} x"}}</function>',
        calls=(("say", {"text": f"</function> {NOW_BLOCK[:11]} x"}),),
    ),
    Case(
        "Mistral's list whose text shows its end",
        f"[TOOL_CALLS] [{bare('say', text=f'</s>[/TOOL_CALLS] {ADD_BLOCK}')}]</s>",
        calls=(("say", {"text": f"</s>[/TOOL_CALLS] {ADD_BLOCK}"}),),
    ),
    Case(
        "our block, the arguments first, that shows its end",
        '<tool_call>{"arguments": {"text": "</tool_call> x"}, "name": "say"}</tool_call>',
        calls=(("say", {"text": "</tool_call> x"}),),
    ),
    Case(
        "Python that shows a list's end",
        '<|tool_call_start|>[say(text="]<|tool_call_end|> (\'")]<|tool_call_end|>',
        calls=(("say", {"text": "]<|tool_call_end|> ('"}),),
    ),
    text(
        "a tool that is not bound, whose text shows a call",
        f"<function=fly>\n<parameter=to>\n{ADD_BLOCK}\n</parameter>\n</function>",
    ),
    text(
        "a tool of Kimi that is not bound, whose text shows a call",
        f"<|tool_call_begin|>functions.fly:0<|tool_call_argument_begin|>{bare('x', to=ADD_BLOCK)}<|tool_call_end|>",
    ),
    text(
        "a list of a tool that is not bound, whose text shows a call",
        f"<tool_calls>[{bare('fly', to=ADD_BLOCK)}]</tool_calls>",
    ),
]

TAGS = [
    Case(
        "Qwen XML, the end of a value missing",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
        calls=(("get_weather", {"city": "Oslo", "days": 3}),),
    ),
    Case(
        "Qwen XML, the end of the last value missing",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</function>\n</tool_call>",
        invalid=(("get_weather", "Oslo"),),
    ),
    Case(
        "Qwen XML that shows an argument of the same tool",
        "<function=write_file>\n<parameter=content>\n<parameter=path>\nx\n</parameter>\n</parameter>\n"
        "<parameter=path>\ny\n</parameter>\n</function>",
        invalid=(("write_file", "<parameter=path>"),),
    ),
    Case(
        "Qwen XML that shows an argument of the same tool, and lacks it",
        "<function=write_file>\n<parameter=content>\n<parameter=path>\nx\n</parameter>\n</parameter>\n</function>",
        invalid=(("write_file", "<parameter=path>"),),
    ),
    Case("Python in marks, cut", "<|tool_call_start|>[add(a=1, b", invalid=(("add", "a=1"),)),
    Case("Qwen XML, CR LF", QWEN_BLOCK.replace("\n", "\r\n"), calls=(SUM,)),
    Case(
        "Qwen XML, CR LF in a text",
        "<function=say>\r\n<parameter=text>\r\none\r\ntwo\r\n</parameter>\r\n</function>\r\n",
        calls=(("say", {"text": "one\ntwo"}),),
    ),
    Case(
        "invoke, CR LF",
        '<invoke name="say">\r\n<parameter name="text">one\r\ntwo</parameter>\r\n</invoke>',
        calls=(("say", {"text": "one\ntwo"}),),
    ),
    Case(
        "Qwen XML on one line",
        "<function=add><parameter=a>1</parameter><parameter=b>2</parameter></function>",
        calls=(SUM,),
    ),
    Case("Qwen XML, blank lines in a text", qwen_file("\n\na\n\n"), calls=wrote("\n\na\n\n")),
    Case("Qwen XML, JSON in a text", qwen_file('{"x": [1]}'), calls=wrote('{"x": [1]}')),
    Case(
        "Qwen XML, an object",
        "<function=save>\n<parameter=data>\n{'x': None}\n</parameter>\n"
        "<parameter=sure>\nTrue\n</parameter>\n</function>",
        calls=(("save", {"data": {"x": None}, "sure": True}),),
    ),
    Case("Qwen XML, no arguments", "<tool_call>\n<function=now>\n</function>\n</tool_call>", calls=(NOW,)),
    Case("Qwen XML in a fence", f"```xml\n{QWEN}\n```", calls=(SUM,)),
    Case("Qwen XML, two in a block", f"<tool_call>\n{QWEN}\n{QWEN}\n</tool_call>", calls=(SUM, SUM)),
    Case(
        "Qwen XML, an unknown name in our block",
        QWEN_BLOCK.replace("add", "fly"),
        calls=(("fly", {"a": "1", "b": "2"}),),
    ),
    Case(
        "Qwen XML, a tag that is none",
        "<function=add>\n<parameter=a>\n1\n</parameter>\nand so on",
        invalid=(("add", "1"),),
    ),
    Case("Qwen XML, the function's end missing", QWEN_BLOCK.replace("</function>\n", ""), calls=(SUM,)),
    Case(
        "MiniMax M3, lists and objects",
        minimax_m3([("save", {"data": {"x": {"y": "1"}}, "tags": ["a", "b"], "sure": True, "ratio": 0.5})]),
        calls=(("save", {"data": {"x": {"y": "1"}}, "tags": ["a", "b"], "sure": True, "ratio": 0.5}),),
    ),
    Case("Gemma 4, Python", "<|tool_call>call:add(a=1, b=2)<tool_call|>", calls=(SUM,)),
    Case("GLM without arguments", "<tool_call>now\n</tool_call>", calls=(NOW,)),
    Case(
        "GLM on one line",
        "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Paris</arg_value></tool_call>",
        calls=(PARIS,),
    ),
    Case("GLM cut", "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n", invalid=(("add", "1"),)),
    Case(
        "CDATA",
        '<function name="say"><param name="text"><![CDATA[a <b> &\nc]]></param></function>',
        calls=(("say", {"text": "a <b> &\nc"}),),
    ),
    Case(
        "any prefix without tags around",
        'So:\n<acme:invoke name="get_weather"><acme:parameter name="city">Paris</acme:parameter></acme:invoke>',
        "So:",
        (PARIS,),
    ),
    Case("invoke in our block", '<tool_call><invoke name="now"></invoke></tool_call>', calls=(NOW,)),
    text("a tag with a prefix in HTML", '<svg:rect width="1"/>\n<fb:like>x</fb:like>\n<a:b'),
]
