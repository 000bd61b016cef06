"""An agent with memory whose tools come from an MCP server, over stdio.

Install: pip install langchain-darkai langchain langchain-mcp-adapters
Start:   python examples/agent_mcp.py
Prints:  the tools of the server, and the questions of one conversation, each with its answer.

One session lasts for the whole conversation, so the server (`mcp_orders.py`) keeps what it was told: the cancelled
order is still cancelled when it is asked for later. `DARKAI_BASE_URL` names the model's server. Without it, the script
starts one of its own, with a model of rules.
"""

import asyncio
import os
import sys
from pathlib import Path

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from langgraph.checkpoint.memory import InMemorySaver

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer

SERVER = Path(__file__).with_name("mcp_orders.py")


async def main() -> None:
    """Connect, and ask in one thread."""
    model = ChatDarkAI(base_url=os.environ.get("DARKAI_BASE_URL") or LocalServer().start().url)
    client = MultiServerMCPClient({"orders": {"transport": "stdio", "command": sys.executable, "args": [str(SERVER)]}})
    async with client.session("orders") as session:
        tools = await load_mcp_tools(session)
        print("Tools:", *(tool.name for tool in tools))
        agent = create_agent(model, tools, checkpointer=InMemorySaver())
        thread: RunnableConfig = {"configurable": {"thread_id": "1"}}
        for question in (
            "My name is Ada. Look up order 17.",
            "Cancel order 18.",
            "Look up order 18.",
            "What is my name?",
        ):
            state = await agent.ainvoke({"messages": [HumanMessage(question)]}, thread)
            print(f"{question}\n    {state['messages'][-1].text}")


if __name__ == "__main__":
    asyncio.run(main())
