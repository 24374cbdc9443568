"""Names in files of others may hold any character; what is shown of them does nothing to a terminal."""


def printable(text: str) -> str:
    """The text with every character that does not print as an escape sequence of Python."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
