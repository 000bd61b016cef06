"""The secrets in a client's settings, and how they are taken out of what a server says."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, unquote_plus, urlsplit

MIN_SECRET_LENGTH = 8
"""The least characters of a secret, where it is the value of a header, a part of the query, or the user beside a
password. A shorter one is more likely a common word, which must not be taken out of messages. Passwords are
secrets at any length, and so are keys, but for those that are words."""


def collect_secrets(key: str | None, base_url: str, proxy: str | None, headers: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets in a client's settings; `headers` are the values of those that the user added."""
    query = [part.partition("=") for part in urlsplit(base_url.strip()).query.split("&")]
    words = [form for name, _, value in query for form in (value or name, unquote_plus(value or name))]
    for value in headers:
        words += [value, *value.split()]  # "Bearer KEY" has the key as a word
    known = {
        *login_secrets(base_url),
        *login_secrets(proxy or ""),
        *(word for word in words if len(word) >= MIN_SECRET_LENGTH),
    }
    return tuple(known | {key} if key and not _is_word(key) else known)


def _is_word(key: str) -> bool:
    """Return whether a key is no secret but a word that stands for one, such as "key", "none" or "password"."""
    return len(key) <= MIN_SECRET_LENGTH and key.isascii() and key.isalpha()


def login_secrets(url: str) -> set[str]:
    """Return the secrets before the @ of a URL: the password, or the user where there is none, and both in base64."""
    login = urlsplit(url.strip()).netloc.rpartition("@")[0]
    user, _, password = login.partition(":")
    parts = {password, "" if password and len(user) < MIN_SECRET_LENGTH else user}
    return {*parts, *map(unquote, parts), basic_credentials(login) if login else ""} - {""}


def basic_credentials(login: str) -> str:
    """Return the user and the password of a URL as a header of basic authentication has them."""
    return base64.b64encode(unquote(login if ":" in login else f"{login}:").encode()).decode()


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text with *** for each secret, also where the text has it escaped as in URLs, JSON or Python."""
    pattern = pattern_of(secrets)
    return pattern.sub("***", text) if pattern else text


def pattern_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern for each secret, in all these forms; None where there are no secrets."""
    longest_first = sorted(secrets, key=len, reverse=True)  # one may be a part of another
    return re.compile("|".join(map(_pattern, longest_first))) if longest_first else None


_BACKSLASH = r"(?:\\|(?i:%5c|u005c))"


def _pattern(secret: str) -> str:
    return "".join(map(_any_form, re.findall(r"[A-Za-z0-9]+|\\*[^A-Za-z0-9\\]|\\+", secret)))


def _any_form(part: str) -> str:
    # No pattern here can match the same text in two ways. Otherwise a server could send text that takes long to search.
    c = part[-1]
    if c.isascii() and c.isalnum():
        return part
    if c == "\\":
        return f"{_BACKSLASH}{{1,64}}"
    forms = {re.escape(c), re.escape(quote(c, safe="", errors="replace")), f"u{ord(c):04x}"}
    longest_first = sorted(forms, key=len, reverse=True)
    return f"{_BACKSLASH}{{0,64}}(?i:{'|'.join(longest_first)})"
