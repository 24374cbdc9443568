"""What the Slim graph gives, run straight from the checkpoint: what modules are compared with."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from slimhub.export import restore
from slimhub.export.slim_graph import SlimGraph
from slimhub.models.catalog import Model
from slimhub.signatures import contract, running
from slimhub.signatures.interface import MOVING_AVERAGES
from slimhub.signatures.module import ancestors

# It moves the moving averages, and only in training: no output may depend on it.
MOMENTUM = 0.5

_SEED = 1
# Where any size is welcome: the default one, a small odd one, and one that is not square.
_SIZES = ((1, None), (3, (97, 65)), (2, (128, 288)))
_FIXED_SIZES = ((1, None), (3, None))

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """What the Slim graph of one mode gives for a batch of images.

    Attributes:
      images: float32 `[batch, height, width, 3]`, in [0, 1].
      tensors: feature vector, end points, logits and predictions, by the names of their tensors.
      losses: regularization losses, scalars by the names of their tensors, in their order.
      averages: moving averages by name, after an update with `MOMENTUM`; at inference, as they are
        in the checkpoint.
      noise: the random numbers that were drawn, by the names of their tensors.
      behind_noise: which of `tensors` depend on them.
    """

    images: np.ndarray
    tensors: Arrays
    losses: Arrays
    averages: Arrays
    noise: Arrays
    behind_noise: frozenset[str]

    def without_head(self, model: Model) -> "Reference":
        """What the same network gives without its classification layer, which alone is behind noise."""
        head = f"{model.scope}/{model.head}/"
        losses = {name: loss for name, loss in self.losses.items() if not name.startswith(head)}
        return dataclasses.replace(self, losses=losses, noise={}, behind_noise=frozenset())


def run(model: Model, built: SlimGraph, *, version: int, checkpoint: Path) -> list[Reference]:
    """Runs a Slim graph on noise of several batch and image sizes.

    Args:
      model: whose graph it is.
      built: its graph, of either mode.
      version: for which it was built.
      checkpoint: what `tf.compat.v1.train.Saver` restores it from.

    Returns:
      What it gives for each batch, always with the moving averages of the checkpoint.

    Raises:
      SourceError: the checkpoint can't be restored.
      tf.errors.OpError: the graph can't be run.
    """
    network = built.network
    named = [network.feature_vector, *network.end_points.values()]
    named += [tensor for tensor in (network.logits, network.predictions) if tensor is not None]
    draws = [op.outputs[0] for op in built.graph.get_operations() if op.type == "RandomUniform"]
    behind_noise = frozenset(_behind(built.graph, named, draws))
    averages = {
        variable.op.name: variable
        for variable in network.variables
        if variable.op.name.endswith(MOVING_AVERAGES)
    }
    rules = contract.VERSIONS[version]
    source = built.graph.get_tensor_by_name(rules.images(model.image_size).name)
    feeds = {}
    if rules.settable_momentum:
        feeds[built.graph.get_tensor_by_name(contract.BATCH_NORM_MOMENTUM.name)] = MOMENTUM
    fetches = (
        {tensor.name: tensor for tensor in named},
        {loss.name: loss for loss in network.regularization_losses},
        {tensor.name: tensor for tensor in draws},
        network.update_ops,
    )
    references = []
    with _session(built) as (session, restore_from):
        for images in _batches(model, any_size=rules.any_image_size):
            restore_from(checkpoint)
            tensors, losses, noise, _ = session.run(fetches, {**feeds, source: images})
            references.append(
                Reference(
                    images=images,
                    tensors=tensors,
                    losses=losses,
                    averages=session.run(averages),
                    noise=noise,
                    behind_noise=behind_noise,
                )
            )
    return references


@contextlib.contextmanager
def _session(built: SlimGraph):
    """A session on the graph, and a function that restores a checkpoint into it."""
    # Not as the default graph: the module beside it may run eagerly.
    with contextlib.closing(running.session(built.graph)) as session:
        with built.graph.as_default():
            saver = tf.compat.v1.train.Saver(built.network.variables)

        def restore_from(checkpoint: Path) -> None:
            with built.graph.as_default(), restore.guarded(checkpoint):
                saver.restore(session, str(checkpoint))

        yield session, restore_from


def _batches(model: Model, *, any_size: bool) -> Iterator[np.ndarray]:
    random = np.random.RandomState(_SEED)
    for batch, size in _SIZES if any_size else _FIXED_SIZES:
        shape = (batch, *(size or model.image_size), 3)
        yield random.uniform(size=shape).astype(np.float32)


def _behind(graph: tf.Graph, named, draws) -> Iterator[str]:
    if draws:
        random = {tensor.op.name for tensor in draws}
        nodes = {node.name: node for node in graph.as_graph_def().node}
        for tensor in named:
            if not ancestors(nodes, tensor.name).isdisjoint(random):
                yield tensor.name
