"""Infer the contract of a network from a module of either format, whoever wrote it."""

import collections
import dataclasses
import os.path

import numpy as np

from slimhub.signatures.contract import formats
from slimhub.signatures.contract.network import (
    MOVING_AVERAGES,
    NetworkContract,
    TensorSpec,
    Variable,
    check,
)
from slimhub.signatures.graphs import by_value
from slimhub.signatures.graphs.common import DEFAULT_SIZE
from slimhub.signatures.graphs.inference_graph import after_last_layer
from slimhub.signatures.graphs.tf1_network import Tf1Network
from slimhub.signatures.graphs.tf2_network import Tf2Network
from slimhub.signatures.module import execution
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inferred:
    """A contract that was inferred.

    Attributes:
      network: the contract.
      doubts: a sentence for each field that the module does not tell, and what stands there instead.
    """

    network: NetworkContract
    doubts: tuple[str, ...]


def infer(
    module: Module, *, image_size: tuple[int, int] | None = None, task: str | None = None
) -> Inferred:
    """Infer the contract of a module's network.

    The module is run, so its operations must be known to be harmless.

    Args:
      module: of either format.
      image_size: default height and width; None for what the module tells, or else `DEFAULT_SIZE`.
      task: what the module is for, if the names of its signatures and outputs don't tell; None is taken
        for `feature_vector`.

    Raises:
      UnreadableError: the module has no network of images, or can't be read or run.
    """
    reader = Tf1Network if formats.FORMAT_MARKER in module.files else Tf2Network
    try:
        with (
            reader(module, task=task or "feature_vector") as network,
            np.errstate(invalid="ignore", over="ignore"),
        ):
            inference = _Inference(module, network, image_size)
            if task is None and not network.names_task:
                inference.doubt(network.task, "task: no name tells what the output is")
            return inference.inferred()
    except UnreadableError:
        raise
    except Exception as error:  # A module may be broken in ways that nobody foresees.
        raise UnreadableError(execution.describe(error)) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Output:
    """An output at inference, of a signature or call of that task."""

    task: str
    key: str
    spec: TensorSpec
    is_probabilities: bool


