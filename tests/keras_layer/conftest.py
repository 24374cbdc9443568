"""The small module as a layer of Keras 3."""

import numpy as np
import pytest

from slimhub.keras import ModuleLayer

LABELS = np.array([0, 1, 2, 0])


@pytest.fixture
def path(stem) -> str:
    """The directory of version 5."""
    return str(stem / "5")


@pytest.fixture
def classifier():
    """A function that puts a new classification layer above a layer, and compiles the model."""
    import keras

    def get(layer: ModuleLayer, optimizer=None, **how) -> keras.Model:
        inputs = keras.Input((None, None, 3))
        outputs = layer(inputs)
        features = outputs["default"] if isinstance(outputs, dict) else outputs
        head = keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
        model = keras.Model(inputs, head(features))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer or keras.optimizers.Adam(1e-3), loss, **how)
        return model

    return get


@pytest.fixture
def fit(images):
    """A function that fits a model to one batch, and returns the loss before each step."""

    def get(model, steps: int = 3) -> list[float]:
        return model.fit(images(4, 32), LABELS, epochs=steps, shuffle=False, verbose=0).history[
            "loss"
        ]

    return get
