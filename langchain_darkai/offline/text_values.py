"""What a piece of text says: the numbers, names, dates and phrases that a rule can take for a value.

`TextValues` hands out each place of the text once, so two parameters never get the same number. It prefers what is
labelled ("the city is Paris", "30 years old"), then what looks like the thing asked for.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

Span = tuple[int, int]

LONGEST = 2000
"""Characters of a text that the rules read: some of them compare every word with every other."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


COMMON = _set(
    "a about add all an and answer are as ask at be book but by calculate call can compute convert convey could "
    "count create describe did do does email explain extract fetch find for from generate get give go has have "
    "hello help her hey hi his how i i'm if in information into is it its json let like list look make me "
    "multiply my name no not of ok on or order please provide put question read remind reply repeat report return "
    "say search send set should show subtract sum tell thanks that the their them then there these they this to "
    "today tool translate up us use using was we were what what's when where which who who's why will with would "
    "write yes you your"
)
NUMBER_WORDS = {
    w: n
    for n, w in enumerate(re.findall(r"\w+", "zero one two three four five six seven eight nine ten eleven twelve"))
}
_MONTHS = re.findall(r"\w+", "january february march april may june july august september october november december")
_WEEKDAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_CALENDAR = frozenset([*_MONTHS, *_WEEKDAYS.split("|")])
_MONTH = "|".join(f"{m[:3]}(?:{m[3:]})?" for m in _MONTHS)

NUMBER = r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?!\.?\d)"
_QUOTED = r"\"[^\"\n]+\"|“[^”\n]+”|‘[^’\n]+’|«[^»\n]+»|「[^」\n]+」|`[^`\n]+`|(?<!\w)'[^\n]+?'(?!\w)"
_PHRASE = r"[^\s,.;:!?\n][^,;!?\n]*?(?=\s+(?:and|with|but|who|is|of)\s|[,;!?\n]|\.(?:\s|$)|$)"
_DAY = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d"
FORMATS = {
    "date-time": rf"\b{_DAY}T{_TIME}:[0-5]\d(?:\.\d+)?(?:Z|[+-]{_TIME})",
    "date": rf"\b{_DAY}\b",
    "time": rf"\b{_TIME}:[0-5]\d(?:\.\d+)?(?:Z|[+-]{_TIME})",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "uri": r"\bhttps?://[^\s<>\"'|\\^`{}]*[\w/]",
    "uuid": r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
    "ipv4": r"\b(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!\d+\.\d+\.\d+\.\d)|\b)){4}\b",
}
_WRITTEN_DAYS = (
    rf"\b(?:{_MONTH})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}|"
    rf"\b\d{{1,2}}(?:st|nd|rd|th)?\s+(?:{_MONTH}),?\s+\d{{4}}"
)
_RELATIVE_DAYS = rf"\b(?:today|tomorrow|yesterday|tonight|(?:next |this )?(?:{_WEEKDAYS}))\b"

_FORMAT_HINTS = {"email": "email", "mail": "email", "date": "date", "url": "uri", "link": "uri", "website": "uri"}
_PLACES = _set("city location place country town region destination where address capital state")
_PERSONS = _set("name person customer user recipient author who contact title company username")
TEXTS = _set(
    "query text question prompt message content input topic subject about body description search keyword keywords "
    "phrase sentence note reason task request term"
)
_THINGS = _set("item product thing dish food article")
_SUMS = _set("expression formula equation calculation math")
_SIDES = {
    "from": _set("from origin source departure start sender"),
    "to": _set("to destination target end arrival recipient language"),
}
_UNITS = {"age": "years?|yo", "price": "dollars?|euros?", "cost": "dollars?|euros?"}
_ASKING = re.compile(
    r"^(?:\W*(?:(?:can|could|would|will) you|i (?:want|need|would like) (?:you )?to|please|hello|hi|hey|"
    r"what(?:'s|’s)?|who(?:'s)?|where|when|why|how|which|is|are|was|do|does|did|tell|show|give|get|find|search|look|"
    r"fetch|create|make|generate|write|translate|send|set|add|call|use|describe|explain|summari[sz]e|discuss|plan|web|"
    r"internet|online|using|me|us|up|out|for|about|with|of|in|to|that|the|a|an|my|and|then|tool|"
    r"information)\b)+\W*",
    re.IGNORECASE,
)


