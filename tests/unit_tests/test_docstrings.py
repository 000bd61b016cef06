"""`help(ChatDarkAI)` shows what LangChain's own classes show: the sections, and every field with its default."""

import ast
import inspect
import itertools
import pydoc
import re
import textwrap

from langchain_core.language_models import BaseChatModel

from langchain_darkai import ChatDarkAI
from langchain_darkai._settings import ChatSettings

HELP = pydoc.plain(pydoc.render_doc(ChatDarkAI))
SECTIONS = ("Setup", "Key init args", "Instantiate", "Invoke", "Stream", "Tool calling", "Structured output")
ENTRY = re.compile(r"- `(\w+)`, default `(.*?)`: (.*?)(?= - `|$)")
FIRST_SENTENCE = re.compile(r"(.*?\.)(?: [A-Z\"]|$)")


def described_fields() -> dict[str, str]:
    """Return the text below each field in the source."""
    (settings,) = ast.parse(textwrap.dedent(inspect.getsource(ChatSettings))).body
    assert isinstance(settings, ast.ClassDef)
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(text.value).split())
        for field, text in itertools.pairwise(settings.body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def shown_fields() -> dict[str, tuple[str, str]]:
    """Return the default and the text of each field in the docstring of the class."""
    section = inspect.cleandoc(ChatDarkAI.__doc__ or "").split("Key init args:")[1].split("Instantiate:")[0]
    return {name: (default, text) for name, default, text in ENTRY.findall(" ".join(section.split()))}


def test_help_has_the_sections_of_langchain_in_order() -> None:
    places = [HELP.index(f" {section}:\n") for section in SECTIONS]
    assert places == sorted(places)


def test_help_shows_every_field_with_its_default() -> None:
    own = {name: field for name, field in ChatDarkAI.model_fields.items() if name not in BaseChatModel.model_fields}
    variables = {name: re.search(r"variable `(\w+)`", text) for name, text in described_fields().items()}
    defaults = {
        name: variable[1] if (variable := variables[name]) else repr(field.get_default(call_default_factory=True))
        for name, field in own.items()
    }
    assert {name: default for name, (default, _) in shown_fields().items()} == defaults
    assert all(f"`{name}`, default" in HELP for name in own)


def test_help_says_of_each_field_what_its_own_docstring_begins_with() -> None:
    first = {name: FIRST_SENTENCE.match(text) for name, text in described_fields().items()}
    assert {name: text for name, (_, text) in shown_fields().items()} == {
        name: sentence[1] for name, sentence in first.items() if sentence
    }
