"""What a piece of text says: the numbers, names, lists and phrases that a rule can take for a value.

`TextValues` hands out each place of the text once, so that two parameters never get the same number. It prefers what
is labelled ("the city is Paris", "30 years old"), then what looks like the thing asked for.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any

from langchain_darkai.offline.budget import Budget
from langchain_darkai.offline.words import (
    COMMON,
    MAX_READ,
    NUMBER,
    QUOTED,
    Span,
    as_number,
    names_in,
    readable,
    word_set,
    words_of,
)

__all__ = ["FREE_TEXT", "Freedom", "TextValues", "topic_of"]

_KNOWN: Span = (-1, -1)
_SPARE: Span = (-2, -2)
"""These two stand for values that were taken from elsewhere than the text."""

_SEARCH_STEPS = 40
"""Steps of a search in a text: most patterns are made for one name, and making one takes longer than the search."""
_MAX_GAP = 20
"""Characters before a name among which a word such as "near" is looked for."""

_QUOTED = rf"{QUOTED}|`[^`\n]+`"
_PHRASE = r"[^\s,.;:!?\n][^,;!?\n]*?(?=\s+(?:and|with|but|who|is|of)\s|[,;!?\n]|\.(?:\s|$)|$)"
_FORMATS = {
    "date": r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b",
    "email": r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "uri": r"\bhttps?://[^\s<>\"'|\\^`{}]*[\w/]",
}
_NOTHING = "(?!)"

_PLACES = word_set("city location place country town region origin destination where address capital state")
_PERSONS = word_set("name person customer user recipient author who contact title company username")
FREE_TEXT = word_set(
    "query text question prompt message content input topic subject about body description search keyword keywords "
    "phrase sentence note reason task request term"
)
"""Words in the name of a parameter that takes any text."""

_ASKING = re.compile(
    r"(?:\W{0,9}(?:(?:can|could|would|will) you|i (?:want|need|would like) (?:you )?to|please|hello|hi|hey|"
    r"what(?:'s|’s)?|who(?:'s)?|where|when|why|how|which|is|are|was|do|does|did|tell|show|give|get|find|search|look|"
    r"fetch|create|make|generate|write|translate|send|set|add|call|use|describe|explain|web|using|me|us|up|out|for|"
    r"about|with|of|in|to|that|the|a|an|my|and|then|tool|information)\b)+\W*",
    re.IGNORECASE,
)
_TRAILING = word_set("and is a an the in of for named called please to by from")
"""Words that say nothing at the end of a phrase."""


class Freedom(IntEnum):
    """How freely a string takes words of the text; each level includes those before it."""

    LABELLED = 0
    """Only what the text labels with the parameter's name."""
    LIKELY = 1
    """Also quotations and names."""
    ANY = 2
    """Also any phrase that is left of the text."""


