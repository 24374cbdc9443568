"""The two formats of modules, as data: files, tag sets, entry points, operations.

The facts are those of the modules that were published as `google/imagenet/...`; where
no public source shows one, a comment says that it was chosen here.
"""

import dataclasses
from collections.abc import Mapping

FORMAT_MARKER = "tfhub_module.pb"
PROVENANCE = "assets.extra/provenance.json"

_SAVED_MODEL_FILES = (
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    PROVENANCE,
)

# What inference needs: variables, the network, its L2 losses.
_INFERENCE_OPS = frozenset().union(
    ("VarHandleOp", "ReadVariableOp", "AssignVariableOp"),
    ("Placeholder", "PlaceholderWithDefault", "Const", "Shape", "Reshape", "Squeeze"),
    ("Conv2D", "DepthwiseConv2dNative", "BiasAdd", "FusedBatchNormV3", "Relu", "Softmax"),
    ("MaxPool", "AvgPool", "Mean", "ConcatV2", "AddV2", "Pad", "Mul", "Sub", "L2Loss"),
)
# What training needs beyond it: updates of moving averages, and dropout.
_TRAINING_OPS = frozenset(["AssignSubVariableOp", "RandomUniform", "GreaterEqual", "SelectV2"])
# What TensorFlow 2 saves beyond both: functions,
_FUNCTION_OPS = frozenset(["PartitionedCall", "StatefulPartitionedCall", "Identity", "NoOp"])
# and how the variables are saved and restored.
_SAVER_OPS = {
    "save_tensor_name": frozenset().union(
        ("SaveV2", "MergeV2Checkpoints", "ShardedFilename", "StringJoin", "Pack"),
        ("StaticRegexFullMatch", "Select", "DisableCopyOnRead"),
    ),
    "restore_op_name": frozenset(["RestoreV2"]),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModeRule:
    """A way in which a module runs.

    Attributes:
      label: as people write it.
      tags: of the meta graph that runs so.
      training: batch norm uses the statistics of the batch, dropout is active.
      takes_momentum: whether its signatures are those that take the momentum of batch norm,
        or those that don't; None for all of them.
    """

    label: str
    tags: tuple[str, ...]
    training: bool
    takes_momentum: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """What all modules of a format have in common.

    Attributes:
      name: as people know it.
      files: all that the directory holds, but for the labels.
      labels: where names of classes are, if a module has them; in `assets/`, TensorFlow knows of it.
      modes: in the order of their tag sets on disk.
      main: name of the signature that stands for the module's task.
      main_input: its input.
      main_output: its output, by task.
      callable: whether what TensorFlow 2 loads can be called, and so be fine-tuned.
      operations: by tag set, all that may be in its graph.
      saver_operations: by field of the saver, what a function that it alone calls may have beyond.
      own_signatures: names of those that the format has for itself.
    """

    name: str
    files: tuple[str, ...]
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
    labels="assets/labels.txt",
    modes=(
        ModeRule(label="{serve}", tags=("serve",), training=False, takes_momentum=False),
        ModeRule(label="{serve} training", tags=("serve",), training=True, takes_momentum=True),
    ),
    main="serving_default",
    main_input="inputs",
    # The originals' key of the feature vector is not known: chosen here.
    main_output={"classification": "logits", "feature_vector": "feature_vector"},
    callable=True,
    operations={("serve",): _INFERENCE_OPS | _TRAINING_OPS | _FUNCTION_OPS},
    saver_operations=_SAVER_OPS,
    own_signatures=frozenset(["__saved_model_init_op"]),
)

# Of the TF1 Hub format alone.

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
# Those of its operations that TF 1.15 knows. It refuses a graph with any other, unless its
# name begins with an underscore.
ATTRIBUTES = frozenset().union(
    ("T", "Tidx", "Tpaddings", "Tshape", "U", "N", "dtype", "out_type", "shape", "value"),
    ("container", "shared_name", "seed", "seed2", "epsilon", "is_training", "use_cudnn_on_gpu"),
    ("strides", "ksize", "padding", "explicit_paddings", "data_format", "dilations"),
    ("keep_dims", "squeeze_dims"),
)
