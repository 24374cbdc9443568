"""What a module promises, as data: the writers write it, the checks expect it.

The facts are those of the modules that were published as `google/imagenet/...`; where
no public source shows one, a comment says that it was chosen here.
"""

import dataclasses
from collections.abc import Iterable, Mapping

TASKS = ("classification", "feature_vector")

# In their order on disk: for inference, and for training.
TAG_SETS: tuple[tuple[str, ...], ...] = ((), ("train",))

FORMAT_MARKER = "tfhub_module.pb"
PROVENANCE = "assets.extra/provenance.json"
FILES = (
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    FORMAT_MARKER,
    PROVENANCE,
)

ATTACHMENTS = "hub_module_attachments"
# The TF Hub library refuses a module with any other collection.
SUPPORTED_COLLECTIONS = frozenset(
    {
        "variables",
        "trainable_variables",
        "model_variables",
        "table_initializer",
        "update_ops",
        "regularization_losses",
        "asset_filepaths",
        "cond_context",
        "while_context",
        ATTACHMENTS,
    }
)

# What inference needs: variables with constant initializers, the network, its L2 losses.
INFERENCE_OPS = frozenset().union(
    ("VarHandleOp", "ReadVariableOp", "AssignVariableOp"),
    ("Placeholder", "PlaceholderWithDefault", "Const", "Shape", "Reshape", "Squeeze"),
    ("Conv2D", "DepthwiseConv2dNative", "BiasAdd", "FusedBatchNormV3", "Relu", "Softmax"),
    ("MaxPool", "AvgPool", "Mean", "ConcatV2", "Mul", "Sub", "L2Loss"),
)
# What training needs beyond it: updates of moving averages, and dropout.
TRAINING_OPS = frozenset(["AssignSubVariableOp", "RandomUniform", "GreaterEqual", "SelectV2"])
# Those of these operations that TF 1.15 knows. It refuses a graph with any other, unless its
# name begins with an underscore.
ATTRIBUTES = frozenset().union(
    ("T", "Tidx", "Tshape", "U", "N", "dtype", "out_type", "shape", "value"),
    ("container", "shared_name", "seed", "seed2", "epsilon", "is_training", "use_cudnn_on_gpu"),
    ("strides", "ksize", "padding", "explicit_paddings", "data_format", "dilations"),
    ("keep_dims", "squeeze_dims"),
)

