"""The beginning of a reply that must be a call, which is written for the model: models go on with what has begun."""

import json
import re
from collections.abc import Sequence

from langchain_darkai._tool_calls.tools import Tool, ToolChoice
from langchain_darkai.prompts import CALL_START


class Prefill:
    """The text that stands in the prompt where the reply begins, and whether a reply goes on with it.

    With one tool that can be called, it goes up to the first argument; with several, up to the tool's name. A model
    that takes no beginning writes a reply of its own: a whole block, bare arguments, or text.

    Example:
        >>> prefill = Prefill([Tool("now", "", {"properties": {"zone": {}}})], ToolChoice("required", "now"))
        >>> prefill.text
        '<tool_call>\\n{"name": "now", "arguments": {'
        >>> prefill.is_continued_by('"zone": "UTC"}}'), prefill.is_continued_by("It is"), prefill.is_continued_by("zo")
        (True, False, None)
    """

    def __init__(self, tools: Sequence[Tool], choice: ToolChoice) -> None:
        name = choice.name
        parameters = [str(key) for tool in tools for key in tool.parameters.get("properties", {})]
        if name is None:
            self.text = f'{CALL_START}\n{{"name": "'
            self._first = [f'{json.dumps(tool.name, ensure_ascii=False)[1:-1]}"' for tool in tools]
        else:
            self.text = f'{CALL_START}\n{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": {{'
            # As near-JSON, the names of arguments may stand in other quotes, or in none.
            self._first = ['"', "'", "}", *(f"{key}:" for key in parameters)]

    def is_continued_by(self, reply: str) -> bool | None:
        """Return whether a reply goes on with the text; None until enough of it has come."""
        written = re.sub(r"\s+(?=:)|^\s+", "", reply)
        if any(written.startswith(first) for first in self._first):
            return True
        return None if any(first.startswith(written.rstrip()) for first in self._first) else False
