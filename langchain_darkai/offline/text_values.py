"""What a piece of text says: the numbers, names, lists and phrases that a rule can take for a value.

`TextValues` hands out each place of the text once, so that two parameters never get the same number. It prefers what
is labelled ("the city is Paris", "30 years old"), then what looks like the thing asked for.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any

__all__ = ["FREE_TEXT", "MAX_READ", "NUMBER", "Freedom", "Span", "TextValues", "lists_in", "names_in", "words_of"]

Span = tuple[int, int]
"""Where a value stands in the text: its first character, and the one after its last."""

_KNOWN: Span = (-1, -1)
_SPARE: Span = (-2, -2)
"""These two stand for values that were taken from elsewhere than the text."""

MAX_READ = 2000
"""Characters of a text that the rules read: some of them compare every word with every other."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_COMMON = _set(
    "a about add all an and answer are as ask at be book but by call can could count create describe did do does "
    "explain extract fetch find for from generate get give go has have hello help her hi his how i i'm if in into is "
    "it its json let list look make me multiply my name no not of on or order please question read reply return say "
    "search send set show sum tell thanks that the their then there these they this to today tool up us use using "
    "was we were what what's when where which who who's why will with would write yes you your"
)
"""Words that are no names, even where a sentence begins with them."""

NUMBER = r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?!\.?\d)"
_QUOTED = r"\"[^\"\n]+\"|“[^”\n]+”|`[^`\n]+`|(?<!\w)'[^\n]+?'(?!\w)"
_PHRASE = r"[^\s,.;:!?\n][^,;!?\n]*?(?=\s+(?:and|with|but|who|is|of)\s|[,;!?\n]|\.(?:\s|$)|$)"
_FORMATS = {
    "date": r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "uri": r"\bhttps?://[^\s<>\"'|\\^`{}]*[\w/]",
}
_NOTHING = "(?!)"

_PLACES = _set("city location place country town region origin destination where address capital state")
_PERSONS = _set("name person customer user recipient author who contact title company username")
FREE_TEXT = _set(
    "query text question prompt message content input topic subject about body description search keyword keywords "
    "phrase sentence note reason task request term"
)
"""Words in the name of a parameter that takes any text."""

_ASKING = re.compile(
    r"(?:\W*(?:(?:can|could|would|will) you|i (?:want|need|would like) (?:you )?to|please|hello|hi|hey|"
    r"what(?:'s|’s)?|who(?:'s)?|where|when|why|how|which|is|are|was|do|does|did|tell|show|give|get|find|search|look|"
    r"fetch|create|make|generate|write|translate|send|set|add|call|use|describe|explain|web|using|me|us|up|out|for|"
    r"about|with|of|in|to|that|the|a|an|my|and|then|tool|information)\b)+\W*",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"(?:\W|\b(?:and|is|a|an|the|in|of|for|named|called|please|to|by|from)\b)+$", re.IGNORECASE)


class Freedom(IntEnum):
    """How freely a string takes words of the text; each level includes those before it."""

    LABELLED = 0
    """Only what the text labels with the parameter's name."""
    LIKELY = 1
    """Also quotations and names."""
    ANY = 2
    """Also any phrase that is left of the text."""


def words_of(name: str) -> list[str]:
    """Return the lower-case words of an identifier or a sentence; `getUserName` and `get_user_name` have the same.

    Example:
        >>> words_of("getUser_name")
        ['get', 'user', 'name']
    """
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())


def as_number(text: str) -> int | float:
    """Return the number that a text is, as an int where it has no decimal point.

    Example:
        >>> as_number("1,250"), as_number("2.50")
        (1250, 2.5)
    """
    digits = text.replace(",", "")
    return float(digits) if "." in digits else int(digits)


