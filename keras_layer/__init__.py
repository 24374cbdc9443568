"""slimhub.keras: modules as layers of Keras 3.

The folder has another name, as `import keras` in a checkout would find one that is called `keras`.
"""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"slimhub.keras needs Keras with TensorFlow, got {keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
    )

from slimhub.keras.layer import ModuleLayer

__all__ = ["ModuleLayer"]
