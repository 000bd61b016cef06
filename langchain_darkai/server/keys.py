"""Who may use a server: named keys, of which it knows the SHA-256 only, and what each may do.

A file of keys has one a line, and so has the environment variable; there, `;` may stand for the end of a line:

    # name:sha256, then what the key may do; what is not there is not limited
    team-a:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    batch:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752 models=small,big at-once=2 per-minute=60

No message, log or repr here holds a key or its digest, nor a line of the file: a key may stand there by mistake.
"""

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from langchain_darkai.errors import DarkAIAuthenticationError
from langchain_darkai.server.rates import import_limits

__all__ = ["Access", "ApiKey", "new_key", "parse_keys"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_COUNT = re.compile(r"[1-9][0-9]{0,8}")

_logger = logging.getLogger("langchain_darkai.server.keys")


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key by its name and its SHA-256, with what it may do; None does not limit it.

    Example:
        >>> ApiKey(name="team-a", digest=b"...", per_minute=60)
        ApiKey(name='team-a', models=None, at_once=None, per_minute=60)
    """

    name: str
    """What logs call it."""

    digest: bytes = field(repr=False)
    """The SHA-256 of the key."""

    models: frozenset[str] | None = None
    """The models that it may use."""

    at_once: int | None = None
    """How many of its requests may be answered at once."""

    per_minute: int | None = None
    """How many requests it may send within any minute."""

    def may_use(self, model: str) -> bool:
        """Return whether it may use a model."""
        return self.models is None or model in self.models

    @property
    def line(self) -> str:
        """Its line in a file of keys."""
        options = {
            "models": ",".join(sorted(self.models)) if self.models is not None else None,
            "at-once": self.at_once,
            "per-minute": self.per_minute,
        }
        words = [f"{name}={value}" for name, value in options.items() if value is not None]
        return " ".join([f"{self.name}:{self.digest.hex()}", *words])


def new_key(
    name: str,
    *,
    models: Collection[str] | None = None,
    at_once: int | None = None,
    per_minute: int | None = None,
) -> tuple[str, ApiKey]:
    """Return a new key, which is stored nowhere, and what a server has to know of it.

    Raises ValueError for a name or a limit that a file of keys cannot hold.

    Example:
        >>> secret, key = new_key("team-a", at_once=2)
        >>> parse_keys(key.line, "a file") == (key,), key.digest == _digest_of(secret.encode())
        (True, True)
    """
    secret = f"dk-{secrets.token_urlsafe(32)}"
    allowed = None if models is None else frozenset(models)
    key = ApiKey(name=name, digest=_digest_of(secret.encode()), models=allowed, at_once=at_once, per_minute=per_minute)
    if parse_keys(key.line, "The new key") != (key,):
        raise ValueError("The names of models must hold no blanks, commas or line ends.")
    return secret, key


def parse_keys(text: str, source: str) -> tuple[ApiKey, ...]:
    """Return the keys that a text names.

    Raises ValueError, which says in which line of the `source` something is wrong, and quotes nothing of it.
    """
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            key = _key_of(words)
        except ValueError as error:
            raise ValueError(f"{source}, line {number}: {error}.") from None
        if key.name in keys:
            raise ValueError(f"{source}, line {number}: an earlier key is called {key.name}, too.")
        keys[key.name] = key
    if not keys:
        raise ValueError(f"{source} holds no key. `langchain-darkai key NAME` makes one, with its line.")
    return tuple(keys.values())


def _key_of(words: list[str]) -> ApiKey:
    name, _, digest = words[0].partition(":")
    if not _NAME.fullmatch(name):
        raise ValueError("it must begin with a name of at most 64 letters, digits, dots, @, _ and -, and a colon")
    if not _DIGEST.fullmatch(digest):
        raise ValueError("after name: there must be the key's SHA-256 in 64 hexadecimal digits, and not the key itself")
    parted = [word.partition("=") for word in words[1:]]
    options = {option: value for option, _, value in parted}
    if len(options) < len(words) - 1:
        raise ValueError("an option stands there twice")
    models = options.pop("models", None)
    counts = {name: options.pop(name, None) for name in ("at-once", "per-minute")}
    if options:
        raise ValueError("the options are models=NAME,NAME, at-once=NUMBER and per-minute=NUMBER")
    if models is not None and not all(models.split(",")):
        raise ValueError("models= must be followed by names, with commas between them")
    for option, count in counts.items():
        if count is not None and not _COUNT.fullmatch(count):
            raise ValueError(f"{option} must be a whole number from 1")
    at_once, per_minute = (None if count is None else int(count) for count in counts.values())
    return ApiKey(
        name=name,
        digest=bytes.fromhex(digest),
        models=None if models is None else frozenset(models.split(",")),
        at_once=at_once,
        per_minute=per_minute,
    )


def _digest_of(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


class Access:
    """The keys that a server takes: a plain one, those of a file, and those of a text; none at all lets everyone in.

    Raises ValueError for keys that cannot be read, and OSError for a file that is not there.
    """

    def __init__(self, plain: bytes | None = None, *, file: Path | None = None, text: str | None = None) -> None:
        self._plain = () if plain is None else (ApiKey(name="default", digest=_digest_of(plain)),)
        self._file, self._text = file, text
        self.has_file: bool = file is not None
        self.is_open: bool = plain is None and file is None and text is None
        self._keys = self._read()

    def _read(self) -> tuple[ApiKey, ...]:
        text = None if self._text is None else self._text.replace(";", "\n")  # a variable is easier to set in one line
        of_text = () if text is None else parse_keys(text, "The keys in the environment")
        of_file = () if self._file is None else parse_keys(_text_of(self._file), f"The file of keys {self._file}")
        keys = (*self._plain, *of_text, *of_file)
        names = [key.name for key in keys]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"More than one key is called {', '.join(twice)}. Give each a name of its own.")
        if any(key.per_minute for key in keys):
            import_limits()
        return keys

    def reload(self) -> None:
        """Read the keys again. Where they cannot be read, those from before stay, and the log says why."""
        try:
            self._keys = self._read()
        except (OSError, ValueError) as error:
            _logger.error("The keys stay as they were, since they cannot be read again. %s", _reason(error))  # noqa: TRY400 - the traceback says no more
        else:
            _logger.info("The keys were read again: there are %d.", len(self._keys))

    def identify(self, request: web.Request) -> ApiKey | None:
        """Return the key that a request is sent with, or None where the server asks for none.

        Raises DarkAIAuthenticationError where there is no key, or none that the server knows.
        """
        if self.is_open:
            return None
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        digest = _digest_of(key.strip().encode("utf-8", "surrogateescape"))
        # All are compared, so that the time does not tell which one it was.
        found = [known for known in self._keys if hmac.compare_digest(known.digest, digest)]
        if scheme.lower() != "bearer" or not found:
            what = "The API key was rejected" if scheme else "An API key is needed"
            raise DarkAIAuthenticationError(f"{what}: send the header Authorization: Bearer KEY.")
        return found[0]


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OSError(error.errno, f"The file of keys {file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise ValueError(f"The file of keys {file} is no text in UTF-8.") from None


def _reason(error: BaseException) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