class TextValues:
    """Hands out the values that a text holds, each place once.

    `known` maps names to values that are known already (members of a tool's JSON result, say); they come first.
    `spare` holds whole texts to fall back on. `used` tells what was taken so far: compare it to see whether a call
    found anything, set it back to undo. Each search is a part of the `budget`.

    Example:
        >>> values = TextValues("Alice is 30 years old")
        >>> values.text("name", "", freedom=Freedom.LIKELY), values.number("age")
        ('Alice', 30)
    """

    def __init__(
        self,
        text: str,
        known: Mapping[str, Any] | None = None,
        used: Sequence[Span] = (),
        spare: Sequence[str] = (),
        budget: Budget | None = None,
    ) -> None:
        self.budget: Budget = budget or Budget()
        self._text = text = readable(text)
        self._lower = text.lower()
        self.budget.spend(_SEARCH_STEPS + len(text))
        self._known = known or {}
        self._formatted = [match.span() for pattern in _FORMATS.values() for match in re.finditer(pattern, text)]
        self._spare = spare
        self._names = names_in(text)
        self._found: dict[str, list[re.Match[str]]] = {}
        self.used: tuple[Span, ...] = tuple(used)

    def known(self, name: str, accepts: Callable[[Any], bool]) -> Any:
        """Return what is known under the name already, or None."""
        value = self._known.get("".join(self._words_of(name)))
        if value is None or not accepts(value):
            return None
        self._use(_KNOWN)
        return value

    def is_labelled(self, name: str) -> bool:
        """Return whether the text names the parameter itself and gives it a value."""
        labels = self._labels(name)
        self.budget.spend(1 + sum(_SEARCH_STEPS + len(label) for label in labels))
        return any(
            re.search(rf"\b{label}\b['\"]?\s*(?:(?:is|=|:|to)\s*\S|\d)", self._text, re.IGNORECASE) for label in labels
        )

    def number(self, name: str, accepts: Callable[[Any], bool] = lambda _: True) -> int | float | None:
        """Return the number that is labelled with the name, else the next one that `accepts` takes, else None."""
        patterns = []
        for label in self._labels(name):
            between = "(?:is|=|:)" if len(label) == 1 else r"(?:is|are|of|to|at|=|:|#)?"
            patterns.append(rf"\b{label}s?\b['\"]?\s*{between}\s*({NUMBER})")
            if len(label) > 1:
                patterns.append(rf"({NUMBER})[\s-]*{label}s?\b")
        if "age" in self._words_of(name):
            patterns.append(rf"({NUMBER})[\s-]*years?\b")
        for pattern in [*patterns, f"({NUMBER})"]:
            for match in self._free(pattern):
                self.budget.spend(len(self._formatted) // 10)
                if any(start <= match.start(1) < end for start, end in self._formatted):
                    continue
                value = as_number(match[1])
                whole = int(value) if isinstance(value, float) and value.is_integer() else value
                for candidate in (value, whole):
                    if accepts(candidate):
                        self._use(match.span())
                        return candidate
        return None

    def choice(self, options: Sequence[Any]) -> Any:
        """Return the option that the text names first, or None."""
        found: list[tuple[Span, Any]] = []
        for option in options:
            self.budget.spend()
            words = self._words_of(option) if isinstance(option, str) else []
            if not words or not self._has(words):
                continue
            pattern = "[^a-z0-9]*".join(map(re.escape, words))
            found += [(match.span(), option) for match in self._free(rf"(?<!\w){pattern}(?!\w)")]
        if not found:
            return None
        # Of two that begin at the same place, the longer one is meant: "dark red", and not "dark".
        span, option = min(found, key=lambda each: (each[0][0], -each[0][1]))
        self._use(span)
        return option

    def listed(self, name: str, freedom: Freedom) -> list[str]:
        """Return the words that the text lists ("red, green and blue"), after their label if they have one."""
        label = "|".join(self._labels(name)) or _NOTHING
        member = r"[\w-]+"
        patterns = [
            rf"\b(?:{label})s?['\"]?\s*(?:are|is|=|:)?\s+((?:{member}\s*(?:,\s*(?:and\s+)?|\band\s+))+{member})"
        ]
        if freedom > Freedom.LABELLED:
            # A list begins with its first member: from each other one, all of them would be looked at again.
            patterns.append(rf"(?<![\w-])(?<!,)(?<!,\s)((?:{member}\s*,\s*)*{member},?\s+and\s+{member})")
        for pattern in patterns:
            for match in self._free(pattern):
                self._use(match.span(1))
                return [part for part in re.split(r"\s*(?:,|\band\b)\s*", match[1]) if part]
        return []

    def formatted(self, form: str, accepts: Callable[[Any], bool]) -> str | None:
        """Return the next text of a JSON Schema format, or None."""
        for match in self._free(_FORMATS[form]) if form in _FORMATS else ():
            if accepts(match.group()):
                self._use(match.span())
                return match.group()
        return None

    def text(
        self, name: str, description: str, *, freedom: Freedom, accepts: Callable[[Any], bool] = lambda _: True
    ) -> str | None:
        """Return the words for a string parameter, or None."""
        for span, value in self._candidates(name, description, freedom):
            clean = value.strip()
            clean = clean[1:-1] if re.fullmatch(_QUOTED, clean) else clean
            if clean and accepts(clean):
                self._use(span)
                return clean
        return None

    def _candidates(self, name: str, description: str, freedom: Freedom) -> Iterator[tuple[Span, str]]:
        """Yield what a string parameter could mean, the likeliest first."""
        words = self._words_of(name)
        hints = set(words)
        if not hints & (_PLACES | _PERSONS | FREE_TEXT):
            hints |= set(self._words_of(description))
        is_place, is_person = bool(hints & _PLACES), bool(hints & _PERSONS)
        is_named = is_place or is_person
        for label in self._labels(name):
            yield from self._matches(rf"\b{label}\b['\"]?\s*(?:is\b|=|:|named\b|called\b)\s*({_QUOTED}|{_PHRASE})")
        for word in words:
            if word in _FORMATS:
                yield from self._matches(f"({_FORMATS[word]})")
        if is_person:
            yield from self._matches(rf"\b(?:named|called)\s+({_QUOTED}|{_PHRASE})")
        if freedom < Freedom.LIKELY and not is_named:
            return
        yield from self._matches(f"({_QUOTED})")
        if is_named or not hints & FREE_TEXT:
            yield from self._names_for(is_place=is_place)
        if is_place and freedom > Freedom.LABELLED:
            yield from self._matches(r"\b(?:in|at|near|from|to)\s+(?:the\s+)?((?!the\b)[\w-]+)")
        if self._spare and not is_named and _SPARE not in self.used:
            yield _SPARE, self._spare[-1]
        if freedom >= Freedom.ANY:
            start, end = self._longest_rest()
            yield (start, end), self._text[start:end]

    def _names_for(self, *, is_place: bool) -> Iterator[tuple[Span, str]]:
        """Yield the names that are left: for a place, those that stand after "in" and the like come first."""
        self.budget.spend(10 * len(self._names))
        names = list(filter(self._is_free, self._names))
        for words in ("in|at|near|to|from", "for|of") if is_place else ():
            for start, end in names:
                if re.search(rf"\b(?:{words})\s+(?:the )?$", self._text[max(0, start - _MAX_GAP) : start]):
                    yield (start, end), self._text[start:end]
        for start, end in names:
            yield (start, end), self._text[start:end]

    def rest(self) -> str:
        """Return the longest phrase that is left of the text, without the words around it that only ask.

        Example:
            >>> TextValues("Could you tell me about black holes, please?").rest()
            'black holes'
        """
        start, end = self._longest_rest()
        return self._text[start:end]

    def _longest_rest(self) -> Span:
        self.budget.spend(_SEARCH_STEPS)
        text = list(self._text)
        for start, end in self.used:
            text[max(start, 0) : max(end, 0)] = "\n" * (max(end, 0) - max(start, 0))
        left = "".join(text)
        best = (0, 0)
        for clause in re.finditer(r"(?:[^\n().;:!?–—]|[.:](?=\w))+", left):
            start, end = clause.span()
            asking = _ASKING.match(left, start, end)
            start = asking.end() if asking else start
            words = list(re.finditer(r"\w+", left[start:end]))
            while words and words[-1].group().lower() in _TRAILING:
                words.pop()
            end = start + words[-1].end() if words else start
            if end - start > best[1] - best[0]:
                best = (start, end)
        return best

    def _labels(self, name: str) -> list[str]:
        """Return the patterns by which the text names a parameter: all its words, or one of them that says enough."""
        words = self._words_of(name)
        labels = [words, *([w] for w in reversed(words) if len(words) > 1 and len(w) > 2 and w not in COMMON)]
        return [r"[\s_-]*".join(map(re.escape, label)) for label in labels if self._has(label)]

    def _words_of(self, name: str) -> list[str]:
        self.budget.spend(1 + min(len(name), MAX_READ) // 20)
        return words_of(name)

    def _has(self, words: Sequence[str]) -> bool:
        """Return whether the text has all the words, somewhere: only then a pattern of them is worth making."""
        self.budget.spend(len(words))
        return all(word in self._lower for word in words)

    def _matches(self, pattern: str) -> Iterator[tuple[Span, str]]:
        for match in self._free(pattern):
            yield match.span(1), match[1]

    def _free(self, pattern: str) -> Iterator[re.Match[str]]:
        """Yield what a pattern finds in the places that are free: those of its first group, if it has one."""
        if pattern not in self._found:
            self.budget.spend(_SEARCH_STEPS + len(pattern))
            self._found[pattern] = list(re.finditer(pattern, self._text, re.IGNORECASE))
        for match in self._found[pattern]:
            if self._is_free(match.span(1 if match.re.groups else 0)):
                yield match

    def _is_free(self, span: Span) -> bool:
        self.budget.spend(1 + len(self.used) // 10)
        return not any(start < span[1] and span[0] < end for start, end in self.used)

    def _use(self, span: Span) -> None:
        self.used += (span,)


def topic_of(question: str) -> str:
    """Return what a question is about, in its own words, or "your question" where nothing is left of it.

    Example:
        >>> topic_of("Tell me a joke about cats.")
        'cats'
    """
    about = re.search(r"\babout\s+([^.,;!?\n]+)", readable(question))
    return about[1].strip() if about else TextValues(question).rest() or "your question"
