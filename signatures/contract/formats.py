"""The two formats of modules, as data: files, tag sets, entry points, operations.

The facts come from the modules that were published as `google/imagenet/...`. Where no public source
shows a fact, a comment says that it was chosen here.
"""

import dataclasses
from collections.abc import Mapping

FORMAT_MARKER = "tfhub_module.pb"
PROVENANCE = "assets.extra/provenance.json"

# TensorFlow needs these; the variables may be in several files.
_NEEDED_FILES = ("saved_model.pb", "variables/variables.index")
_SAVED_MODEL_FILES = (*_NEEDED_FILES, "variables/variables.data-00000-of-00001", PROVENANCE)

# Operations for inference: of the variables, the network, and its L2 losses.
_INFERENCE_OPS = frozenset().union(
    ("VarHandleOp", "ReadVariableOp", "AssignVariableOp"),
    ("Placeholder", "PlaceholderWithDefault", "Const", "Shape", "Reshape", "Squeeze"),
    ("Conv2D", "DepthwiseConv2dNative", "BiasAdd", "FusedBatchNormV3", "Relu", "Softmax"),
    ("MaxPool", "AvgPool", "Mean", "ConcatV2", "AddV2", "Pad", "Mul", "Sub", "L2Loss"),
)
# Operations that may read the rescaled images: a convolution, or the padding before it.
FIRST_OPERATIONS = ("Conv2D", "DepthwiseConv2dNative", "Pad")
# Further operations for training: updates of moving averages, and dropout.
_TRAINING_OPS = frozenset(["AssignSubVariableOp", "RandomUniform", "GreaterEqual", "SelectV2"])
# Further operations of functions in SavedModels of TensorFlow 2.
_FUNCTION_OPS = frozenset(["PartitionedCall", "StatefulPartitionedCall", "Identity", "NoOp"])
# Further operations of the functions that save and restore the variables, by field of the saver.
_SAVER_OPS = {
    "save_tensor_name": frozenset().union(
        ("SaveV2", "MergeV2Checkpoints", "ShardedFilename", "StringJoin", "Pack"),
        ("StaticRegexFullMatch", "Select", "DisableCopyOnRead"),
    ),
    "restore_op_name": frozenset(["RestoreV2"]),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModeRule:
    """A mode in which the modules of a format run.

    Attributes:
      label: name of the mode in messages.
      tags: tag set of the meta graph.
      training: whether batch norm uses the batch's statistics, and dropout is active.
      takes_momentum: whether the mode has the signatures that take batch norm's momentum, or those that
        don't; None for all signatures.
    """

    label: str
    tags: tuple[str, ...]
    training: bool
    takes_momentum: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A format of modules.

    Attributes:
      name: the format's usual name.
      files: paths of all files that slimhub writes into a module directory, without the class names.
      needed_files: paths of those that every module of the format has.
      labels: path of the class names' file, if a module has one; a file in `assets/` is also an asset
        of TensorFlow.
      modes: modes in the order of their tag sets on disk.
      main: name of the signature that runs the module's task.
      main_input: key of this signature's input.
      main_output: key of this signature's output, by task.
      callable: whether the object that TensorFlow 2 loads can be called, and so be fine-tuned.
      operations: all operations that a graph may have, by tag set.
      saver_operations: further operations that a function may have if only the saver calls it, by
        field of the saver.
      own_signatures: names of further signatures that belong to the format.
    """

    name: str
    files: tuple[str, ...]
    needed_files: tuple[str, ...]
    labels: str
    modes: tuple[ModeRule, ...]
    main: str
    main_input: str
    main_output: Mapping[str, str]
    callable: bool
    operations: Mapping[tuple[str, ...], frozenset[str]]
    saver_operations: Mapping[str, frozenset[str]]
    own_signatures: frozenset[str] = frozenset()


TF1_HUB = Format(
    name="TF1 Hub",
    files=(*_SAVED_MODEL_FILES, FORMAT_MARKER),
    needed_files=(*_NEEDED_FILES, FORMAT_MARKER),
    labels="assets.extra/labels.txt",
    modes=(
        ModeRule(label="{}", tags=(), training=False),
        ModeRule(label="{train}", tags=("train",), training=True),
    ),
    main="default",
    main_input="images",
    main_output={"classification": "default", "feature_vector": "default"},
    callable=False,
    operations={(): _INFERENCE_OPS, ("train",): _INFERENCE_OPS | _TRAINING_OPS},
    saver_operations={},
)

TF2_SAVED_MODEL = Format(
    name="TF2 SavedModel",
    files=(*_SAVED_MODEL_FILES, "fingerprint.pb"),
    needed_files=_NEEDED_FILES,
    labels="assets/labels.txt",
    modes=(
        ModeRule(label="{serve}", tags=("serve",), training=False, takes_momentum=False),
        ModeRule(label="{serve} training", tags=("serve",), training=True, takes_momentum=True),
    ),
    main="serving_default",
    main_input="inputs",
    # The originals' key of the feature vector is unknown: chosen here.
    main_output={"classification": "logits", "feature_vector": "feature_vector"},
    callable=True,
    operations={("serve",): _INFERENCE_OPS | _TRAINING_OPS | _FUNCTION_OPS},
    saver_operations=_SAVER_OPS,
    own_signatures=frozenset(["__saved_model_init_op"]),
)

# The rest is for the TF1 Hub format only.

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
# Of modules with assets: the library writes it, and takes it away when it reads the module.
ASSETS_COLLECTION = "saved_model_assets"
# Attributes of the format's operations that TF 1.15 knows. TF 1.15 refuses a graph with any other
# attribute, unless the attribute's name begins with an underscore.
ATTRIBUTES = frozenset().union(
    ("T", "Tidx", "Tpaddings", "Tshape", "U", "N", "dtype", "out_type", "shape", "value"),
    ("container", "shared_name", "seed", "seed2", "epsilon", "is_training", "use_cudnn_on_gpu"),
    ("strides", "ksize", "padding", "explicit_paddings", "data_format", "dilations"),
    ("keep_dims", "squeeze_dims"),
)
