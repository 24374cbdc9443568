"""slimhub.keras: modules as layers of Keras 3.

The folder has another name, as `import keras` in a checkout would find one that is called `keras`.
"""

from slimhub.keras.layer import ModuleLayer

__all__ = ["ModuleLayer"]
