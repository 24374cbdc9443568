"""The class names' file of a module: UTF-8, one class per line, in order.

This file doesn't import TensorFlow, so it is cheap to import.
"""

import unicodedata
from collections.abc import Iterator, Sequence

# The names of 20 000 classes take fewer bytes.
MOST_BYTES = 1 << 20

# Categories of characters that some programs take for the end of a line, or that no name needs.
_REFUSED = ("Cc", "Zl", "Zp")
_BYTE_ORDER_MARK = "\ufeff"
# Most problems that a message lists; it counts the others.
_MOST_PROBLEMS = 5


def parse(content: bytes) -> tuple[str, ...]:
    """Return the class names in the content of a file. The last line may lack its line feed.

    Raises:
      ValueError: the content is empty or not UTF-8, or lines are empty or have control characters.
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
    """Return the content of the file with these names."""
    return "".join(f"{name}\n" for name in names).encode()


def refuse(problems: Sequence[str]) -> None:
    """Raise `ValueError` if there are problems; its message lists the first of them."""
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
