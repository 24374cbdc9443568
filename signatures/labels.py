"""The file of a module that names its classes: UTF-8, a line each, in their order.

Knows nothing of TensorFlow, so that it is cheap to import.
"""

import unicodedata
from collections.abc import Iterator, Sequence

# The names of 20 000 classes have less.
MOST_BYTES = 1 << 20

# Of characters that end a line somewhere, or that no name needs.
_REFUSED = ("Cc", "Zl", "Zp")
_BYTE_ORDER_MARK = "\ufeff"
# So many lines are named in a message, and the rest counted.
_MOST_PROBLEMS = 5


def parse(content: bytes) -> tuple[str, ...]:
    """The lines of such a file, the last of which may lack its end.

    Raises:
      ValueError: it is not UTF-8, or has no lines, empty ones, or some with control characters.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        number = 1 + content.count(b"\n", 0, error.start)
        raise ValueError(
            f"line {number}: expected UTF-8, got {error.object[error.start]:#x}"
        ) from error
    names = tuple(text.removesuffix("\n").split("\n"))
    if not text:
        raise ValueError("it names no class")
    refuse(list(_problems(names)))
    return names


def to_bytes(names: Sequence[str]) -> bytes:
    """The file that gives these names."""
    return "".join(f"{name}\n" for name in names).encode()


def refuse(problems: Sequence[str]) -> None:
    """Raises `ValueError` if there are any, and names the first of them."""
    more = len(problems) - _MOST_PROBLEMS
    if problems:
        shown = [*problems[:_MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
        raise ValueError("; ".join(shown))


def _problems(names: Sequence[str]) -> Iterator[str]:
    for number, name in enumerate(names, 1):
        bad = [c for c in name if unicodedata.category(c) in _REFUSED or c == _BYTE_ORDER_MARK]
        if bad:
            yield f"line {number}: the control character U+{ord(bad[0]):04X}"
        elif not name.strip():
            yield f"line {number}: it is empty"
