"""What stands in a text: words, numbers, names and lists."""

import re
from collections.abc import Iterable

__all__ = [
    "COMMON",
    "MAX_READ",
    "NUMBER",
    "QUOTED",
    "Span",
    "as_number",
    "keys_in",
    "lists_in",
    "names_in",
    "readable",
    "readable_lines",
    "word_set",
    "words_of",
]

Span = tuple[int, int]
"""Where a value stands in the text: its first character, and the one after its last."""

MAX_READ = 2000
"""Characters of a text that the rules read: some of them compare every word with every other."""


def word_set(words: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(words.split())


COMMON = word_set(
    "a about add all an and answer are as ask at be book but by call can could count create describe did do does "
    "explain extract fetch find for from generate get give go has have hello help her hi his how i i'm if in into is "
    "it its json let list look make me multiply my name no not of on or order please question read reply return say "
    "search send set show sum tell thanks that the their then there these they this to today tool up us use using "
    "was we were what what's when where which who who's why will with would write yes you your"
)
"""Words that are no names, even where a sentence begins with them."""

_BETWEEN_KEYS = word_set("and or the with")

NUMBER = r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?!\.?\d)"
QUOTED = r"\"[^\"\n]+\"|“[^“”\n]+”|(?<!\w)'[^\n]{1,500}?'(?!\w)"
"""Quotations. Those in apostrophes have a limit, since a text may be full of apostrophes that open none."""


def words_of(name: str) -> list[str]:
    """Return the lower-case words of an identifier or a sentence; `getUserName` and `get_user_name` have the same.

    Example:
        >>> words_of("getUser_name")
        ['get', 'user', 'name']
    """
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name[:MAX_READ]).lower())


def readable(text: str) -> str:
    """Return what the rules read of a text: its beginning, without the rest of long runs of blanks.

    Many patterns end in blanks, and would look at each end of a run from each of its starts.

    Example:
        >>> len(readable("a" + " " * 1000 + "b" * 5000))
        1008
    """
    return re.sub(r"(\s{8})\s+", r"\1", text[:MAX_READ])


def readable_lines(texts: Iterable[str]) -> str:
    """Return what the rules read of texts, on a line each: the first ones, as far as they read.

    Example:
        >>> readable_lines(["a", "b"])
        'a\\nb'
    """
    lines, size = [], 0
    for text in texts:
        lines.append(readable(text))
        size += len(lines[-1]) + 1
        if size > MAX_READ:
            break
    return "\n".join(lines)


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
        if not word[0].isupper() or word.lower() in COMMON:
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


def keys_in(question: str) -> list[str]:
    """Return the keys that a question asks for ("with the keys name and age"), or one of our own."""
    text = readable(question)
    for clause in re.finditer(r"[^.:\n]+", text):
        names = list(re.finditer(r"\b(?:keys?|fields?)\b", clause.group(), re.IGNORECASE))
        if names:
            end = names[-1].end()
            rest = re.split(r"[.:\n]", text[clause.start() + end :].lstrip(": \n"), maxsplit=1)[0]
            quoted = re.findall(r"[\"“'`]([^\"”'`\n]+)[\"”'`]", f"{clause.group()[:end]} {rest}")
            words = [word for word in re.findall(r"[^\W\d]\w*", rest) if word not in _BETWEEN_KEYS]
            return list(dict.fromkeys(quoted or words)) or ["answer"]
    return ["answer"]
