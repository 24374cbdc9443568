"""What TensorFlow says when something goes wrong, as a user should read it."""

import re

# Which operation failed, and advice to whoever writes programs.
_NOISE = re.compile(r"\{\{.*?\}\} |: perhaps your file is in a different.*| \[Op:.*", re.DOTALL)


def reason(error: Exception) -> str:
    """The message of an error that TensorFlow raised, or of Python's for which it stands."""
    return _NOISE.sub("", getattr(error, "message", str(error)))
