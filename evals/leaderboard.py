"""The Berkeley Function Calling Leaderboard (PyPI: bfcl-eval): its questions, its prompt, and its check of calls."""

import ast
import importlib.util
import json
import operator
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

ANSWERED = ("simple_python", "multiple", "parallel", "live_simple", "live_multiple")
IRRELEVANT = ("irrelevance", "live_irrelevance")
"""The categories whose questions none of the tools can answer."""
CATEGORIES = (
    "simple_python",
    "multiple",
    "parallel",
    "irrelevance",
    "live_simple",
    "live_multiple",
    "live_irrelevance",
)

Call = tuple[str, dict[str, Any]]
"""A tool's name and its arguments."""

_JSON_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
"""The types of the leaderboard's schemas that JSON Schema does not know."""


class Question(NamedTuple):
    """A question of a category; `functions` are its tools as the leaderboard writes them, `answer` is None for none."""

    id: str
    category: str
    messages: list[dict[str, str]]
    functions: list[dict[str, Any]]
    answer: list[dict[str, Any]] | None

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools in OpenAI's form."""
        return [
            {
                "type": "function",
                "function": {
                    "name": function["name"],
                    "description": function["description"],
                    "parameters": _as_json_schema(function["parameters"]),
                },
            }
            for function in self.functions
        ]


def questions(category: str, sample: int) -> list[Question]:
    """Return so many questions of a category, evenly spread, or all where there are fewer.

    Only those with an even number: the odd ones are kept for a check of what the even ones led to.
    """
    rows = [row for row in _rows(f"BFCL_v4_{category}.json") if _number(row["id"], category) % 2 == 0]
    count = min(sample, len(rows))
    chosen = [rows[place * len(rows) // count] for place in range(count)]
    answers = {}
    if category not in IRRELEVANT:
        answers = {row["id"]: row["ground_truth"] for row in _rows(f"possible_answer/BFCL_v4_{category}.json")}
    return [
        Question(row["id"], category, row["question"][0], row["function"], answers.get(row["id"])) for row in chosen
    ]


def is_right(question: Question, calls: list[Call]) -> bool:
    """Return whether the leaderboard takes these calls for an answer to a question that has one."""
    python, check = _checker()
    output = [{name: arguments} for name, arguments in calls]
    try:
        verdict = check(question.functions, output, question.answer, python, question.category, "any")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return False  # values of a shape that the check does not expect
    return bool(verdict["valid"])


def with_prompt(question: Question) -> list[dict[str, str]]:
    """Return a question's messages with the leaderboard's prompt for models without tool calling."""
    prompt = tools_prompt(question.functions)
    first, *rest = question.messages
    if first["role"] == "system":
        return [{**first, "content": f"{prompt}\n\n{first['content']}"}, *rest]
    return [{"role": "system", "content": prompt}, first, *rest]


def tools_prompt(functions: list[dict[str, Any]]) -> str:
    """Return the leaderboard's prompt, in its default format."""
    import bfcl_eval.constants.default_prompts as prompts

    style = prompts.PROMPT_STYLE_TEMPLATES["classic"]
    call_format = style["tool_call_no_tag"].format(
        output_format=prompts.OUTPUT_FORMAT_MAPPING["python"], param_types=prompts.PARAM_TYPE_MAPPING["python"]
    )
    prompt: str = prompts.PROMPT_TEMPLATE_MAPPING["plaintext"].format(
        persona=style["persona"],
        task=style["task"],
        tool_call_format=call_format,
        multiturn_behavior=style["multiturn_behavior"],
        available_tools=style["available_tools"].format(format="json", functions=json.dumps(functions, indent=4)),
    )
    return prompt


def calls_in(reply: str) -> list[Call]:
    """Return the calls of a reply to the leaderboard's prompt, which asks for `[name(parameter=value), ...]`.

    Reads what the leaderboard's own decoder reads, but runs nothing of what a model wrote.

    Raises ValueError where a reply is something else, as prose is.
    """
    text = reply.strip("`\n ")
    text = text if text.startswith("[") else f"[{text}"
    text = text if text.endswith("]") else f"{text}]"
    try:
        body = ast.parse(text.strip().strip("'"), mode="eval").body
    except (MemoryError, RecursionError, SyntaxError) as error:
        raise ValueError("This is no list of calls.") from error
    elements = [body] if isinstance(body, ast.Call) else getattr(body, "elts", None)
    if elements is None:
        raise ValueError("This is no list of calls.")
    return [_call(element) for element in elements]


def _call(node: ast.expr) -> Call:
    if not isinstance(node, ast.Call):
        raise ValueError(f"{ast.unparse(node)} is no call.")  # noqa: TRY004 - the text is wrong, not its type
    parts, function = [], node.func
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if isinstance(function, ast.Name):
        parts.append(function.id)
    return ".".join(reversed(parts)), {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}


def _value(node: ast.expr | None) -> Any:
    match node:
        case ast.Constant(value=value):
            return "..." if value is Ellipsis else value
        case ast.List(elts=elements):
            return [_value(element) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_value(element) for element in elements)
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True)}
        case ast.Name(id=name):
            return name
        case ast.UnaryOp() | ast.BinOp():
            return _number_of(node)
        case ast.Call(keywords=[]) | ast.Subscript():
            return ast.unparse(node)
        case ast.Call():
            name, arguments = _call(node)
            return {name: arguments}
    raise ValueError("This is no value.")


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
"""Not the powers: `9**9**9` would never end."""


def _number_of(node: ast.expr) -> Any:
    """Return the result of a calculation, such as -3 or 2 * 1000."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number_of(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _number_of(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            try:
                return _OPERATORS[type(op)](_number_of(left), _number_of(right))
            except ArithmeticError as error:
                raise ValueError("This cannot be calculated.") from error
    raise ValueError("This is no calculation.")


def _as_json_schema(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            name: _JSON_TYPES.get(value, value) if name == "type" and isinstance(value, str) else _as_json_schema(value)
            for name, value in schema.items()
        }
    return [_as_json_schema(value) for value in schema] if isinstance(schema, list) else schema


def _number(question_id: str, category: str) -> int:
    """Return the first number of an id, such as 17 of "live_simple_17-3-11"."""
    found = re.match(r"_(\d+)", question_id.removeprefix(category))
    assert found is not None, question_id
    return int(found[1])


@cache
def _rows(name: str) -> list[dict[str, Any]]:
    spec = importlib.util.find_spec("bfcl_eval")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("bfcl-eval is not installed; `make eval` installs it.")
    text = (Path(spec.origin).parent / "data" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@cache
def _checker() -> tuple[Any, Callable[..., dict[str, Any]]]:
    """Return the leaderboard's mark for Python, and its check.

    The check asks a table of models whether to expect names without dots. That table would import the client libraries
    of twenty providers; ours, in its place, says no for every model.
    """

    class Models(dict[str, Any]):
        def __missing__(self, _name: str) -> Any:
            return type("Model", (), {"underscore_to_dot": False})

    table = ModuleType("bfcl_eval.constants.model_config")
    table.__dict__["MODEL_CONFIG_MAPPING"] = Models()
    sys.modules[table.__name__] = table
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker

    return Language.PYTHON, ast_checker
