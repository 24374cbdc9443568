"""Import TensorFlow without its messages about missing GPUs, which it prints at any log level."""

import os

from slimhub.support import signals

_STDERR = os.dup(2)
signals.silence_stderr()
import tensorflow_hub  # noqa: E402, F401

os.dup2(_STDERR, 2)
os.close(_STDERR)
