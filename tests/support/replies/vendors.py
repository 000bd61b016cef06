"""Replies in the formats of vendors that have been read the longest."""

from tests.support.replies.case import ADD, NOW, PARIS, SUM, WEATHER, Case, bare, text

TAGGED = [
    Case("function tag (Llama)", '<function=get_weather>{"city": "Paris"}</function>', calls=(PARIS,)),
    Case(
        "function tag after prose", 'Looking.\n<function=get_weather>{"city": "Paris"}</function>', "Looking.", (PARIS,)
    ),
    Case("function tag without arguments", "<function=now></function>", calls=(NOW,)),
    Case(
        "two function tags", '<function=add>{"a": 1, "b": 2}</function>\n<function=now>{}</function>', calls=(SUM, NOW)
    ),
    Case(
        "function and parameter tags (Qwen3-Coder)",
        "<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>",
        calls=(("get_weather", {"city": "Paris", "days": 3}),),
    ),
    Case(
        "parameter tags keep text as it is",
        '<function=say><parameter=text>a < b\n  "c"</parameter></function>',
        calls=(("say", {"text": 'a < b\n  "c"'}),),
    ),
    Case(
        "function tag cut between parameters",
        "<function=add><parameter=a>1</parameter>",
        invalid=(("add", "<parameter=a>1"),),
    ),
    text("function tag cut in the name", "Then <function=ad"),
    text("function tag cut before the name", "Then <function="),
    Case("function tag cut", '<function=add>{"a": 1, "b"', invalid=(("add", '{"a": 1, "b"'),)),
    Case("python tag, JSON (Llama 3.1)", '<|python_tag|>{"name": "add", "parameters": {"a": 1, "b": 2}}', calls=(SUM,)),
    Case("python tag, Python", '<|python_tag|>get_weather.call(city="Paris")', calls=(PARIS,)),
    Case("python tag with an end", '<|python_tag|>get_weather(city="Paris")<|eom_id|>', calls=(PARIS,)),
    Case(
        "python tag, two calls",
        '<|python_tag|>{"name": "add", "parameters": {"a": 1, "b": 2}}; {"name": "now", "parameters": {}}',
        calls=(SUM, NOW),
    ),
    Case(
        "python tag cut", '<|python_tag|>{"name": "add", "parameters": {"a": 1, "b"', invalid=(("add", '"a": 1, "b"'),)
    ),
    Case("Mistral's list", f"[TOOL_CALLS] [{ADD}, {WEATHER}]", calls=(SUM, PARIS)),
    Case("Mistral's list with an end", f"[TOOL_CALLS][{ADD}]</s>", calls=(SUM,)),
    Case("Mistral's name and object", '[TOOL_CALLS]add{"a": 1, "b": 2}', calls=(SUM,)),
    Case("Mistral's ARGS", '[TOOL_CALLS]add[ARGS]{"a": 1, "b": 2}', calls=(SUM,)),
    Case(
        "Mistral's ARGS twice",
        '[TOOL_CALLS]add[ARGS]{"a": 1, "b": 2}[TOOL_CALLS]now[ARGS]{}',
        calls=(SUM, NOW),
    ),
    Case("Mistral after prose", f"One moment. [TOOL_CALLS] [{ADD}]", "One moment.", (SUM,)),
    Case(
        "Mistral's list cut",
        '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1',
        invalid=(("add", '"arguments": {"a": 1'),),
    ),
    Case(
        "Mistral's list cut in the second call",
        f'[TOOL_CALLS] [{ADD}, {{"name": "now", "argu',
        invalid=(("add", '"name": "now", "argu'),),
    ),
    Case("function_call", f"<function_call>{ADD}</function_call>", calls=(SUM,)),
    Case("function_call after prose", f"Sure.\n<function_call>\n{ADD}\n</function_call>", "Sure.", (SUM,)),
    Case(
        "function_call cut",
        '<function_call>{"name": "add", "arguments": {"a": 1, "b"',
        invalid=(("add", '"a": 1, "b"'),),
    ),
    Case("tool_calls", f"<tool_calls>\n[{ADD}, {WEATHER}]\n</tool_calls>", calls=(SUM, PARIS)),
    Case("Granite and Phi", f"<|tool_call|>[{ADD}]<|/tool_call|>", calls=(SUM,)),
    Case("Granite without an end", f"<|tool_call|>[{ADD}, {WEATHER}]", calls=(SUM, PARIS)),
    Case(
        "Granite and Phi twice",
        f"<|tool_call|>[{ADD}]<|/tool_call|>\n<|tool_call|>[{WEATHER}]<|/tool_call|>",
        calls=(SUM, PARIS),
    ),
    Case(
        "Granite 20B, two calls and the text's end",
        f"<function_call> {ADD}\n<function_call> {WEATHER}<|endoftext|>",
        calls=(SUM, PARIS),
    ),
    Case("LongCat, a turn's end", f"<longcat_tool_call>{ADD}</longcat_tool_call></longcat_s>", calls=(SUM,)),
    Case("our block in capitals", f"<TOOL_CALL>{ADD}</TOOL_CALL> so", "so", (SUM,)),
    Case("our block in capitals, a list", f"<TOOL_CALL>[{ADD}]</TOOL_CALL>", calls=(SUM,)),
    Case("our block in capitals, empty", "<TOOL_CALL></TOOL_CALL>", invalid=((None, ""),)),
    Case(
        "our block, a prefix before the name",
        f"<tool_call>{ADD.replace('add', 'functions.add')}</tool_call>",
        calls=(SUM,),
    ),
    Case(
        "our block, a prefix before the name of no tool",
        '<tool_call>{"name": "functions.fly", "arguments": {}}</tool_call>',
        calls=(("functions.fly", {}),),
    ),
    Case(
        "our block, a prefix and other members",
        '<tool_call>{"id": "1", "name": "functions.add", "arguments": {"a": 1, "b": 2}}</tool_call>',
        calls=(SUM,),
    ),
    *(
        Case(
            f"DeepSeek, calls in {mark}",
            f'{mark}<｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{{"a": 1, "b": 2}}\n```'
            "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            calls=(SUM,),
        )
        for mark in ("<｜tool▁calls｜>", "<｜tool calls begin｜>", "<｜tool\\_calls\\_begin｜>")
    ),
    Case(
        "Kimi, a section in the singular",
        "<|tool_call_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>"
        '{"a": 1, "b": 2}<|tool_call_end|><|tool_call_section_end|>',
        calls=(SUM,),
    ),
    Case(
        "functionary, two calls, the first mark in the prompt",
        'add\n{"a": 1, "b": 2}>>>get_weather\n{"city": "Paris"}',
        calls=(SUM, PARIS),
    ),
    Case(
        "functionary, text and a call, the first mark in the prompt",
        'all\nLet me `look`.>>>add\n{"a": 1, "b": 2}',
        "all\nLet me `look`.",
        (SUM,),
    ),
    text("Python's prompt after the word all", "all\nof it:\n>>> add(1, 2)\n>>>add\n<function add>"),
    text("All", "All\nof it >>> that."),
    Case(
        "harmony, the first mark in the prompt",
        ' to=functions.add<|channel|>commentary <|constrain|>json<|message|>{"a": 1, "b": 2}<|call|>',
        calls=(SUM,),
    ),
    text("harmony's recipient in prose", "to=functions.add is how gpt-oss names a tool."),
    text("function tag of another tool", '<function=fly>{"to": "Mars"}</function>'),
    text("function tag half written", "A <function= attribute."),
    text("Mistral's list of another tool", f"[TOOL_CALLS] [{bare('fly', to='Mars')}]"),
    text("python tag before Python", "<|python_tag|>import math\nprint(math.pi)"),
    text("TOOL_CALLS in prose", "The token [TOOL_CALLS] comes before Mistral's calls."),
    text("python_tag in prose", "Llama writes <|python_tag|> before code."),
    text("function_call in prose", "Old models wrote <function_call> tags."),
    text("tag with a call and more", f"[TOOL_CALLS] [{ADD}] is how Mistral writes it.", cut=(SUM,)),
]