def names_in(text: str) -> list[Span]:
    """Return where names stand in a text: runs of capitalised words.

    Example:
        >>> text = "Is it warm in San Francisco, CA or in Lima?"
        >>> [text[start:end] for start, end in names_in(text)]
        ['San Francisco, CA', 'Lima']
    """
    spans: list[Span] = []
    for match in re.finditer(r"[^\W\d_][\w-]*(?:['’](?!s\b)\w+)?", text):
        start, end = match.span()
        word = match.group()
        if not word[0].isupper() or word.lower() in _COMMON:
            continue
        gap = text[spans[-1][1] : start] if spans else "-"
        is_state = gap == ", " and re.fullmatch(r"[A-Z]{2}", word)
        if is_state or gap == " ":
            spans[-1] = (spans[-1][0], end)
        elif not _starts_sentence(text[:start]) or re.match(
            r"(?:['’]s)?(?:,\s*\d|[\s,]+(?:[A-Z]|is|was|has|lives|works|likes|wants|and|from|who|\w+ed\b))|\W*$",
            text[end:],
        ):
            spans.append((start, end))
    return spans


def _starts_sentence(before: str) -> bool:
    """Return whether a sentence starts after a text: there, any word is capitalised, a name or not."""
    before = before.rstrip()
    return not before or before[-1] in ".!?:\n\"'“"


def lists_in(text: str) -> list[list[Span]]:
    """Return the lists in a text, of names ("Paris, Rome and Berlin") and of numbers ("3 and 4").

    Example:
        >>> [[text[a:b] for a, b in members] for text in ["in Paris and Rome"] for members in lists_in(text)]
        [['Paris', 'Rome']]
    """
    lists: list[list[Span]] = []
    for spans in (names_in(text), [match.span() for match in re.finditer(NUMBER, text)]):
        members: list[Span] = []
        for span in [*spans, (len(text) + 1, len(text) + 1)]:
            between = text[members[-1][1] : span[0]] if members else ""
            if re.fullmatch(r"\s*(?:,|,?\s*(?:and|or|&)\s)\s*(?:in |for |of |the )?", between):
                members.append(span)
                continue
            if len(members) > 2 or (len(members) == 2 and re.search(r"and|or|&", text[members[0][1] : members[1][0]])):
                lists.append(members)
            members = [span]
    return lists


