"""Text for people."""


def one_line(text: str) -> str:
    """Return a text in one line: each run of blanks and line ends as one blank.

    Example:
        >>> one_line("It broke,\\n  in two\\nlines.")
        'It broke, in two lines.'
    """
    return " ".join(text.split())
