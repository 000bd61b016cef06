"""What of the settings is a secret, and how a text is rid of it in every form."""

import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from langchain_darkai._http.redaction import basic_credentials, collect_secrets, redact

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a part of a URL": quote,
    "in a URL, in small letters": lambda secret: quote(secret, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "in JSON": json.dumps,
    "in JSON in JSON": lambda secret: json.dumps(json.dumps(secret)),
    "in the JSON of other languages": lambda secret: secret.replace("/", "\\/").replace("&", "\\u0026"),
    "in Python": repr,
    "in Python's bytes": lambda secret: repr(secret.encode()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", ["sk-abc.DEF_123~", "ab/cd+ef&gh=", "pa\\ss'wo\"rd", "%41 b", ".*", "a\\\\b\\'"])
def test_every_form_of_a_secret_is_redacted(secret: str, form: str) -> None:
    assert redact(f"x{FORMS[form](secret)}y", [secret]).strip("xyb'\"\\") == "***"


def test_words_that_are_no_secrets_stay() -> None:
    assert redact("a.b, a-b, A.B, %41", ["a-b", "A"]) == "a.b, ***, ***.B, %41"
    assert redact("as it was", []) == "as it was"


def test_the_longest_secret_goes_first() -> None:
    assert redact("abc-abcdef", ["abc", "abcdef"]) == "***-***"


def test_redaction_takes_no_time() -> None:
    """A server must not keep a process busy with words that look like a secret all along."""
    for text in ("\\" * 20_000, "'\\" * 10_000, "\\'" * 10_000, "-" * 20_000, "%5C" * 7000):
        secrets = ["'" + "x" * 100, "\\" * 100 + "y", "\\'" * 100 + "y", "-" * 100 + "y", "-\\-\\\\-y"]
        started = time.monotonic()
        assert redact(text, secrets) == text
        assert time.monotonic() - started < 5


def test_the_secrets_in_settings() -> None:
    assert set(collect_secrets(None, "https://model.test", None, [])) == set()
    assert set(collect_secrets("k1", "https://model.test/?a=1", "http://proxy.test:3128", ["short"])) == {"k1"}
    assert set(collect_secrets(None, "https://model.test/?a=b%2Fcdefgh&also-bare", None, ["Bearer abcdefgh"])) == {
        "b%2Fcdefgh",
        "b/cdefgh",
        "also-bare",
        "Bearer abcdefgh",
        "abcdefgh",
    }
    assert set(collect_secrets(None, "http://me:p%40w@model.test", "http://long-name:pw@proxy.test", [])) == {
        "p%40w",
        "p@w",
        "bWU6cEB3",
        "pw",
        "long-name",
        "bG9uZy1uYW1lOnB3",
    }
    assert set(collect_secrets(None, " http://tok@model.test", None, [])) == {"tok", "dG9rOg=="}


@pytest.mark.parametrize("key", ["key", "API", "none", "password"])
def test_a_key_that_is_a_word_stays_in_messages(key: str) -> None:
    said = f"The API {key} was rejected, and no other {key} either."
    assert redact(said, collect_secrets(key, "https://model.test", None, [])) == said


@pytest.mark.parametrize("key", ["k3y", "sk-a", "passwords", "ключ"])
def test_a_key_that_is_no_short_word_is_a_secret(key: str) -> None:
    assert redact(f"got {key}", collect_secrets(key, "https://model.test", None, [])) == "got ***"


@pytest.mark.parametrize(
    ("login", "sent"), [("user:pw", "dXNlcjpwdw=="), ("user", "dXNlcjo="), ("user:", "dXNlcjo="), (":", "Og==")]
)
def test_basic_credentials_always_have_a_colon(login: str, sent: str) -> None:
    assert basic_credentials(login) == sent
    assert basic_credentials(quote_plus(login, safe=":")) == sent
