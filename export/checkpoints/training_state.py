"""The variables that a training's checkpoint holds beside the weights of a network.

Each variable that an optimizer moves has slots, whose names begin with the variable's name, and one more
if the training keeps moving averages. Some optimizers also have scalars, in any scope.
"""

import fnmatch
from collections.abc import Collection, Mapping

from slimhub.models.model import Model

# The name that `tf.train.ExponentialMovingAverage` appends.
MOVING_AVERAGE = "ExponentialMovingAverage"

# Slots of the optimizers of Slim's `train_image_classifier`, under their names in TensorFlow 1. Its "sgd"
# has none. RMSProp has the third slot with `centered=True`.
_SLOTS = {
    "adadelta": ("Adadelta", "Adadelta_1"),
    "adagrad": ("Adagrad",),
    "adam": ("Adam", "Adam_1"),
    "ftrl": ("Ftrl", "Ftrl_1"),
    "momentum": ("Momentum",),
    "rmsprop": ("RMSProp", "RMSProp_1", "RMSProp_2"),
}
_OF_VARIABLES = frozenset({MOVING_AVERAGE}.union(*_SLOTS.values()))
# Powers of Adam's decays.
_SCALARS = frozenset({"beta1_power", "beta2_power"})
# Keys of `tf.train.Checkpoint`: the graph of objects and their variables, and the number of saves.
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_OF_OBJECTS = frozenset({OBJECT_GRAPH, "save_counter"})


def average_of(variable: str) -> str:
    """Return the name of a variable's moving average."""
    return f"{variable}/{MOVING_AVERAGE}"


def is_expected(name: str, *, model: Model, variables: Collection[str]) -> bool:
    """Return whether a training of the network writes this variable beside the wanted ones.

    Args:
      name: name in the checkpoint.
      model: the network.
      variables: names of the wanted variables, with or without the head.
    """
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in model.expected_extras):
        return True
    head = [f"{model.scope}/{model.head}/{kind}" for kind in ("weights", "biases")]
    owner, _, last = name.rpartition("/")
    if last in _OF_VARIABLES:
        return owner in variables or owner in head
    return name in head or last in _SCALARS or name in _OF_OBJECTS


def averages(variables: Mapping[str, bool], *, stored: Collection[str]) -> dict[str, str]:
    """Return the names in the checkpoint of what an evaluation with moving averages restores.

    Args:
      variables: whether each variable is trainable, by name. Each trainable variable must have a moving
        average. Other variables, of batch norm, have one only if all model variables were averaged.
      stored: names in the checkpoint.

    Returns:
      Names in the checkpoint by the network's names.
    """
    return {
        name: average_of(name) if trainable or average_of(name) in stored else name
        for name, trainable in variables.items()
    }
