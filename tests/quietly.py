"""Imports TensorFlow without what it says then of missing GPUs, whatever the log level."""

import os

from slimhub.signatures import command_line

_STDERR = os.dup(2)
with command_line.held_back(_STDERR):
    import tensorflow  # noqa: F401
    import tensorflow_hub  # noqa: F401
os.close(_STDERR)
