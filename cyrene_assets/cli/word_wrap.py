"""Text that arrives in pieces, broken at words where a line of the terminal is full."""

from rich.cells import cell_len


class WordWrap:
    """Breaks a growing text at spaces, and between characters that are two columns wide.

    ``feed`` returns what can be printed by now: the last word waits until it is complete.
    """

    def __init__(self, width: int, column: int = 0) -> None:
        """Begin at ``column`` of a line of ``width`` columns."""
        self._width = max(width, 2)
        self._column = column
        self._word = ""

    def feed(self, text: str) -> str:
        """Return the next part of the wrapped text."""
        return "".join(map(self._add, text))

    def end(self) -> str:
        """Return the last word."""
        word, self._word = self._word, ""
        cells = cell_len(word)
        broken = "\n" if self._column and self._column + cells > self._width else ""
        self._column = (0 if broken else self._column) + cells
        return broken + word

    def _add(self, character: str) -> str:
        if character == "\n":
            done = self.end()
            self._column = 0
            return f"{done}\n"
        if character.isspace():
            done = self.end()
            if self._column < self._width:
                self._column += 1
                return done + character
            self._column = 0
            return f"{done}\n"
        if cell_len(character) > 1:
            done = self.end()
            self._word = character
            return done + self.end()
        self._word += character
        # A word as long as the line is broken wherever it is full.
        return self.end() if cell_len(self._word) >= self._width else ""
