"""A web service that streams replies, and stops the model where a client leaves.

Install: pip install langchain-darkai fastapi uvicorn
Start:   python examples/fastapi_stream.py [port]
         curl -N http://127.0.0.1:8080/chat -H 'content-type: application/json' \\
             -d '{"messages": [["user", "Count from 1 to 5"]]}'
Prints:  the server's log. A client gets server-sent events: `data: {"text": ...}` for each piece, then `event: end`, or
         `event: error` with the reason.

The response begins before the model does. So a client that leaves is noticed at any time: Starlette cancels the stream,
that closes the connection to the model's server, and the server cancels the model. The price is that the status is 200
also where the model fails. `DARKAI_BASE_URL` names the model's server. Without it, the script starts one of its own,
with a model of rules.
"""

import json
import os
import sys
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from langchain_darkai import ChatDarkAI, DarkAIError
from langchain_darkai.server import LocalServer

app = FastAPI()
model = ChatDarkAI(base_url=os.environ.get("DARKAI_BASE_URL") or LocalServer().start().url)


class Conversation(BaseModel):
    """The body of a request: pairs of a role and a text."""

    messages: list[tuple[str, str]]


async def events(conversation: Conversation) -> AsyncIterator[str]:
    """Yield the reply as server-sent events."""
    try:
        async for chunk in model.astream(list(conversation.messages)):
            if chunk.text:
                yield f"data: {json.dumps({'text': chunk.text})}\n\n"
    except DarkAIError as error:
        yield f"event: error\ndata: {json.dumps({'message': str(error), 'status': error.status})}\n\n"
    else:
        yield "event: end\ndata: {}\n\n"


@app.post("/chat")
async def chat(conversation: Conversation) -> StreamingResponse:
    """Stream the reply to a conversation."""
    return StreamingResponse(events(conversation), media_type="text/event-stream")


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
