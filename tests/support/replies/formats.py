"""Replies in every format: one call, several, with text and thoughts around them, and where they are only shown."""

from tests.support.replies.case import ADD_BLOCK, Calls, Case, text
from tests.support.replies.written import AT_START, VARIANTS, WRITERS, Writer

PARIS: Calls = (("get_weather", {"city": "Paris", "days": 3}),)
SEVERAL: Calls = (
    ("get_weather", {"city": "Zürich, 漢字 🎉", "days": 1}),
    ("say", {"text": "007"}),
    ("add", {"a": 1, "b": -2}),
)
ODD = "a < b, 'it''s' & [x], {y}: 1 # no\n\n  \\d+ </b> \"q\""
DEEP: Calls = (("save", {"data": {"x": [1, {"y": None}], "z": "true"}, "tags": ["a", "1"], "sure": True}),)


def of_format(name: str, write: Writer) -> list[Case]:
    """Return the rows of a format."""
    one = write(list(PARIS))
    rows = [
        Case(f"{name}: a call", one, calls=PARIS),
        Case(f"{name}: several calls", write(list(SEVERAL)), calls=SEVERAL),
        Case(f"{name}: after a thought", f"<think>Hm: {one}</think>\n{one}", f"<think>Hm: {one}</think>", PARIS),
        Case(f"{name}: odd text", write([("say", {"text": ODD})]), calls=(("say", {"text": ODD}),)),
        text(
            f"{name}: a fence that shows it",
            f"So:\n```text\n{one}\n```\nThat is how.",
            cut=PARIS if name in CUT else (),
        ),
    ]
    if name != "MiniMax M3":  # in which all is text, and an object's members are of no known type
        rows.append(Case(f"{name}: nested values", write(list(DEEP)), calls=DEEP))
    if name not in AT_START:
        rows.append(Case(f"{name}: after text", f"Let me look.\n{one}", "Let me look.", PARIS))
    if "tool_call>" not in one or "<tool_call|>" in one or ":tool_call>" in one or "longcat" in one:
        rows.append(text(f"{name}: a tool that is not bound", write([("fly", {"to": "Mars"})])))
    if name not in SHOW_NOTHING:
        shown = {"path": "how.md", "content": f"# How to call\n{write(list(SEVERAL))}\nor\n{ADD_BLOCK}\n{one}\nso."}
        rows.append(
            Case(
                f"{name}: calls that an argument shows", write([("write_file", shown)]), calls=(("write_file", shown),)
            )
        )
    return rows


CUT = {"Llama 3's bare JSON", "xLAM"}
"""The formats that count after other text, too, if the reply ends with them."""

SHOW_NOTHING = {"Gemma 4", "FunctionGemma", "MiniMax M3"}
"""The formats in which a text cannot show their own calls: what ends a text has no escape."""

VARIED = [Case(f"{name}: calls", write(list(SEVERAL)), calls=SEVERAL) for name, write in VARIANTS.items()]

FORMATS = [*VARIED] + [row for name, write in WRITERS.items() for row in of_format(name, write)]
