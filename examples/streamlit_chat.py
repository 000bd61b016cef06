"""A chat in the browser, with Streamlit: replies appear as they come, and a failure does not end the conversation.

Install: pip install langchain-darkai streamlit
Start:   streamlit run examples/streamlit_chat.py
Prints:  the address of the page.

`DARKAI_BASE_URL` names the model's server. Without it, the script starts one of its own, with a model of rules.
"""

import os

import streamlit as st

from langchain_darkai import ChatDarkAI, DarkAIError
from langchain_darkai.server import LocalServer


@st.cache_resource
def model() -> ChatDarkAI:
    """Return the model, one for all visitors."""
    return ChatDarkAI(base_url=os.environ.get("DARKAI_BASE_URL") or LocalServer().start().url)


st.title("Chat")
history: list[tuple[str, str]] = st.session_state.setdefault("history", [])
for role, text in history:
    st.chat_message(role).write(text)
if question := st.chat_input("Ask something"):
    st.chat_message("user").write(question)
    with st.chat_message("assistant"):
        try:
            stream = model().stream([*history, ("user", question)])
            answer = st.write_stream(chunk.text for chunk in stream)
        except DarkAIError as error:
            st.error(str(error))
        else:
            history += [("user", question), ("assistant", str(answer))]
