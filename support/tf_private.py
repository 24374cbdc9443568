"""All private API of TensorFlow that slimhub uses, except the protocol buffers of `tensorflow.core`.

`setup.cfg` has an upper bound for TensorFlow's version because of this file. The protocol buffers are
the format of SavedModels and don't change.
"""

import tensorflow as tf
from tensorflow.python.framework import op_def_registry, ops
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting
from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

__all__ = [
    "AutoTrackable",
    "CheckpointState",
    "create_fingerprint",
    "op_def_registry",
    "ops",
]

# An object whose attributes are saved and loaded. Unlike `tf.Module`, it has no other attributes.
AutoTrackable = tf.__internal__.tracking.AutoTrackable
# A function that takes the directory of a SavedModel and returns a serialized `FingerprintDef`.
create_fingerprint = fingerprinting.CreateFingerprintDef
