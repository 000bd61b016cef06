"""The ways in which a structured answer is asked for."""

from typing import Literal

Method = Literal["json_schema", "function_calling", "json_mode"]
"""`json_schema` shows the schema, `function_calling` offers it as a tool, `json_mode` leaves it to the prompt."""
