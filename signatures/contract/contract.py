"""The contract of a module, as data: the writers follow it, and the checks expect it.

The facts come from the modules that were published as `google/imagenet/...`. Where no public source
shows a fact, a comment says that it was chosen here.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from slimhub.signatures.contract.formats import Format
from slimhub.signatures.contract.network import NetworkContract, TensorSpec
from slimhub.signatures.contract.versions import BATCH_NORM_MOMENTUM, below
from slimhub.signatures.contract.versions import VERSIONS as VERSIONS

TASKS = ("classification", "feature_vector")
# How strictly a module is held to its contract: slimhub's own to all of it, and to nothing beyond it; a
# drop-in for a published module to what users of that rely on; any other to the common image signatures.
EXACT, DROP_IN, COMMON = LEVELS = ("exact", "drop-in", "common")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """A named function of a module, with its input and output tensors by key."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    @property
    def takes_momentum(self) -> bool:
        """Return whether batch norm's momentum is an input."""
        return BATCH_NORM_MOMENTUM in self.inputs.values()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """A way to call the object that TensorFlow 2 loads. Its first argument is the images.

    Attributes:
      function: attribute of the loaded object; `__call__` for the object itself.
      defaults: default values of all arguments but the images, by name, in order.
      arguments: Python values that this call passes, by name.
      outputs: output tensors by key.
      gives_dictionary: whether the call returns a dictionary of the outputs; if not, it returns the only
        output.
    """

    function: str
    defaults: Mapping[str, bool | float]
    arguments: Mapping[str, bool]
    outputs: Mapping[str, TensorSpec]
    gives_dictionary: bool = False

    @property
    def takes_momentum(self) -> bool:
        """Return whether batch norm's momentum is an argument."""
        return "batch_norm_momentum" in self.defaults

    @property
    def name(self) -> str:
        """Return the call as Python code: `__call__(training=True, return_endpoints=False)`."""
        arguments = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.function}({arguments})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mode:
    """A mode in which a module runs, for inference or for training.

    Attributes:
      label: name of the mode in messages.
      tags: tag set of the meta graph; modes with the same tag set share a graph.
      training: whether batch norm uses the batch's statistics, and dropout is active.
      signatures, calls: all signatures and calls that run in this mode.
    """

    label: str
    tags: tuple[str, ...]
    training: bool
    signatures: tuple[Signature, ...]
    calls: tuple[Call, ...]

    @property
    def applied(self) -> tuple["Signature | Call", ...]:
        """Return the signatures of the mode or, if none gives all outputs, the calls that do."""
        every: tuple[Signature | Call, ...] = (*self.signatures, *self.calls)
        most = max(len(one.outputs) for one in every)
        if any(len(signature.outputs) == most for signature in self.signatures):
            return self.signatures
        return tuple(call for call in self.calls if len(call.outputs) == most)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contract:
    """Everything that a module promises.

    Attributes:
      level: one of `LEVELS`.
      version: version of the contract; None for the common signatures.
      task: one of `TASKS`.
      format: format of the module's files.
      network: the contract of the network, of the module's task and number of classes.
      images: the images that every signature takes.
      momentum: default momentum of batch norm; None without batch norm.
      momentum_input: the input that sets the momentum; None if it can't be set.
      modes: modes in the order of their tag sets on disk.
      image_module_info: default height and width that are attached to the module; None if they aren't.
      labels: path of the class names' file in the module; None if the module names no classes.
    """

    level: str
    version: int | None
    task: str
    format: Format
    network: NetworkContract
    images: TensorSpec
    momentum: float | None
    momentum_input: TensorSpec | None
    modes: tuple[Mode, ...]
    image_module_info: tuple[int, int] | None
    labels: str | None

    @property
    def exact(self) -> bool:
        """Return whether the module may have nothing beyond what is promised."""
        return self.level == EXACT

    @property
    def any_image_size(self) -> bool:
        """Return whether the module takes images of any size that the network accepts."""
        return None in self.images.shape[1:]

    @property
    def files(self) -> tuple[str, ...]:
        """Return the paths of all files that the module directory must have."""
        if not self.exact:
            return self.format.needed_files
        return (*self.format.files, *([self.labels] if self.labels else []))

    @property
    def assets(self) -> tuple[str, ...]:
        """Return the names of the files in `assets/`, which TensorFlow loads as asset objects."""
        paths = map(PurePosixPath, self.files)
        return tuple(path.name for path in paths if path.parent.name == "assets")

    @property
    def network_inputs(self) -> dict[str, TensorSpec]:
        """Return all inputs of the network, by name."""
        inputs = {"images": self.images}
        if self.momentum_input is not None:
            inputs["batch_norm_momentum"] = self.momentum_input
        return inputs

    def inputs(self, call: Call) -> tuple[str | bool, ...]:
        """Return all arguments of a call in order, with tensors replaced by their types."""
        momentum = (BATCH_NORM_MOMENTUM.type,) if call.takes_momentum else ()
        return (self.images.type, *call.arguments.values(), *momentum)

    @property
    def tag_sets(self) -> dict[tuple[str, ...], tuple[Mode, ...]]:
        """Return the modes of each tag set, in the order on disk."""
        modes: dict[tuple[str, ...], tuple[Mode, ...]] = {}
        for mode in self.modes:
            modes[mode.tags] = (*modes.get(mode.tags, ()), mode)
        return modes


