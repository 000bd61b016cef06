"""Text for people."""


def one_line(text: str) -> str:
    """Return a text in one line: each run of blanks and line ends as one blank.

    Example:
        >>> one_line("It broke,\\n  in two\\nlines.")
        'It broke, in two lines.'
    """
    return " ".join(text.split())


MAX_REPR = 120
"""Characters of a value that an error message shows. A schema can have thousands."""


def short_repr(value: object) -> str:
    """Return what an error message shows of a value: its repr, or the beginning of a long one.

    Example:
        >>> short_repr({"a": 1})
        "{'a': 1}"
    """
    shown = repr(value)
    return shown if len(shown) <= MAX_REPR else f"{shown[:MAX_REPR]}..."


def shortened(text: str, most: int) -> str:
    """Return a text without its middle where it is longer than `most`: what is wrong stands at either end of an error.

    Example:
        >>> shortened("'aaaaaaaaaaaaaaaaaaaa' is too long", 20)
        "'aaaaaaa...too long"
    """
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"
