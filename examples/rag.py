"""Answer from your own texts: an agent that searches a store in memory, and names its sources.

Install: pip install langchain-darkai langchain
Start:   python examples/rag.py ["a question"]
Prints:  the answer, and the names of the texts that were found for it.

The store is LangChain's `InMemoryVectorStore`. `WordCounts` needs no network and no model: put an embedding model in
its place where words of the same meaning should match. `DARKAI_BASE_URL` names the model's server. Without it, the
script starts one of its own, with a model of rules.
"""

import math
import os
import re
import sys
import zlib

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_darkai import ChatDarkAI
from langchain_darkai.server import LocalServer

HANDBOOK = {
    "shipping.md": "Shipping takes two days. It is free for orders above 50 euros.",
    "returns.md": "A parcel can be returned within 30 days. The money is back a week later.",
    "warranty.md": "The warranty for lamps is five years, and for batteries one year.",
}


class WordCounts(Embeddings):
    """Texts as vectors: each word is counted in one of a thousand places."""

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text, with length one."""
        places = [0.0] * 1000
        for word in re.findall(r"\w{4,}", text.lower()):
            places[zlib.crc32(word.encode()) % len(places)] += 1
        length = math.hypot(*places) or 1
        return [count / length for count in places]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self.embed_query(text) for text in texts]


store = InMemoryVectorStore(WordCounts())


@tool(response_format="content_and_artifact")
def search_handbook(query: str) -> tuple[str, list[Document]]:
    """Search the handbook of the shop."""
    found = store.similarity_search(query, k=1)
    return "\n".join(document.page_content for document in found), found


def main(question: str = "Search the handbook: how long does shipping take?") -> None:
    """Fill the store, ask, and print the answer with its sources."""
    store.add_documents([Document(text, metadata={"source": name}) for name, text in HANDBOOK.items()])
    model = ChatDarkAI(base_url=os.environ.get("DARKAI_BASE_URL") or LocalServer().start().url)
    agent = create_agent(model, [search_handbook], system_prompt="Answer from the handbook. Say so if it is silent.")
    messages = agent.invoke({"messages": [HumanMessage(question)]})["messages"]
    print(messages[-1].text)
    for result in messages:
        if isinstance(result, ToolMessage):
            print("Source:", *(document.metadata["source"] for document in result.artifact))


if __name__ == "__main__":
    main(*sys.argv[1:2])
