"""The wire format of the DarkAI chat API, both ways, without input or output of its own.

A request is a POST of one JSON object to `/chat`: the whole prompt, the model's name, and further parameters.

    {"query": "Hello", "model": "llama-3-70b", "temperature": 0}

The reply is a stream of lines. An event is a JSON object on a line that starts with `data:`

    data: {"event": "text-chunk", "data": {"text": "Hel"}}
    data: {"event": "final-response", "data": {"message": "Hello"}}
    data: {"event": "stream-end", "data": {"usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}}}

- `text-chunk` brings a piece of the reply's text.
- `reasoning-chunk` (optional) brings a piece of the model's thoughts, which are no part of its answer.
- `final-response` (optional) repeats the whole text; what the chunks lacked is added.
- `stream-end` makes the reply complete; without it, the reply is truncated. Its usage is optional, and
  so are the usage's "input_token_details" and "output_token_details", and its "finish_reason": "stop", "length",
  "tool_calls" or "content_filter".
- `error` reports a failure during the reply. Its data has a "message", and where known "type", "status" and
  "retry_after" in seconds: see `encode_error`.
- Other events are ignored.

A failure before the reply is an HTTP status, with the same members under "error" in a JSON body.

Lines are those of https://html.spec.whatwg.org/multipage/server-sent-events.html, with two differences that servers
were seen to need: no blank line is needed between events, and a line without `data:` continues an event whose JSON is
not complete.
"""

from langchain_darkai.protocol.codec import (
    ChatRequest,
    decode_request,
    encode_event,
    encode_reply_event,
    encode_request,
)
from langchain_darkai.protocol.decoder import MAX_EVENT_BYTES, MAX_REPLY_BYTES, EventDecoder
from langchain_darkai.protocol.events import Decoded, FinishReason, ReasoningText, StreamEnd, StreamFailure, Usage
from langchain_darkai.protocol.lines import LineDecoder, LineFault
from langchain_darkai.protocol.wire_errors import (
    ReportedError,
    encode_error,
    error_class_for_status,
    error_class_for_wire_type,
    hint_for,
    reported_error,
    status_for_error,
    wire_error_type,
)

__all__ = [
    "MAX_EVENT_BYTES",
    "MAX_REPLY_BYTES",
    "ChatRequest",
    "Decoded",
    "EventDecoder",
    "FinishReason",
    "LineDecoder",
    "LineFault",
    "ReasoningText",
    "ReportedError",
    "StreamEnd",
    "StreamFailure",
    "Usage",
    "decode_request",
    "encode_error",
    "encode_event",
    "encode_reply_event",
    "encode_request",
    "error_class_for_status",
    "error_class_for_wire_type",
    "hint_for",
    "reported_error",
    "status_for_error",
    "wire_error_type",
]