def words_of(name: str) -> list[str]:
    """The lower-case words of an identifier or a sentence: `getUserName` and `get_user_name` have the same three.

    Example:
        >>> words_of("getUser_name")
        ['get', 'user', 'name']
    """
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())


def as_number(text: str) -> int | float | None:
    """The number that a text is, whole where it is whole, or None.

    Example:
        >>> as_number("1,250"), as_number("2.50"), as_number("three")
        (1250, 2.5, 3)
    """
    if text.lower() in NUMBER_WORDS:
        return NUMBER_WORDS[text.lower()]
    if not re.fullmatch(NUMBER, text):
        return None
    digits = text.replace(",", "")
    return float(digits) if "." in digits else int(digits[:400])


def proper_phrases(text: str) -> list[Span]:
    """Where names stand: runs of capitalised words (or of a script without capitals amid one that has them).

    Example:
        >>> text = "Is it warm in San Francisco, CA or in Rio de Janeiro?"
        >>> [text[start:end] for start, end in proper_phrases(text)]
        ['San Francisco, CA', 'Rio de Janeiro']
    """
    spans: list[Span] = []
    for match in re.finditer(r"[^\W\d_][\w-]*(?:['’](?!s\b)\w+)?", text):
        start, end = match.span()
        word = match.group()
        starts_sentence = not text[:start].strip() or text[:start].rstrip()[-1] in ".!?:\n\"'“"
        if not word[0].isupper() and (word[0].islower() or word[0].isascii()):
            continue
        if word.lower() in COMMON or word.lower() in _CALENDAR:
            continue
        gap = text[spans[-1][1] : start] if spans else "-"
        state = gap == ", " and re.fullmatch(r"[A-Z]{2}", word)
        if state or re.fullmatch(r"[^\S\n](?:(?:de|del|do|da|di|la|le|of|the|van|von|der)[^\S\n])*", gap):
            spans[-1] = (spans[-1][0], end)
        elif not starts_sentence or re.match(
            r"(?:['’]s)?(?:,\s*\d|[\s,]+(?:[A-Z]|is|was|has|lives|works|likes|wants|and|from|who|\w+ed\b))|\W*$",
            text[end:],
        ):
            spans.append((start, end))
    return spans


def series(text: str) -> list[list[Span]]:
    """The lists in a text ("Paris, Rome and Berlin", "3 and 4"): of names, of numbers, of quotations.

    Example:
        >>> [[text[a:b] for a, b in run] for text in ["in Paris and Rome"] for run in series(text)]
        [['Paris', 'Rome']]
    """
    runs: list[list[Span]] = []
    kinds = (
        proper_phrases(text),
        [m.span() for m in re.finditer(NUMBER, text)],
        [m.span() for m in re.finditer(_QUOTED, text)],
    )
    for spans in kinds:
        run: list[Span] = []
        for span in [*spans, (len(text) + 1, len(text) + 1)]:
            if run and re.fullmatch(
                r"\s*(?:,|,?\s*(?:and|or|&)\s)\s*(?:in |for |of |the )?", text[run[-1][1] : span[0]]
            ):
                run.append(span)
                continue
            if len(run) > 2 or (len(run) == 2 and re.search(r"and|or|&", text[run[0][1] : run[1][0]])):
                runs.append(run)
            run = [span]
    return runs


def topic_of(question: str) -> str:
    """What a question is about, in its own words, or "your question" where nothing is left of it.

    Example:
        >>> topic_of("Tell me a joke about cats.")
        'cats'
    """
    about = re.search(r"\babout\s+([^.,;!?\n]+)", question[:LONGEST])
    return about[1].strip() if about else TextValues(question).remainder()[1] or "your question"


