"""What a checkpoint of a training holds beside the weights of a network.

Of each variable that an optimizer moves there are its slots, named after the variable, and with
moving averages one more; of some optimizers there are scalars, wherever they were built.
"""

import fnmatch
from collections.abc import Collection, Mapping

from slimhub.models.catalog import Model

# Of `tf.train.ExponentialMovingAverage`.
MOVING_AVERAGE = "ExponentialMovingAverage"

# By the optimizers of Slim's `train_image_classifier`, under their names in TensorFlow 1; its "sgd"
# has none. The third slot of RMSProp is that of `centered=True`.
_SLOTS = {
    "adadelta": ("Adadelta", "Adadelta_1"),
    "adagrad": ("Adagrad",),
    "adam": ("Adam", "Adam_1"),
    "ftrl": ("Ftrl", "Ftrl_1"),
    "momentum": ("Momentum",),
    "rmsprop": ("RMSProp", "RMSProp_1", "RMSProp_2"),
}
_OF_VARIABLES = frozenset({MOVING_AVERAGE}.union(*_SLOTS.values()))
# The powers of Adam's decays.
_SCALARS = frozenset({"beta1_power", "beta2_power"})


def average_of(variable: str) -> str:
    """The name of a variable's moving average."""
    return f"{variable}/{MOVING_AVERAGE}"


def expected(name: str, *, model: Model, variables: Collection[str]) -> bool:
    """Whether a training of the network leaves that beside the variables that are wanted.

    Args:
      name: in the checkpoint.
      model: the network.
      variables: those wanted, which may be without the head.
    """
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in model.expected_extras):
        return True
    head = [f"{model.scope}/{model.head}/{kind}" for kind in ("weights", "biases")]
    owner, _, last = name.rpartition("/")
    if last in _OF_VARIABLES:
        return owner in variables or owner in head
    return name in head or last in _SCALARS


def averages(variables: Mapping[str, bool], *, stored: Collection[str]) -> dict[str, str]:
    """Under which names a checkpoint has what an evaluation with moving averages restores.

    Args:
      variables: whether each is trainable, by name. A trainable one has its moving average, or the
        training had none; another, of batch norm, has one if all model variables were averaged.
      stored: names in the checkpoint.
    """
    return {
        name: average_of(name) if trainable or average_of(name) in stored else name
        for name, trainable in variables.items()
    }
