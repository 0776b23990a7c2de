"""Numbers in sentences."""


def counted(number: int, one: str, more: str = "") -> str:
    """Return a number and what it counts: 1 line, 2 lines.

    Args:
        number: how many.
        one: what one is called.
        more: what several are called, where an s is not enough.
    """
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"
