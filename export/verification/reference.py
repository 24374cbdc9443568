"""Run the Slim graph straight from the checkpoint, for what modules are compared with.

The first image of each batch has the statistics of a photograph, the others are noise, on which many maps
of a trained network are 0 everywhere.
"""

import contextlib
import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.export.checkpoints import restore
from slimhub.export.errors import CheckError, OutputError
from slimhub.export.writers import slim_graph
from slimhub.models.model import Model
from slimhub.signatures.contract.network import MOVING_AVERAGES
from slimhub.signatures.module import execution
from slimhub.support import memory
from slimhub.support.tf_errors import summarize_tf_error

GraphKeys = tf.compat.v1.GraphKeys

# It moves the moving averages, and only in training: no output may depend on it.
MOMENTUM = 0.5

_SEED = 1
# Batches, and sizes where any is welcome: the default one, a small odd one, and one that is not
# square; or in their place, the smallest that the network runs on.
_BATCHES = ((1, None), (3, (97, 65)), (2, (128, 288)))
_FIXED_BATCHES = ((1, None), (3, None))

# So many discs hide the background nearly everywhere.
_LEAVES = 300

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """The results of the Slim graph of one mode for a batch of images.

    Attributes:
      images: float32 `[batch, height, width, 3]`, in [0, 1].
      tensors: path of an .npz file: feature vector, end points, logits and predictions, by the names of
        their tensors. Those of a large network would fill the memory.
      losses: regularization losses, scalars by the names of their tensors, in their order.
      averages: moving averages by name, after an update with `MOMENTUM`; at inference, as they are
        in the checkpoint.
      noise: the random numbers that were drawn, by the names of their tensors.
    """

    images: np.ndarray
    tensors: Path
    losses: Arrays
    averages: Arrays
    noise: Arrays

    def without_head(self, model: Model) -> "Reference":
        """Return what the same network gives without its classification layer and the dropout before it."""
        head = f"{model.scope}/{model.head}/"
        losses = {name: loss for name, loss in self.losses.items() if not name.startswith(head)}
        noise = self.noise
        if model.dropout is not None:
            dropout = f"{model.scope}/{model.dropout}/"
            noise = {name: drawn for name, drawn in noise.items() if not name.startswith(dropout)}
        return dataclasses.replace(self, losses=losses, noise=noise)


@dataclasses.dataclass(frozen=True, kw_only=True)
class References:
    """Functions that wait for what the Slim graph of each mode gives, and raise as `run_reference` does."""

    inference: Callable[[], list[Reference]]
    training: Callable[[], list[Reference]]


def run_reference(
    model: Model,
    definition: slim_graph.Definition,
    *,
    checkpoint: Path,
    names: Mapping[str, str],
    into: Path,
) -> list[Reference]:
    """Run a Slim graph on images of several batch and image sizes.

    Args:
      model: whose graph it is.
      definition: its graph, of either mode.
      checkpoint: what `tf.compat.v1.train.Saver` restores it from.
      names: under which the checkpoint has what each variable is restored from, by variable.
      into: a directory for large results, which is made if it is not there.

    Returns:
      What it gives for each batch, always with the moving averages of the checkpoint.

    Raises:
      SourceError: the checkpoint can't be restored.
      OutputError: the directory can't be written.
      CheckError: the graph can't be run, for want of memory perhaps.
    """
    try:
        into.mkdir(exist_ok=True)
        return list(_run(model, definition, checkpoint=checkpoint, names=names, into=into))
    except OSError as error:
        raise OutputError(
            f"What the Slim graph gives can't be kept (TMPDIR chooses another place): {error}"
        ) from error
    except tf.errors.OpError as error:
        raise CheckError(
            f"The Slim graph of {model.name} can't be run: {summarize_tf_error(error)}"
        ) from error
    finally:
        memory.release_memory()


def _run(
    model: Model,
    definition: slim_graph.Definition,
    *,
    checkpoint: Path,
    names: Mapping[str, str],
    into: Path,
) -> Iterator[Reference]:
    with tf.Graph().as_default() as graph:
        # A copy: TensorFlow adds attributes to what it imports.
        tf.compat.v1.train.import_meta_graph(copy.deepcopy(definition.meta_graph))
    variables = {one.op.name: one for one in graph.get_collection(GraphKeys.GLOBAL_VARIABLES)}
    averages = {name: one for name, one in variables.items() if name.endswith(MOVING_AVERAGES)}
    images = graph.get_tensor_by_name(definition.images)
    feeds = {} if definition.momentum is None else {definition.momentum: MOMENTUM}
    draws = [op.outputs[0] for op in graph.get_operations() if op.type == "RandomUniform"]
    fetches = (
        {name: name for name in definition.outputs},
        {name: name for name in definition.regularization_losses},
        {tensor.name: tensor for tensor in draws},
        list(definition.update_ops),
    )
    # Closed, not entered: the module beside it may run eagerly.
    with contextlib.closing(execution.session(graph)) as session:

        def restore_from_checkpoint(some: Mapping[str, tf.Variable]) -> None:
            stored = {names[name]: variable for name, variable in some.items()}
            with graph.as_default(), restore.guarded(checkpoint):
                tf.compat.v1.train.Saver(stored).restore(session, str(checkpoint))

        restore_from_checkpoint(variables)
        for index, batch in enumerate(_batches(model, any_size=None in images.shape.as_list()[1:])):
            if index and averages:
                # Nothing else has moved.
                restore_from_checkpoint(averages)
            tensors, losses, noise, _ = session.run(fetches, {**feeds, images: batch})
            path = into / f"{index}.npz"
            np.savez(path, **tensors)
            yield Reference(
                images=batch,
                tensors=path,
                losses=losses,
                averages=session.run(averages),
                noise=noise,
            )


def _batches(model: Model, *, any_size: bool) -> Iterator[np.ndarray]:
    random = np.random.RandomState(_SEED)
    for batch, size in _BATCHES if any_size else _FIXED_BATCHES:
        height, width = map(max, size or model.image_size, model.min_image_size)
        images = random.uniform(size=(batch, height, width, 3))
        images[0] = _dead_leaves(random, height, width)
        yield images.astype(np.float32)


def _dead_leaves(random: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """Draw a picture with the statistics of photographs: objects of all sizes that hide one another.

    Discs of random colors, whose radii have a density of r^-3: A. Lee, D. Mumford, J. Huang, "Occlusion
    models for natural images", International Journal of Computer Vision 41, 2001.
    """
    picture = np.full((height, width, 3), 0.5)
    y, x = np.ogrid[:height, :width]
    largest = max(height, width) / 2
    for radius in largest / np.sqrt(random.uniform(1, (largest / 3) ** 2, size=_LEAVES)):
        down, right = random.uniform(size=2) * (height, width)
        inside = (y - down) ** 2 + (x - right) ** 2 < radius**2
        # Neighboring channels of a color are alike.
        picture[inside] = np.clip(random.uniform() + random.normal(scale=0.1, size=3), 0, 1)
    return picture
