"""Secrets taken out of what is recorded: keys in headers, in URLs and in bodies, and wherever else they appear."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from langchain_darkai._http.redaction import MIN_SECRET_LENGTH, pattern_of, redact
from langchain_darkai.testing.cassette import Piece, RecordedRequest, body_of

__all__ = ["MASK", "Masker", "is_name_of_secret"]

MASK = "***"

MIN_KEY_LENGTH = 4
"""The least characters of a key in a header or a URL that is also looked for in texts; a shorter one may be a word."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_OF_SECRETS = frozenset(
    "apikey auth authorization authentication cookie credential credentials key passwd password secret sig signature "
    "token".split()
)


def is_name_of_secret(name: str) -> bool:
    """Return whether the value of a header, a parameter or a member of JSON with this name is taken for a secret.

    Example:
        >>> [name for name in ("x-api-key", "accessToken", "max_tokens", "Cookie") if is_name_of_secret(name)]
        ['x-api-key', 'accessToken', 'Cookie']
    """
    return any(word.lower() in _OF_SECRETS for word in _WORDS.findall(name))


class Masker:
    """Masks the secrets of one exchange: those that it is told of, and those that it finds in the request.

    Example:
        >>> masker = Masker()
        >>> masker.learn({"authorization": "Bearer sk-123456"}, "/chat", {"query": "My key is sk-123456."})
        >>> masker.value({"query": "My key is sk-123456."})
        {'query': 'My key is ***.'}
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = {secret for secret in secrets if secret}

    def learn(self, headers: Mapping[str, str], target: str, body: Any) -> None:
        """Take over the secrets that are named as such in a request."""
        found = [form for header in headers.items() for form in _secrets_of_header(*header)]
        self._add(found, MIN_KEY_LENGTH)
        pairs = [part.partition("=") for part in urlsplit(target).query.split("&")]
        values = [value for name, _, value in pairs if is_name_of_secret(unquote_plus(name))]
        self._add((form for value in values for form in (value, unquote_plus(value))), MIN_KEY_LENGTH)
        self._add(_secrets_in(body), MIN_SECRET_LENGTH)

    def request(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes, *, dropped: Collection[str] = ()
    ) -> RecordedRequest:
        """Learn the secrets of a request, and return it without them and without the headers to be dropped.

        A recording is searched for what this returns, so the requests in it come from here, too.
        """
        body = body_of(content)
        self.learn(headers, target, body)
        kept = {name: value for name, value in headers.items() if name not in dropped}
        return RecordedRequest(method, self.target(target), self.headers(kept), self.value(body))

    def _add(self, words: Iterable[str], least: int) -> None:
        self._secrets.update(word for word in words if len(word) >= least)

    def text(self, text: str) -> str:
        """Return a text without the secrets."""
        return redact(text, self._secrets)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers without the secrets."""
        return {name: MASK if is_name_of_secret(name) else self.text(value) for name, value in headers.items()}

    def target(self, target: str) -> str:
        """Return a path with its query, without the secrets."""
        path, mark, query = target.partition("?")
        parts = [part.partition("=") for part in query.split("&")]
        masked = [
            f"{name}{sign}{MASK if value and is_name_of_secret(unquote_plus(name)) else value}"
            for name, sign, value in parts
        ]
        return self.text(f"{path}{mark}{'&'.join(masked)}")

    def value(self, value: Any) -> Any:
        """Return the body of a request without the secrets, at any depth of its JSON."""
        if isinstance(value, bytes):
            return b"".join(piece.data for piece in self.pieces([Piece(0.0, value)]))
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {
                self.text(name): MASK if _is_secret(name, item) else self.value(item) for name, item in value.items()
            }
        return value

    def pieces(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return the pieces of a response without the secrets, also those that begin in one piece and end in another.

        The mask stands in the piece in which the secret begins.
        """
        whole = b"".join(piece.data for piece in pieces)
        spans = self._spans(whole)
        masked: list[Piece] = []
        start, waited = 0, 0.0
        for piece in pieces:
            end = start + len(piece.data)
            data = _without(whole, spans, start, end)
            start, waited = end, waited + piece.after
            if data:
                masked.append(Piece(round(waited, 3), data))
                waited = 0.0
        return masked

    def _spans(self, content: bytes) -> list[tuple[int, int]]:
        """Return where secrets stand, in bytes."""
        pattern = pattern_of(self._secrets)
        text = content.decode("utf-8", "surrogateescape")
        spans: list[tuple[int, int]] = []
        seen = position = 0
        for found in pattern.finditer(text) if pattern else ():
            start = position + len(text[seen : found.start()].encode("utf-8", "surrogateescape"))
            position = start + len(found[0].encode("utf-8", "surrogateescape"))
            seen = found.end()
            spans.append((start, position))
        return spans


def _without(whole: bytes, spans: Sequence[tuple[int, int]], start: int, end: int) -> bytes:
    """Return a part of a content without the secrets, and with a mask for each that begins in it."""
    kept = []
    for first, last in spans:
        if last <= start or first >= end:
            continue
        kept.append(whole[start : max(start, first)])
        if first >= start:
            kept.append(MASK.encode())
        start = min(last, end)
    return b"".join([*kept, whole[start:end]])


def _secrets_of_header(name: str, value: str) -> list[str]:
    """Return the secrets in a header: of cookies the values, of others the value, and what follows its first word."""
    if not is_name_of_secret(name):
        return []
    if "cookie" in name.lower():
        return [part.partition("=")[2].strip() for part in value.split(";")]
    return [value, *value.split(maxsplit=1)[1:]]  # "Bearer KEY" has the key after the scheme


def _is_secret(name: str, value: Any) -> bool:
    return isinstance(value, str) and value != "" and is_name_of_secret(name)


def _secrets_in(body: Any) -> list[str]:
    if isinstance(body, list):
        return [secret for item in body for secret in _secrets_in(item)]
    if not isinstance(body, dict):
        return []
    own = [value for name, value in body.items() if _is_secret(name, value)]
    return own + [secret for value in body.values() for secret in _secrets_in(value)]