# How the names of moving averages end, two of each batch norm. They are no weights.
MOVING_AVERAGES = ("/moving_mean", "/moving_variance")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """A tensor of a graph: its name, as in `Scope/Op:0`, its shape (None: any size) and its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    @property
    def type(self) -> str:
        """As messages have it: `float32 [?, 1024]`."""
        return tensor_type(self.dtype, self.shape)


def tensor_type(dtype: str, shape: Iterable[int | None]) -> str:
    """A dtype and a shape as messages have them: `float32 [?, 1024]`."""
    return f"{dtype} [{', '.join('?' if size is None else str(size) for size in shape)}]"


# The graph's own rescaling of images: `scale * images`, then `- offset`.
RESCALING = ("hub_input/Mul", "hub_input/Sub")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interface:
    """What the contract has to know of the network in a module.

    Attributes:
      scope: of all of its variables.
      image_size: default height and width.
      min_image_size: smallest height and width.
      rescale: `(scale, offset)`; the graph computes `scale * images - offset`.
      batch_norm_decay: momentum that the network was trained with.
      num_batch_norms: each has two moving averages.
      num_regularization_losses, num_variables, num_trainable_variables: in this module.
      feature_vector: `[batch, num_features]`.
      logits, predictions: `[batch, num_classes]`; None in a feature-vector module.
      end_points: by key `Scope/EndPoint`, the network's order, without logits and predictions.
    """

    scope: str
    image_size: tuple[int, int]
    min_image_size: tuple[int, int]
    rescale: tuple[float, float]
    batch_norm_decay: float
    num_batch_norms: int
    num_regularization_losses: int
    num_variables: int
    num_trainable_variables: int
    feature_vector: TensorSpec
    logits: TensorSpec | None
    predictions: TensorSpec | None
    end_points: Mapping[str, TensorSpec]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Version:
    """What distinguishes one version from the others.

    Attributes:
      any_image_size: else the network's default size only.
      momentum: default of batch norm's momentum; None for the network's own decay.
      settable_momentum: whether it is an input, of the signatures `..._with_bn_hparams`.
      image_module_info: whether the default image size is attached.
    """

    any_image_size: bool
    momentum: float | None
    settable_momentum: bool
    image_module_info: bool

    def images(self, image_size: tuple[int, int]) -> TensorSpec:
        """The images: RGB in [0, 1]."""
        height, width = (None, None) if self.any_image_size else image_size
        return TensorSpec(name="hub_input/images:0", shape=(None, height, width, 3))


# There was never a version 2.
VERSIONS: Mapping[int, Version] = {
    1: Version(
        any_image_size=False, momentum=None, settable_momentum=False, image_module_info=False
    ),
    3: Version(any_image_size=True, momentum=0.99, settable_momentum=True, image_module_info=True),
}

# The name is chosen here: no public source shows the original's.
BATCH_NORM_MOMENTUM = TensorSpec(name="hub_input/batch_norm_momentum:0", shape=())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """A named function of a module: its input and output tensors by key."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TagSet:
    """One meta graph of a module, and how many updates of moving averages it has."""

    tags: tuple[str, ...]
    training: bool
    num_update_ops: int

    @property
    def label(self) -> str:
        """As people write it: `{}` or `{train}`."""
        return f"{{{', '.join(self.tags)}}}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Promise:
    """All that a module promises.

    Attributes:
      version, task: which contract.
      interface: the network's part in it.
      images: the input of every signature.
      momentum: default momentum of batch norm.
      momentum_input: the input that sets it, if it can be set.
      tag_sets: in their order on disk.
      signatures: the same in every tag set.
      image_module_info: attached default height and width, if any.
    """

    version: int
    task: str
    interface: Interface
    images: TensorSpec
    momentum: float
    momentum_input: TensorSpec | None
    tag_sets: tuple[TagSet, ...]
    signatures: tuple[Signature, ...]
    image_module_info: tuple[int, int] | None


def promise(*, version: int, task: str, interface: Interface) -> Promise:
    """The promise of a module.

    Raises:
      ValueError: the version or the task has no contract, or the interface is that of another task.
    """
    for what, value, known in (("version", version, VERSIONS), ("task", task, TASKS)):
        if value not in known:
            raise ValueError(f"{what}: expected one of {', '.join(map(str, known))}, got {value!r}")
    for name in ("logits", "predictions"):
        if (getattr(interface, name) is not None) != (task == "classification"):
            raise ValueError(f"interface.{name}: expected it in modules for classification only")
    rules = VERSIONS[version]
    images = rules.images(interface.image_size)
    momentum_input = BATCH_NORM_MOMENTUM if rules.settable_momentum else None
    return Promise(
        version=version,
        task=task,
        interface=interface,
        images=images,
        momentum=interface.batch_norm_decay if rules.momentum is None else rules.momentum,
        momentum_input=momentum_input,
        tag_sets=tuple(_tag_set(tags, interface) for tags in TAG_SETS),
        signatures=tuple(_signatures(task, interface, images, momentum_input)),
        image_module_info=interface.image_size if rules.image_module_info else None,
    )


def _tag_set(tags: tuple[str, ...], interface: Interface) -> TagSet:
    training = "train" in tags
    num_update_ops = 2 * interface.num_batch_norms if training else 0
    return TagSet(tags=tags, training=training, num_update_ops=num_update_ops)


def _signatures(task, interface, images, momentum_input):
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
    main = named["image_classification" if task == "classification" else "image_feature_vector"]
    inputs = {"images": images}
    yield Signature(name="default", inputs=inputs, outputs={"default": main["default"]})
    for name, outputs in named.items():
        yield Signature(name=name, inputs=inputs, outputs=outputs)
        if momentum_input is not None:
            settable = {**inputs, "batch_norm_momentum": momentum_input}
            yield Signature(name=f"{name}_with_bn_hparams", inputs=settable, outputs=outputs)
