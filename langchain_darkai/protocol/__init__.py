"""The wire format of the DarkAI chat API: requests, events and errors, with no input or output of its own."""

from langchain_darkai.protocol.codec import ChatRequest, decode_request, encode_event, encode_request
from langchain_darkai.protocol.decoder import MAX_EVENT_BYTES, EventDecoder
from langchain_darkai.protocol.events import Decoded, StreamEnd, StreamFailure, Usage
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
    "ChatRequest",
    "Decoded",
    "EventDecoder",
    "ReportedError",
    "StreamEnd",
    "StreamFailure",
    "Usage",
    "decode_request",
    "encode_error",
    "encode_event",
    "encode_request",
    "error_class_for_status",
    "error_class_for_wire_type",
    "hint_for",
    "reported_error",
    "status_for_error",
    "wire_error_type",
]
