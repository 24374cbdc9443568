"""TensorFlow's error messages, shortened for users."""

import re

# Names of operations, and advice for programmers.
_NOISE = re.compile(r"\{\{.*?\}\} |: perhaps your file is in a different.*| \[Op:.*", re.DOTALL)


def summarize_tf_error(error: Exception) -> str:
    """Return the message of an error that TensorFlow raised, without the parts that users don't need."""
    return _NOISE.sub("", getattr(error, "message", str(error)))