class TextValues:
    """Hands out the values that a text holds, each place once.

    `known` maps names to values that are known already (members of a tool's JSON result, say); they come first.
    `spare` holds whole texts to fall back on. `used` tells what was taken so far: compare it to see whether a call
    found anything, set it back to undo.

    Example:
        >>> values = TextValues("Alice is 30 years old")
        >>> values.text("name", "", freedom=Freedom.LIKELY), values.number("age")
        ('Alice', 30)
    """

    def __init__(
        self, text: str, known: Mapping[str, Any] | None = None, used: Sequence[Span] = (), spare: Sequence[str] = ()
    ) -> None:
        self._text = text = text[:MAX_READ]
        self._known = dict(known or {})
        self._formatted = [match.span() for pattern in _FORMATS.values() for match in re.finditer(pattern, text)]
        self._spare = list(spare)
        self._names = names_in(text)
        self.used: tuple[Span, ...] = tuple(used)

    def known(self, name: str, accepts: Callable[[Any], bool]) -> Any:
        """Return what is known under the name already, or None."""
        value = self._known.get("".join(words_of(name)))
        if value is None or not accepts(value):
            return None
        self._use(_KNOWN)
        return value

    def is_labelled(self, name: str) -> bool:
        """Return whether the text names the parameter itself and gives it a value."""
        return any(
            re.search(rf"\b{label}\b['\"]?\s*(?:(?:is|=|:|to)\s*\S|\d)", self._text, re.IGNORECASE)
            for label in _labels(name)
        )

    def number(self, name: str, accepts: Callable[[Any], bool] = lambda _: True) -> int | float | None:
        """Return the number that is labelled with the name, else the next one that `accepts` takes, else None."""
        patterns = []
        for label in _labels(name):
            between = "(?:is|=|:)" if len(label) == 1 else r"(?:is|are|of|to|at|=|:|#)?"
            patterns.append(rf"\b{label}s?\b['\"]?\s*{between}\s*({NUMBER})")
            if len(label) > 1:
                unit = "years?" if label == "age" else f"{label}s?"
                patterns.append(rf"({NUMBER})[\s-]*{unit}\b")
        for pattern in [*patterns, f"({NUMBER})"]:
            for match in self._free(pattern):
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
            words = words_of(option) if isinstance(option, str) else []
            pattern = "[^a-z0-9]*".join(map(re.escape, words)) if words else _NOTHING
            found += [(match.span(), option) for match in self._free(rf"(?<!\w){pattern}(?!\w)")]
        if not found:
            return None
        # Of two that begin at the same place, the longer one is meant: "dark red", and not "dark".
        span, option = min(found, key=lambda each: (each[0][0], -each[0][1]))
        self._use(span)
        return option

    def listed(self, name: str, freedom: Freedom) -> list[str]:
        """Return the words that the text lists ("red, green and blue"), after their label if they have one."""
        label = "|".join(_labels(name))
        member = r"[\w-]+"
        patterns = [
            rf"\b(?:{label})s?['\"]?\s*(?:are|is|=|:)?\s+((?:{member}\s*(?:,\s*(?:and\s+)?|\band\s+))+{member})"
        ]
        if freedom > Freedom.LABELLED:
            patterns.append(rf"\b((?:{member}\s*,\s*)*{member},?\s+and\s+{member})")
        for pattern in patterns:
            for match in self._free(pattern):
                self._use(match.span(1))
                return [part for part in re.split(r"\s*(?:,|\band\b)\s*", match[1]) if part]
        return []

    def formatted(self, form: str, accepts: Callable[[Any], bool]) -> str | None:
        """Return the next text of a JSON Schema format, or None."""
        for match in self._free(_FORMATS.get(form, _NOTHING)):
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
        hints = set(words_of(name))
        if not hints & (_PLACES | _PERSONS | FREE_TEXT):
            hints |= set(words_of(description))
        is_place, is_person = bool(hints & _PLACES), bool(hints & _PERSONS)
        is_named = is_place or is_person
        for label in _labels(name):
            yield from self._matches(rf"\b{label}\b['\"]?\s*(?:is\b|=|:|named\b|called\b)\s*({_QUOTED}|{_PHRASE})")
        for word in words_of(name):
            yield from self._matches(f"({_FORMATS.get(word, _NOTHING)})")
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
        names = list(filter(self._is_free, self._names))
        for words in ("in|at|near|to|from", "for|of") if is_place else ():
            for start, end in names:
                if re.search(rf"\b(?:{words})\s+(?:the )?$", self._text[:start]):
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
        text = list(self._text)
        for start, end in self.used:
            text[max(start, 0) : max(end, 0)] = "\n" * (max(end, 0) - max(start, 0))
        left = "".join(text)
        best = (0, 0)
        for clause in re.finditer(r"(?:[^\n().;:!?–—]|[.:](?=\w))+", left):
            start, end = clause.span()
            asking = _ASKING.match(left, start, end)
            start = asking.end() if asking else start
            trailing = _TRAILING.search(left, start, end)
            end = trailing.start() if trailing else end
            if end - start > best[1] - best[0]:
                best = (start, end)
        return best

    def _matches(self, pattern: str) -> Iterator[tuple[Span, str]]:
        for match in self._free(pattern):
            yield match.span(1), match[1]

    def _free(self, pattern: str) -> Iterator[re.Match[str]]:
        """Yield what a pattern finds in the places that are free: those of its first group, if it has one."""
        for match in re.finditer(pattern, self._text, re.IGNORECASE):
            if self._is_free(match.span(1 if match.re.groups else 0)):
                yield match

    def _is_free(self, span: Span) -> bool:
        return not any(start < span[1] and span[0] < end for start, end in self.used)

    def _use(self, span: Span) -> None:
        self.used += (span,)


def topic_of(question: str) -> str:
    """Return what a question is about, in its own words, or "your question" where nothing is left of it.

    Example:
        >>> topic_of("Tell me a joke about cats.")
        'cats'
    """
    about = re.search(r"\babout\s+([^.,;!?\n]+)", question[:MAX_READ])
    return about[1].strip() if about else TextValues(question).rest() or "your question"


def _labels(name: str) -> list[str]:
    """Return patterns that find a parameter's name in a text: all words of the name, or one long enough to be clear."""
    words = words_of(name)
    whole = [r"[\s_-]*".join(map(re.escape, words))]
    return whole + [re.escape(w) for w in reversed(words) if len(words) > 1 and len(w) > 2 and w not in _COMMON]