def promise(
    *,
    version: int,
    task: str,
    network: NetworkContract,
    prefix: str | None = None,
    num_classes: int | None = None,
    labels: bool = False,
    level: str = EXACT,
) -> Contract:
    """Return the contract of a module.

    Args:
      version: one of those `below` the prefix.
      task: one of `TASKS`.
      network: the contract of the network, as it is frozen.
      prefix: of the module's handle, `google/imagenet`.
      num_classes: length of the logits; None for that of the frozen contract. Ignored for feature vectors.
      labels: whether the module names its classes.
      level: one of `LEVELS`.

    Raises:
      ValueError: the version or the task has no contract, or the network has no classification layer.
    """
    versions = below(prefix)
    for what, value, known in (("version", version, versions), ("task", task, TASKS)):
        if value not in known:
            raise ValueError(f"{what}: expected one of {', '.join(map(str, known))}, got {value!r}")
    rules = versions[version]
    network = _of_task(network, task, num_classes)
    if rules.any_image_size:
        network = network.for_any_image_size()
    images = rules.images(network.image_size)
    momentum, momentum_input = rules.momentum_of(network.batch_norm_decay)
    named = _outputs(network, exact=level == EXACT)
    signatures: tuple[Signature, ...] = ()
    if rules.signatures:
        signatures = tuple(_signatures(rules.format, task, named, images, momentum_input))
    if level != EXACT and rules.format.callable:
        # The originals had no other.
        signatures = tuple(one for one in signatures if one.name == rules.format.main)
    return Contract(
        level=level,
        version=version,
        task=task,
        format=rules.format,
        network=network,
        images=images,
        momentum=momentum,
        momentum_input=momentum_input,
        modes=tuple(
            Mode(
                label=rule.label,
                tags=rule.tags,
                training=rule.training,
                signatures=tuple(
                    signature
                    for signature in signatures
                    if rule.takes_momentum in (None, signature.takes_momentum)
                ),
                calls=tuple(
                    call
                    for call in _calls(named[f"image_{task}"], momentum, training=rule.training)
                    if level == EXACT or call.function == "__call__"
                )
                if rules.format.callable
                else (),
            )
            for rule in rules.format.modes
        ),
        image_module_info=network.image_size if rules.image_module_info else None,
        labels=rules.format.labels if labels else None,
    )


def _of_task(network: NetworkContract, task: str, num_classes: int | None) -> NetworkContract:
    if task == "feature_vector":
        return network.without_head()
    num_classes = num_classes or network.num_classes
    if num_classes is None:
        raise ValueError(f"task: {network.scope} has no classification layer")
    return network.with_classes(num_classes)


def _outputs(network: NetworkContract, *, exact: bool) -> dict[str, dict[str, TensorSpec]]:
    """Return the outputs of the named signatures, by signature and key."""
    features = {"default": network.feature_vector, **network.end_points}
    # No public source shows whether the feature vector of a classification module has the head's
    # end points. Chosen here: it has none, so that both tasks have the same `image_feature_vector`.
    named = {"image_feature_vector": features}
    if network.logits is not None:
        named["image_classification"] = {
            "default": network.logits,
            **network.end_points,
            f"{network.scope}/Logits": network.logits,
        }
        if exact and network.predictions is not None:
            # No public source shows whether the originals had it: chosen here, because it is useful.
            key = f"{network.scope}/Predictions"
            named["image_classification"][key] = network.predictions
    return named


def _signatures(format, task, named, images, momentum_input) -> Iterator[Signature]:
    yield Signature(
        name=format.main,
        inputs={format.main_input: images},
        outputs={format.main_output[task]: named[f"image_{task}"]["default"]},
    )
    inputs = {"images": images}
    for name, outputs in named.items():
        yield Signature(name=name, inputs=inputs, outputs=outputs)
        if momentum_input is not None:
            settable = {**inputs, "batch_norm_momentum": momentum_input}
            yield Signature(name=f"{name}_with_bn_hparams", inputs=settable, outputs=outputs)


def _calls(
    outputs: Mapping[str, TensorSpec], momentum: float | None, *, training: bool
) -> Iterator[Call]:
    defaults: dict[str, bool | float] = {"training": False, "return_endpoints": False}
    if momentum is not None:
        defaults["batch_norm_momentum"] = momentum
    main = {"default": outputs["default"]}
    for endpoints in (False, True):
        yield Call(
            function="__call__",
            defaults=defaults,
            arguments={"training": training, "return_endpoints": endpoints},
            outputs=outputs if endpoints else main,
            gives_dictionary=endpoints,
        )
    # For Keras 3, which passes only images.
    yield Call(function="train" if training else "serve", defaults={}, arguments={}, outputs=main)