class _Inference:
    """The inference of one contract, and the doubts so far."""

    def __init__(
        self, module: Module, network: Tf1Network | Tf2Network, size: tuple[int, int] | None
    ):
        self._module, self._network = module, network
        self._doubts: list[str] = []
        images = network.images
        if images.dtype != "float32" or (*images.shape[:1], *images.shape[3:]) != (None, 3):
            raise UnreadableError(
                f"images: expected float32 [?, height, width, 3], got {images.type}"
            )
        _, height, width, _ = images.shape
        self._fixed = None if height is None or width is None else (height, width)
        known = size or self._fixed or network.attached_size
        self._size = known or self.doubt(DEFAULT_SIZE, "image_size: the module does not tell it")

    def inferred(self) -> Inferred:
        """Infer everything. Training changes the variables, so it comes last."""
        outputs = self._outputs()
        with self._network.inference_graph() as graph:
            rescaling = by_value.rescaling(graph, self._size)
        scale, offsets = rescaling or self.doubt(
            (1.0, (0.0,)),
            "input_scale, input_offsets: what the first layers take is no `scale * images - offset` of RGB images",
        )
        features, head, logits = self._main_outputs(outputs)
        predictions = _predictions(outputs, logits)
        end_points = self._end_points(outputs, without=(features, logits, predictions))
        named = {spec for spec in (features, logits, predictions, *end_points.values()) if spec}
        random = {one.spec.name for one in outputs if one.spec in named and self._is_random(one)}
        weight_decay, regularized = self._losses()
        trainable = self._network.trainable
        variables = {
            name: Variable(
                shape=shape, trainable=name in trainable, regularized=name in regularized
            )
            for name, shape in self._network.variables.items()
        }
        scopes = collections.Counter(name.split("/")[0] for name in variables if "/" in name)
        network = NetworkContract(
            scope=scopes.most_common(1)[0][0] if scopes else "",
            image_size=self._size,
            min_image_size=self._fixed or (1, 1),
            input_scale=scale,
            input_offsets=offsets,
            batch_norm_decay=self._momentum(),
            weight_decay=weight_decay,
            head=head,
            random_in_training=tuple(sorted(random)),
            feature_vector=features,
            logits=logits,
            predictions=predictions,
            end_points=end_points,
            variables=variables,
        )
        check(network)
        return Inferred(network=network, doubts=tuple(self._doubts))

    def doubt(self, value, why: str, *, called: str | None = None):
        """Note why a value, which is returned, stands in some field."""
        self._doubts.append(f"{why}; {called or value} stands for it")
        return value

    def _images(self, batch: int) -> np.ndarray:
        shape = (batch, *self._size, 3)
        return np.random.RandomState(0).uniform(size=shape).astype(np.float32)

    def _outputs(self) -> list[_Output]:
        """Run inference once; return all outputs."""
        arrays = self._network.run(self._images(1))
        outputs = []
        for task, found in self._network.inference.items():
            for key, tensor in found.tensors.items():
                array = arrays[task][key]
                shape = (None, *array.shape[1:])
                spec = TensorSpec(name=tensor, shape=shape, dtype=array.dtype.name)
                probable = found.is_probable(key)
                outputs.append(_Output(task=task, key=key, spec=spec, is_probabilities=probable))
        return outputs

    def _main_outputs(self, outputs: list[_Output]):
        """Return the feature vector, the head's scope and the logits; None for the last two without a head."""
        main = {}
        for one in outputs:
            if one.key == self._network.inference[one.task].main(one.task):
                main[one.task] = one.spec
                if len(one.spec.shape) != 2:
                    raise UnreadableError(
                        f"{one.task}: expected two dimensions, got {one.spec.type}"
                    )
                if one.is_probabilities:
                    self._doubts.append(f"{one.task}: what is given are probabilities")
        logits = main.get("classification")
        features = main.get("feature_vector") or self._before_last_layer()
        head = None if logits is None else self._head(features, logits)
        return features, head, logits if head else None

    def _before_last_layer(self) -> TensorSpec:
        """Return what the last layer before the logits takes, in place of a feature vector."""
        outputs, shapes = self._network.inference["classification"], self._network.variables
        nodes = outputs.graph.nodes
        logits = outputs.tensors[outputs.main("classification")]
        after = {node.name for node in after_last_layer(nodes, logits)}
        layers = {name for one in after for name in nodes[one].input} - after
        kernels = {
            (taken, shapes[name])
            for taken, kernel in (nodes[layer].input[:2] for layer in layers)
            for name in outputs.graph.behind(kernel) & shapes.keys()
        }
        if len(kernels) != 1:
            raise UnreadableError("expected a feature vector, or one last layer before the logits")
        [(taken, shape)] = kernels
        spec = TensorSpec(name=f"{taken}:0", shape=(None, shape[-2]))
        called = f"what the last layer takes, {spec.name},"
        return self.doubt(spec, "feature_vector: no output is it", called=called)

    def _head(self, features: TensorSpec, logits: TensorSpec) -> str | None:
        """Return the scope of the variables that make logits of the feature vector."""
        inference, shapes = self._network.inference, self._network.variables
        [*_, of_features] = (inference[task].graph for task in sorted(inference))
        behind = inference["classification"].graph.behind(logits.name)
        used = (behind - of_features.behind(features.name)) & shapes.keys()
        head = os.path.commonpath(name.rpartition("/")[0] for name in used) if used else ""
        scoped = {name for name in shapes if name.startswith(f"{head}/")}
        if used and scoped == used and all(shapes[name][-1:] == logits.shape[1:] for name in used):
            return head
        return self.doubt(
            None, "head, logits, predictions: the head is no layer with a scope of its own"
        )

    def _end_points(self, outputs: list[_Output], *, without) -> dict[str, TensorSpec]:
        """Return the end points, those that depend on fewer operations first."""
        names = {spec.name for spec in without if spec is not None}
        found: dict[str, tuple[tuple, TensorSpec]] = {}
        for one in outputs:
            outputs_of_task = self._network.inference[one.task]
            keys = {*found, outputs_of_task.main(one.task)}
            if one.spec.name in names or one.key in keys:
                continue
            if len(one.spec.shape) != 4:
                self._doubts.append(f"end_points: {one.key} is left out, as it is {one.spec.type}")
                continue
            behind = outputs_of_task.graph.behind(one.spec.name)
            # A block ends with the end point of its last unit.
            found[one.key] = (len(behind), -len(one.key), one.key), one.spec
        return {key: spec for key, (_, spec) in sorted(found.items(), key=lambda item: item[1][0])}

    def _is_random(self, output: _Output) -> bool:
        """Return whether an output depends on random numbers in training."""
        training = self._network.training
        if output.task in training and output.key in training[output.task].tensors:
            found = training[output.task]
            return found.tensors[output.key].split(":")[0] in found.graph.random
        # What trains does not give it, but may have what it depends on.
        behind = self._network.inference[output.task].graph.behind(output.spec.name)
        return any(behind & found.graph.random for found in training.values())

    def _losses(self) -> tuple[float, set[str]]:
        """Return the weight decay, and the names of all variables that have a loss."""
        regularized, losses = set(), []
        for names, value in self._network.losses():
            regularized |= names
            kernels = [self._module.read_variable(name).ravel() for name in names]
            # Without a copy of a kernel in float64.
            squares = [np.einsum("i,i->", one, one, dtype=np.float64) for one in kernels]
            losses.append((value, sum(squares) / 2))
        found = by_value.weight_decay(losses)
        if found is None:
            return 0.0, regularized
        return self._agreed("weight_decay", found), regularized

    def _momentum(self) -> float | None:
        """Return the momentum of the moving averages; None without any."""
        shapes = self._network.variables
        averages = {name: shapes[name] for name in shapes if name.endswith(MOVING_AVERAGES)}
        if not averages:
            return None
        if not self._network.training:
            return self.doubt(1.0, "batch_norm_decay: there is no training graph")
        images = self._images(2)
        found = by_value.momentum(lambda old: self._network.updated(old, images), averages)
        if found is None:
            return self.doubt(1.0, "batch_norm_decay: no moving average is finite")
        return self._agreed("batch_norm_decay", found)

    def _agreed(self, field: str, found: by_value.Found) -> float:
        if found.differing is None:
            return found.value
        low, high = found.differing
        others = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        return self.doubt(found.value, f"{field}: it is not everywhere the same, but also {others}")


def _predictions(outputs: list[_Output], logits: TensorSpec | None) -> TensorSpec | None:
    """Return the probabilities that have the shape of the logits, if there are any."""
    for one in outputs:
        if (
            logits
            and one.is_probabilities
            and one.spec.shape == logits.shape
            and one.spec != logits
        ):
            return one.spec
    return None
