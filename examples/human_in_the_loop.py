"""A graph with a human in the loop: the model proposes a refund, and nothing is paid before somebody agrees.

Install: pip install langchain-darkai langgraph
Start:   python examples/human_in_the_loop.py ["a request"]
Prints:  each call that the model proposes. Answer y, or say why not. Then it prints what the model makes of that.

`interrupt` ends the run and hands the question out; `Command(resume=...)` goes on from there with the answer. In
between, the state is in the checkpointer. With a database in its place, the answer may come days later, to another
process. `DARKAI_BASE_URL` names the model's server. Without it, the script starts one of its own, with a model of
rules.
"""

import os
import sys
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer


@tool
def refund(order: int, amount: float) -> str:
    """Refund an order with an amount of euros."""
    return f"{amount:.2f} euros were paid back for order {order}"


def graph_of(model: ChatDarkAI) -> CompiledStateGraph[Any]:
    """Build the graph: ask the model, let a human approve its calls, run them, and ask the model again."""
    bound = model.bind_tools([refund])

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    def approve(state: MessagesState) -> dict[str, Any]:
        # The node runs anew after each interrupt, so all questions come before the first thing that is done.
        calls = calls_of(state)
        answers = [interrupt({"call": call["name"], "arguments": call["args"]}) for call in calls]
        results = [
            refund.invoke(call)
            if answer == "y"
            else ToolMessage(f"refused by a human: {answer}", tool_call_id=call["id"], status="error")
            for call, answer in zip(calls, answers, strict=True)
        ]
        return {"messages": results}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_node("approve", approve)
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", lambda state: "approve" if calls_of(state) else END, ["approve", END])
    graph.add_edge("approve", "ask")
    return graph.compile(checkpointer=InMemorySaver())


def calls_of(state: MessagesState) -> list[Any]:
    """Return the calls of the last message."""
    last = state["messages"][-1]
    return list(last.tool_calls) if isinstance(last, AIMessage) else []


def main(request: str = "Refund order 17 with an amount of 20") -> None:
    """Run the graph, and ask on the terminal wherever it waits for a human."""
    model = ChatDarkAI(base_url=os.environ.get("DARKAI_BASE_URL") or LocalServer().start().url)
    graph = graph_of(model)
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}}
    state = graph.invoke({"messages": [HumanMessage(request)]}, thread)
    while waiting := state.get("__interrupt__"):
        question = waiting[0].value
        print(f"{question['call']}({question['arguments']})? y, or why not:")
        state = graph.invoke(Command(resume=input()), thread)
    print(state["messages"][-1].text)


if __name__ == "__main__":
    main(*sys.argv[1:2])
