"""An agent with memory: it remembers a conversation, and keeps notes about its user for all later conversations.

Install: pip install langchain-darkai langchain
Start:   python examples/agent_memory.py
Prints:  the questions of two conversations, each with its answer. The second one knows what was noted in the first.

The checkpointer keeps the messages of each thread, and the store keeps notes by user, for all threads. Both are in
memory here: with `langgraph-checkpoint-sqlite` or `-postgres`, they outlive the process. `DARKAI_BASE_URL` names the
model's server. Without it, the script starts one of its own, with a model of rules.
"""

import os
from dataclasses import dataclass

from langchain.agents import create_agent
from langchain.tools import ToolRuntime
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer


@dataclass
class User:
    """Whom the agent talks to. The model does not see this; the tools do."""

    id: str


def save_note(note: str, runtime: ToolRuntime[User]) -> str:
    """Save a note about the user."""
    assert runtime.store
    runtime.store.put(("notes", runtime.context.id), note, {"note": note})
    return "saved"


def read_notes(runtime: ToolRuntime[User]) -> str:
    """Read all notes about the user."""
    assert runtime.store
    found = runtime.store.search(("notes", runtime.context.id))
    return "; ".join(item.value["note"] for item in found) or "there are none"


def main() -> None:
    """Ask in two threads."""
    model = ChatDarkAI(base_url=os.environ.get("DARKAI_BASE_URL") or LocalServer().start().url)
    agent = create_agent(
        model, [save_note, read_notes], context_schema=User, checkpointer=InMemorySaver(), store=InMemoryStore()
    )
    for thread, question in [
        ("monday", "My name is Ada. Save the note 'likes green tea'."),
        ("monday", "What is my name?"),
        ("tuesday", "What is my name?"),
        ("tuesday", "Read the notes about me."),
    ]:
        state = agent.invoke(
            {"messages": [HumanMessage(question)]}, {"configurable": {"thread_id": thread}}, context=User("ada")
        )
        print(f"{thread}: {question}\n    {state['messages'][-1].text}")


if __name__ == "__main__":
    main()