class TextValues:
    """Hands out the values that a text holds, each place once.

    `known` maps names to values that are known already (fields of a tool's JSON result, say); they come first. `spare`
    holds whole texts to fall back on. `used` tells what was taken so far: keep it to see whether a call found anything,
    set it back to undo.

    Example:
        >>> findings = TextValues("Alice is 30 years old")
        >>> findings.text("name", "", reach=1), findings.number("age")
        ('Alice', 30)
    """

    def __init__(
        self, text: str, known: Mapping[str, Any] | None = None, used: Sequence[Span] = (), spare: Sequence[str] = ()
    ) -> None:
        self._text = text = text[:LONGEST]
        self._known = dict(known or {})
        self._typed = [m.span() for p in FORMATS.values() for m in re.finditer(p, text)]
        self._typed += [m.span() for m in re.finditer(_WRITTEN_DAYS, text, re.IGNORECASE)]
        self._spare = list(spare)
        self._names = proper_phrases(text)
        self.used: tuple[Span, ...] = tuple(used)

    def known(self, name: str, ok: Callable[[Any], bool]) -> Any:
        """What is known under the name already, or None."""
        value = self._known.get("".join(words_of(name)))
        if value is not None and ok(value):
            self.used += ((-1, -1),)
            return value
        return None

    def is_labelled(self, name: str) -> bool:
        """Whether the text names the parameter itself and gives it a value."""
        return any(
            re.search(rf"\b{label}\b['\"]?\s*(?:(?:is|=|:|to)\s*\S|\d)", self._text, re.IGNORECASE)
            for label in _labels(name)
        )

    def number(self, name: str, ok: Callable[[Any], bool] = lambda _: True) -> int | float | None:
        """The number that is labelled with the name, else the next one that `ok` takes, else None."""
        patterns = []
        for label in _labels(name):
            short = "(?:is|=|:)" if len(label) == 1 else r"(?:is|are|of|to|at|=|:|#)?"
            units = _UNITS.get(label, f"{label}s?")
            patterns.append(rf"\b{label}s?\b['\"]?\s*{short}\s*[$€£#]?({NUMBER})")
            patterns.append(rf"({NUMBER})[\s-]*(?:{units})\b" if len(label) > 1 else rf"({NUMBER})(?!)")
        patterns += [f"({NUMBER})", rf"\b({'|'.join(NUMBER_WORDS)})\b"]
        for pattern in patterns:
            for match in self._free(pattern):
                value = as_number(match[1])
                typed = any(start <= match.start(1) < end for start, end in self._typed)
                whole = int(value) if isinstance(value, float) and value.is_integer() else value
                for candidate in (value, whole):
                    if candidate is not None and not typed and ok(candidate):
                        self._use(match.span())
                        return candidate
        return None

    def truth(self, name: str) -> bool | None:
        """Whether the text wants what the name says; None where it does not speak of it."""
        for word in words_of(name):
            if word in {"is", "has", "include", "with", "use", "enable", "should"}:
                continue
            denied = rf"\b(?:no|not|without|don't|never|exclude|disable|non)\b[^.,;]{{0,15}}\b{word}"
            off = rf"\b{word}\w*['\"]?\s*(?:is|=|:|to)?\s*(?:false|no|off)\b"
            for pattern, value in ((f"{denied}|{off}", False), (rf"\b{word}", True)):
                for match in self._free(pattern):
                    self._use(match.span())
                    return value
        return None

    def choice(self, options: Sequence[Any]) -> Any:
        """The first option that the text names, or None."""
        hits: list[tuple[int, int, int, Any]] = []
        for option in options:
            if isinstance(option, str) and words_of(option):
                pattern = rf"(?<!\w){'[^a-z0-9]*'.join(map(re.escape, words_of(option)))}(?!\w)"
            elif isinstance(option, (int, float)) and not isinstance(option, bool):
                pattern = rf"(?<![\w.]){re.escape(str(option))}(?!\.?\w)"
            else:
                continue
            hits += [(m.start(), -m.end(), len(hits), option) for m in self._free(pattern)]
        if not hits:
            return None
        start, end, _, option = min(hits, key=lambda hit: hit[:3])
        self._use((start, -end))
        return option

    def listed(self, name: str, reach: int) -> list[str]:
        """The texts that the question lists ("red, green and blue"), after their label if it has one."""
        label = "|".join(_labels(name))
        found = list(
            self._free(rf"\b(?:{label})s?['\"]?\s*(?:are|is|=|:)?\s+((?:[\w-]+\s*(?:,\s*(?:and\s+)?|\band\s+))+[\w-]+)")
        )
        if reach and not found:
            quoted = list(self._free(f"({_QUOTED})"))
            runs = [
                run for run in series(self._text) if all(map(self._is_free, run)) and self._text[run[0][0]].isalpha()
            ]
            if quoted or runs:
                spans = [m.span(1) for m in quoted] if quoted else runs[0]
                for span in spans:
                    self._use(span)
                return [_unquoted(self._text[start:end]) for start, end in spans]
            found = list(self._free(r"\b((?:[\w-]+\s*,\s*)*[\w-]+,?\s+and\s+[\w-]+)"))
        if not found:
            return []
        self._use(found[0].span(1))
        return [part for part in re.split(r"\s*(?:,|\band\b)\s*", found[0][1]) if part]

    def formatted(self, form: str, ok: Callable[[Any], bool]) -> str | None:
        """The next text of that JSON Schema format, or None; written-out days become ISO dates."""
        for match in self._free(FORMATS.get(form, "(?!)")):
            if ok(match.group()):
                self._use(match.span())
                return match.group()
        if form == "date":
            for match in self._free(_WRITTEN_DAYS):
                month = re.search(_MONTH, match.group(), re.IGNORECASE)
                day, year = (int(n) for n in re.findall(r"\d+", match.group()))
                number = next(i for i, m in enumerate(_MONTHS, 1) if month and m.startswith(month.group().lower()[:3]))
                try:
                    value = date(year, number, day).isoformat()
                except ValueError:
                    continue
                self._use(match.span())
                return value
        return None

    def text(
        self, name: str, description: str, *, reach: int, ok: Callable[[Any], bool] = lambda _: True
    ) -> str | None:
        """The words for a string parameter, or None.

        `reach` is how far to go: 0 takes only what is labelled with the parameter's name, 1 also quotations and names,
        2 any phrase that is left of the text.
        """
        for start, end, value in self._texts(name, description, reach):
            clean = _unquoted(value.strip())
            if clean and ok(clean):
                self._use((start, end))
                return clean
        return None

    def _texts(self, name: str, description: str, reach: int) -> Iterator[tuple[int, int, str]]:
        hints = set(words_of(name))
        groups = (_PLACES, _PERSONS, TEXTS, _SUMS, *_SIDES.values(), _FORMAT_HINTS)
        if not any(hints & set(group) for group in groups):
            hints |= set(words_of(description))
        entity = bool(hints & (_PLACES | _PERSONS))
        patterns = [
            rf"\b{label}\b['\"]?\s*(?:is\b|=|:|named\b|called\b)\s*({_QUOTED}|{_PHRASE})" for label in _labels(name)
        ]
        for form in dict.fromkeys(_FORMAT_HINTS[h] for h in _FORMAT_HINTS if h in words_of(name)):
            days = f"|{_WRITTEN_DAYS}|{_RELATIVE_DAYS}" if form == "date" else ""
            patterns += [f"({FORMATS[form]}{days})"]
        for pattern in patterns:
            yield from self._matches(pattern)
        names = [s for s in self._names if self._is_free(s)]
        for side, sides in _SIDES.items():
            if hints & sides:
                before = [s for s in names if re.search(rf"\b{side}\s+(?:the )?$", self._text[: s[0]], re.IGNORECASE)]
                yield from self._slices(before)
                yield from self._matches(rf"\b{side}\s+([\w-]+)") if reach > 1 else ()
        if hints & _PERSONS:
            yield from self._matches(rf"\b(?:named|called)\s+({_QUOTED}|{_PHRASE})")
        if hints & _THINGS:
            yield from self._matches(rf"{NUMBER}\s+((?!years?\b)[^\W\d][\w-]*)")
        if hints & _SUMS:
            yield from self._matches(r"((?:[-(]\s*)*\d[\d.]*(?:\s*[-+*/^%()]+\s*[\d.]+\s*\)*)+)")
        if reach < 1 and not entity:
            return
        yield from self._matches(f"({_QUOTED})")
        if hints & TEXTS and not entity:
            yield from self._matches(r":\s+(\S[^\n]*)") if reach > 1 else ()
        else:
            for where in ("in|at|near|to|from", "for|of"):
                placed = [s for s in names if re.search(rf"\b(?:{where})\s+(?:the )?$", self._text[: s[0]])]
                yield from self._slices(placed if hints & _PLACES else ())
            yield from self._slices(names)
            if hints & _PLACES and reach:
                yield from self._matches(r"\b(?:in|at|near)\s+(?:the\s+)?((?!the\b)[\w-]+)")
        if self._spare and not entity and (-2, -2) not in self.used:
            yield -2, -2, self._spare[-1]
        if reach > 1:
            yield self.remainder()[0] + (self.remainder()[1],)

    def remainder(self) -> tuple[Span, str]:
        """The longest phrase that is left of the text, without the words that only ask, and where it stands."""
        chars = list(self._text)
        for start, end in self.used:
            chars[max(start, 0) : max(end, 0)] = "\0" * (max(end, 0) - max(start, 0))
        best: tuple[Span, str] = ((0, 0), "")
        for match in re.finditer(r"(?:[^\0()\n.;!?]|\.(?=\w))+?(?=\s[-–—]+\s|[\0()\n;!?]|\.(?!\w)|$)", "".join(chars)):
            piece = match.group()
            if re.search(r"\b(?:use|using|call)\b.{0,15}\btools?\b", piece, re.IGNORECASE) and "," not in piece:
                continue
            kept = _ASKING.sub("", re.sub(r"^\W*(?:use|using)\b[^,]*\btool\b\W*", "", piece, flags=re.IGNORECASE))
            kept = re.sub(r"(?:\W|\b(?:and|is|a|an|the|in|of|for|named|called|please|to|by|from)\b)+$", "", kept)
            words = kept or piece.strip(" \t-–—,:'\"")
            article = re.search(rf"\b((?:a|an)\s+){re.escape(words)}", piece) if " - " in self._text else None
            words = (article[1] if article else "") + words
            if len(kept or " ") > len(best[1]):
                at = self._text.find(words, match.start())
                best = ((at, at + len(words)), words) if at >= 0 else best
        return best

    def _matches(self, pattern: str) -> Iterator[tuple[int, int, str]]:
        for match in self._free(pattern):
            yield match.start(1), match.end(1), match[1]

    def _slices(self, spans: Sequence[Span]) -> Iterator[tuple[int, int, str]]:
        for start, end in spans:
            yield start, end, self._text[start:end]

    def _free(self, pattern: str) -> Iterator[re.Match[str]]:
        for match in re.finditer(pattern, self._text, re.IGNORECASE):
            if self._is_free(match.span(1 if match.re.groups else 0)):
                yield match

    def _is_free(self, span: Span) -> bool:
        return not any(start < span[1] and span[0] < end for start, end in self.used)

    def _use(self, span: Span) -> None:
        self.used += (span,)


def _labels(name: str) -> list[str]:
    words = words_of(name)
    whole = [r"[\s_-]*".join(map(re.escape, words))]
    return whole + [re.escape(w) for w in reversed(words) if len(words) > 1 and len(w) > 2 and w not in COMMON]


def _unquoted(text: str) -> str:
    return text[1:-1] if re.fullmatch(_QUOTED, text) else text
