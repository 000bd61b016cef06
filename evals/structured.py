"""Structured answers: five schemas, each of which holds the one before, and texts that say what to fill in."""

from typing import Literal

from pydantic import BaseModel, Field


class Author(BaseModel):
    """Who wrote a book."""

    name: str
    born: int = Field(description="The year of birth")


class Book(BaseModel):
    """A book."""

    title: str
    genre: Literal["novel", "poetry", "science"]
    author: Author


class Shelf(BaseModel):
    """A shelf, with its books from left to right."""

    label: str
    books: list[Book]


class Branch(BaseModel):
    """A branch of a library."""

    city: str
    is_open: bool
    shelves: list[Shelf]


class Library(BaseModel):
    """A library with its branches."""

    name: str
    branches: list[Branch]


SCHEMAS: dict[int, type[BaseModel]] = {1: Author, 2: Book, 3: Shelf, 4: Branch, 5: Library}
DEPTHS = tuple(SCHEMAS)

_BOOKS = (
    ("The Waves", "novel", "Virginia Woolf", 1882),
    ("Cosmos", "science", "Carl Sagan", 1934),
    ("Duino Elegies", "poetry", "Rainer Maria Rilke", 1875),
    ("The Trial", "novel", "Franz Kafka", 1883),
    ("Silent Spring", "science", "Rachel Carson", 1907),
    ("Ariel", "poetry", "Sylvia Plath", 1932),
    ("Beloved", "novel", "Toni Morrison", 1931),
    ("On the Origin of Species", "science", "Charles Darwin", 1809),
)
_CITIES = ("Oslo", "Porto", "Lyon", "Gdansk", "Turin", "Ghent", "Bergen", "Graz")
TEXTS = len(_BOOKS)
"""How many texts there are for a depth."""


def text(depth: int, number: int) -> str:
    """Return one of the texts for a depth."""
    return (_author, _book, _shelf, _branch, _library)[depth - 1](number)


def _author(number: int) -> str:
    _title, _genre, author, born = _BOOKS[number % TEXTS]
    return f"{author} was born in {born}."


def _book(number: int) -> str:
    title, genre, author, born = _BOOKS[number % TEXTS]
    kind = {"novel": "a novel", "poetry": "a book of poetry", "science": "a book about science"}[genre]
    return f'"{title}" is {kind} by {author}, who was born in {born}.'


def _shelf(number: int) -> str:
    return f"On shelf S{number} are two books. {_book(number)} {_book(number + 3)}"


def _branch(number: int) -> str:
    state = "open" if number % 2 else "closed"
    return f"The branch in {_CITIES[number % TEXTS]} is {state}. {_shelf(number)}"


def _library(number: int) -> str:
    return f"The Harbour Library has two branches. {_branch(number)} {_branch(number + 1)}"
