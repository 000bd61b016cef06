"""An MCP server with two tools, for `agent_mcp.py`, which starts it and speaks to it over stdio.

Install: pip install 'mcp<2'
Start:   python examples/mcp_orders.py
Prints:  nothing but the messages of the protocol, on standard output.
"""

from mcp.server.fastmcp import FastMCP

server = FastMCP("orders", log_level="WARNING")
orders = {17: "shipped on Monday", 18: "waiting for stock"}


@server.tool()
def look_up_order(order: int) -> str:
    """Look up the state of an order."""
    return f"order {order}: {orders.get(order, 'unknown')}"


@server.tool()
def cancel_order(order: int) -> str:
    """Cancel an order."""
    orders[order] = "cancelled"
    return f"order {order} is cancelled"


if __name__ == "__main__":
    server.run("stdio")
