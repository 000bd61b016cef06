"""The words of the prompt grammar, which its writer and its reader share."""

LABELS = {"system": "System", "human": "User", "ai": "Assistant", "tool": "Tool"}
"""The label that begins a turn, for each role."""

CALL_START, CALL_END = "<tool_call>", "</tool_call>"
"""The lines around a tool call, in history and in replies."""

BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Every character that some reader takes for a line end, as str.splitlines does."""
