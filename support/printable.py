"""Text from files of strangers, made safe to print: it may hold control characters for a terminal."""


def printable(text: str) -> str:
    """Return the text with each unprintable character replaced by its Python escape sequence."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
