"""What a module promises, as data: the writers write it, the checks expect it.

The facts are those of the modules that were published as `google/imagenet/...`; where
no public source shows one, a comment says that it was chosen here.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from slimhub.signatures.formats import Format, ModeRule
from slimhub.signatures.interface import Interface, TensorSpec
from slimhub.signatures.versions import BATCH_NORM_MOMENTUM, VERSIONS

TASKS = ("classification", "feature_vector")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """A named function of a module: its input and output tensors by key."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    @property
    def takes_momentum(self) -> bool:
        return BATCH_NORM_MOMENTUM in self.inputs.values()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """A way to call what TensorFlow 2 loads, beside its signatures. The images come first.

    Attributes:
      function: attribute of the loaded object; `__call__` for the object itself.
      defaults: of all arguments but the images, by name, in their order.
      arguments: Python values that are given, by name.
      outputs: by key.
      gives_dictionary: else the only output itself.
    """

    function: str
    defaults: Mapping[str, bool | float]
    arguments: Mapping[str, bool]
    outputs: Mapping[str, TensorSpec]
    gives_dictionary: bool = False

    @property
    def takes_momentum(self) -> bool:
        return "batch_norm_momentum" in self.defaults

    @property
    def name(self) -> str:
        """As people write it: `__call__(training=True, return_endpoints=False)`."""
        arguments = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.function}({arguments})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mode:
    """A way in which a module runs, and all that runs so. Those of one tag set share its graph."""

    label: str
    tags: tuple[str, ...]
    training: bool
    signatures: tuple[Signature, ...]
    calls: tuple[Call, ...]

    @property
    def applied(self) -> tuple["Signature | Call", ...]:
        """What shows how it runs: its signatures, or where there are none, the calls with all outputs."""
        return self.signatures or tuple(call for call in self.calls if call.gives_dictionary)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Promise:
    """All that a module promises.

    Attributes:
      version, task: which contract.
      format: of its files.
      interface: the network's part in it.
      images: the images that every signature takes.
      momentum: default momentum of batch norm; None if there is none.
      momentum_input: the input that sets it, if it can be set.
      modes: in the order of their tag sets on disk.
      image_module_info: attached default height and width, if any.
      labels: path of the file in the module that names the classes, if there is one.
    """

    version: int
    task: str
    format: Format
    interface: Interface
    images: TensorSpec
    momentum: float | None
    momentum_input: TensorSpec | None
    modes: tuple[Mode, ...]
    image_module_info: tuple[int, int] | None
    labels: str | None

    @property
    def files(self) -> tuple[str, ...]:
        """All that the directory holds."""
        return (*self.format.files, *([self.labels] if self.labels else []))

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the files in `assets/`, of which TensorFlow makes objects."""
        paths = map(PurePosixPath, self.files)
        return tuple(path.name for path in paths if path.parent.name == "assets")

    @property
    def network_inputs(self) -> dict[str, TensorSpec]:
        """All that the network itself takes, by name."""
        inputs = {"images": self.images}
        if self.momentum_input is not None:
            inputs["batch_norm_momentum"] = self.momentum_input
        return inputs

    def inputs(self, call: Call) -> tuple[str | bool, ...]:
        """All that is given in a call, tensors as their types."""
        momentum = (BATCH_NORM_MOMENTUM.type,) if call.takes_momentum else ()
        return (self.images.type, *call.arguments.values(), *momentum)

    @property
    def tag_sets(self) -> dict[tuple[str, ...], tuple[Mode, ...]]:
        """The modes of each, in their order on disk."""
        found: dict[tuple[str, ...], tuple[Mode, ...]] = {}
        for mode in self.modes:
            found[mode.tags] = (*found.get(mode.tags, ()), mode)
        return found


def promise(*, version: int, task: str, interface: Interface, labels: bool = False) -> Promise:
    """The promise of a module; `labels` says whether it names its classes.

    Raises:
      ValueError: the version or the task has no contract, or the interface is that of another task,
        or there are no classes to name.
    """
    for what, value, known in (("version", version, VERSIONS), ("task", task, TASKS)):
        if value not in known:
            raise ValueError(f"{what}: expected one of {', '.join(map(str, known))}, got {value!r}")
    for name in ("logits", "predictions"):
        if (getattr(interface, name) is not None) != (task == "classification"):
            raise ValueError(f"interface.{name}: expected it in modules for classification only")
    if labels and task != "classification":
        raise ValueError("labels_file: expected it in modules for classification only")
    rules = VERSIONS[version]
    images = rules.images(interface.image_size)
    momentum, momentum_input = rules.momentum_of(interface.batch_norm_decay)
    named = _outputs(task, interface)
    signatures = tuple(_signatures(rules.format, task, named, images, momentum_input))
    calls: dict[bool, tuple[Call, ...]] = {False: (), True: ()}
    if rules.format.callable:
        calls = _calls(named[f"image_{task}"], momentum)
    return Promise(
        version=version,
        task=task,
        format=rules.format,
        interface=interface,
        images=images,
        momentum=momentum,
        momentum_input=momentum_input,
        modes=tuple(_mode(rule, signatures, calls) for rule in rules.format.modes),
        image_module_info=interface.image_size if rules.image_module_info else None,
        labels=rules.format.labels if labels else None,
    )


def _mode(rule: ModeRule, signatures: tuple[Signature, ...], calls: Mapping[bool, tuple]) -> Mode:
    return Mode(
        label=rule.label,
        tags=rule.tags,
        training=rule.training,
        signatures=tuple(
            signature
            for signature in signatures
            if rule.takes_momentum in (None, signature.takes_momentum)
        ),
        calls=calls[rule.training],
    )


def _outputs(task: str, interface: Interface) -> dict[str, dict[str, TensorSpec]]:
    """Outputs of the named signatures, by name."""
    features = {"default": interface.feature_vector, **interface.end_points}
    # No public source shows whether `Predictions` was there: chosen here, as it is useful.
    # Nor whether a classification module's feature vector carries the head's end points:
    # chosen here that it does not, so that one task's signature can stand in for the other's.
    classes = {
        "default": interface.logits,
        **interface.end_points,
        f"{interface.scope}/Logits": interface.logits,
        f"{interface.scope}/Predictions": interface.predictions,
    }
    named = {"image_feature_vector": features}
    if task == "classification":
        named["image_classification"] = classes
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
    outputs: Mapping[str, TensorSpec], momentum: float | None
) -> dict[bool, tuple[Call, ...]]:
    """For inference and for training. `serve` and `train` are for Keras 3, which gives images alone."""
    defaults: dict[str, bool | float] = {"training": False, "return_endpoints": False}
    if momentum is not None:
        defaults["batch_norm_momentum"] = momentum
    main = {"default": outputs["default"]}
    calls = {}
    for training, function in ((False, "serve"), (True, "train")):
        calls[training] = (
            *(
                Call(
                    function="__call__",
                    defaults=defaults,
                    arguments={"training": training, "return_endpoints": endpoints},
                    outputs=outputs if endpoints else main,
                    gives_dictionary=endpoints,
                )
                for endpoints in (False, True)
            ),
            Call(function=function, defaults={}, arguments={}, outputs=main),
        )
    return calls
