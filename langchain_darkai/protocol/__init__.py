"""The wire format of the DarkAI chat API: requests, events and errors, with no input or output of its own."""

from langchain_darkai.protocol.decoder import (
    MAX_EVENT_BYTES,
    ChatRequest,
    Decoded,
    EventDecoder,
    StreamEnd,
    StreamFailure,
    Usage,
    decode_request,
    encode_error,
    encode_event,
    encode_request,
    reported_error,
)

__all__ = [
    "MAX_EVENT_BYTES",
    "ChatRequest",
    "Decoded",
    "EventDecoder",
    "StreamEnd",
    "StreamFailure",
    "Usage",
    "decode_request",
    "encode_error",
    "encode_event",
    "encode_request",
    "reported_error",
]
