"""The words of the prompt grammar, which its writer and its reader share."""

LABELS = {"system": "System", "human": "User", "ai": "Assistant", "tool": "Tool"}
"""The label that begins a turn, for each role."""

CALL_START = "<tool_call>"
"""The line before a tool call, in history and in replies."""

CALL_END = "</tool_call>"
"""The line after one."""

BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Every character that some reader takes for a line end, as str.splitlines does."""
