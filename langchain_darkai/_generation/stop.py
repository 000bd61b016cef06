"""Cutting a text that comes in pieces at the first of some stop sequences."""

from collections.abc import Sequence


class StopSequenceFilter:
    """Passes text on up to the first stop sequence, even if the sequence is split between two pieces.

    Only the end of the text is held back, as far as a sequence could begin in it. `stopped` is true once one was found.

    Example:
        >>> stop_filter = StopSequenceFilter(["END"])
        >>> stop_filter.feed("one E"), stop_filter.feed("ND two"), stop_filter.stopped
        ('one ', '', True)
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = tuple(sequences)
        self._longest = max(map(len, self._sequences))
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Return the text that is certain to stand before any stop sequence."""
        if self.stopped:
            return ""
        text = self._held + text
        self._held = ""
        # The sequence that ends first counts. Which one that is does not depend on how the text was cut into pieces.
        if found := [(at + len(sequence), at) for sequence in self._sequences if (at := text.find(sequence)) >= 0]:
            self.stopped = True
            return text[: min(found)[1]]
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            if any(sequence.startswith(text[-length:]) for sequence in self._sequences):
                self._held = text[-length:]
                return text[:-length]
        return text

    def finish(self) -> str:
        """Return what was held back, at the end of the text."""
        held, self._held = self._held, ""
        return held
