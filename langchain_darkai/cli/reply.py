"""A reply while it comes: it is fetched, and given to what shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from typing_extensions import Self

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage

    from langchain_darkai.chat_models import ChatDarkAI

__all__ = ["Display", "Reply", "fetch"]


@dataclass
class Reply:
    """What has come of a reply: its text, and the whole message where it is complete."""

    texts: list[str] = field(default_factory=list)
    message: "AIMessage | None" = None

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.texts)


class Display(Protocol):
    """Shows one reply: a `with` statement around it begins and ends that, also where the reply breaks off."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def feed(self, text: str) -> None:
        """Show more text."""

    def finish(self, reply: Reply) -> None:
        """Show what there is to say of a reply that is whole."""


def fetch(
    model: "ChatDarkAI", messages: "Sequence[BaseMessage]", reply: Reply, display: Display, *, streams: bool
) -> None:
    """Ask the model, and add what comes to the reply and to the display."""
    if streams:
        whole = None
        for chunk in model.stream(list(messages)):
            whole = chunk if whole is None else whole + chunk
            reply.texts.append(chunk.text)
            display.feed(chunk.text)
        reply.message = whole
    else:
        reply.message = model.invoke(list(messages))
        reply.texts.append(reply.message.text)
        display.feed(reply.message.text)
    display.finish(reply)
