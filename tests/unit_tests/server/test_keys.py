"""The lines of a file of keys: what is read from them, what is refused, and that nothing of them is told."""

import hashlib
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from langchain_darkai.server.keys import Access, ApiKey, new_key, parse_keys

DIGEST = hashlib.sha256(b"secret").hexdigest()

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", fullmatch=True)
counts = st.none() | st.integers(1, 999_999_999)
models = st.from_regex(r"[^\s,]+", fullmatch=True).filter(lambda name: name.split() == [name])
keys = st.builds(
    ApiKey,
    name=names,
    digest=st.binary(min_size=32, max_size=32),
    models=st.none() | st.frozensets(models, min_size=1, max_size=3),
    at_once=counts,
    per_minute=counts,
)


@given(st.lists(keys, min_size=1, max_size=5, unique_by=lambda key: key.name), st.sampled_from(["\n", "\n\n# a; b\n"]))
def test_what_is_written_is_read(written: list[ApiKey], end: str) -> None:
    assert parse_keys(end.join(key.line for key in written), "it") == tuple(written)


@given(st.text())
def test_any_text_is_keys_or_a_sentence(text: str) -> None:
    said = "it"
    try:
        assert parse_keys(text, "it")
    except ValueError as error:
        said = str(error)
    assert said.startswith("it")
    assert "\n" not in said


def test_comments_blank_lines_and_options() -> None:
    text = f"# ours\n\n  team-a:{DIGEST}\r\nbatch:{DIGEST.upper()} per-minute=60 models=small,org/big at-once=2\n"
    a, batch = parse_keys(text, "it")
    assert a == ApiKey(name="team-a", digest=hashlib.sha256(b"secret").digest())
    assert (batch.models, batch.at_once, batch.per_minute) == (frozenset({"small", "org/big"}), 2, 60)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("my-plain-secret", "and not the key itself"),
        ("team a:" + DIGEST, "after name: there must be the key's SHA-256"),
        (":" + DIGEST, "must begin with a name"),
        ("a:my-plain-secret", "and not the key itself"),
        (f"a:{DIGEST}0", "and not the key itself"),
        (f"a:{DIGEST} my-plain-secret", "the options are"),
        (f"a:{DIGEST} at-once=0", "at-once must be a whole number from 1"),
        (f"a:{DIGEST} per-minute=ten", "per-minute must be a whole number from 1"),
        (f"a:{DIGEST} at-once", "at-once must be a whole number from 1"),
        (f"a:{DIGEST} models=", "models= must be followed by names"),
        (f"a:{DIGEST} models=x,", "models= must be followed by names"),
        (f"a:{DIGEST} at-once=1 at-once=2", "an option stands there twice"),
        (f"ok:{DIGEST}", "an earlier key is called ok, too"),
    ],
)
def test_a_bad_line_is_named_and_not_quoted(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^the file, line 2: ") as caught:
        parse_keys(f"ok:{DIGEST}\n{line}", "the file")
    assert reason in str(caught.value)
    assert "my-plain-secret" not in str(caught.value)
    assert DIGEST not in str(caught.value)


def test_a_semicolon_ends_a_line_of_the_variable_and_not_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours; ask Bob for another\na:{DIGEST}\n")
    request = make_mocked_request("GET", "/models", {"authorization": "Bearer secret"})
    for access in (Access(file=file), Access(text=f"# ours; a:{DIGEST}")):
        key = access.identify(request)
        assert key is not None
        assert key.name == "a"
    file.write_text("# ours; ask Bob for another\nmy-plain-secret\n")
    with pytest.raises(ValueError, match=r"keys, line 2: after name: there must be"):
        Access(file=file)


@pytest.mark.parametrize("text", ["", "\n# nothing\n"])
def test_no_keys_at_all_are_no_open_door(text: str) -> None:
    with pytest.raises(ValueError, match="holds no key"):
        parse_keys(text, "it")


def test_a_new_key_is_long_and_its_line_does_not_hold_it() -> None:
    made = [new_key("a", models=["x"], at_once=1, per_minute=2) for _ in range(2)]
    assert made[0][0] != made[1][0]
    for secret, key in made:
        assert len(secret) > 40
        assert secret not in key.line
        assert secret not in repr(key)
        assert key.digest.hex() not in repr(key)
        assert key.line == f"a:{hashlib.sha256(secret.encode()).hexdigest()} models=x at-once=1 per-minute=2"


@pytest.mark.parametrize("options", [{"models": ["a b"]}, {"models": ["a,b"]}, {"models": []}, {"at_once": 0}])
def test_a_new_key_that_no_line_can_hold_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"models|at-once"):
        new_key("a", **options)  # type: ignore[arg-type]


def test_a_file_and_a_text_together_have_one_key_of_a_name(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"a:{DIGEST}")
    with pytest.raises(ValueError, match="More than one key is called a"):
        Access(file=file, text=f"a:{DIGEST}")
    with pytest.raises(ValueError, match="More than one key is called default"):
        Access(b"plain", text=f"default:{DIGEST}")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no text in UTF-8"):
        Access(file=file)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"The file of keys .* cannot be read: No such file"):
        Access(file=tmp_path / "keys")
