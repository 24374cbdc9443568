"""Allow modules of others every operation that can do no harm, by TensorFlow's own definitions.

Harmless is what keeps its state in variables, and reaches no file, no network and no Python. Files in
`assets/` do no harm either: no operation that is allowed opens one. How long operations run and how much
memory they take is not looked at here: `isolation` bounds both.
"""

import collections
import functools
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures.checks.safety import saved_objects, structure
from slimhub.signatures.contract import formats
from slimhub.support.tf_private import op_def_registry

Problems = Iterator[str]

# Whatever reads a file, reaches a network or finds an object of the process takes or gives one of these:
# a path, or a handle.
_HANDLES = {types_pb2.DT_STRING, types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT}
# Attributes that may be any string: names of modes, and texts that nothing interprets. Others are paths,
# addresses, and names of what runs.
_ATTRIBUTES = frozenset().union(
    ("bad_indices_policy", "equation", "fill_mode", "interpolation", "kernel_type", "noise"),
    ("src_format", "dst_format", "padding", "dimension_numbers"),
    # Of an error; of a loop, which its operations have in common.
    ("message", "frame_name"),
)
# Operations that are harmless for another reason, as regular expressions.
_EXCEPTIONS = (
    # Variables, by handle or by reference. What else has handles, of what is allowed, are loops.
    r"VarHandleOp|Variable|VariableV2|VarIsInitializedOp|VariableShape|ReadVariableOp",
    r"Assign(Add|Sub)?VariableOp|Resource(Gather|GatherNd|StridedSliceAssign|CountUpTo)",
    r"ResourceScatter(Nd)?(Update|Add|Sub|Mul|Div|Min|Max)|Resource(Sparse)?Apply\w+",
    # Random numbers, whose state is a seed, or a variable.
    r"RandomUniform|RandomUniformInt|RandomStandardNormal|TruncatedNormal|RandomShuffle|RandomCrop",
    r"ParameterizedTruncatedNormal|Multinomial|RandomGamma|RandomPoisson|RandomPoissonV2",
    r"SampleDistortedBoundingBox(V2)?|StatelessRandomGetAlg|RngSkip|RngReadAndSkip",
    r"Stateful(Uniform|UniformInt|UniformFullInt|StandardNormalV2|TruncatedNormal|RandomBinomial)",
    # Calls and control flow: their functions are looked at too. What else is told of a call is how
    # TensorFlow optimizes and runs the function.
    r"(Stateful)?PartitionedCall|(Stateless)?(If|While|Case)",
    # Checks that raise an error. They are stateful only so that they are not dropped.
    r"Assert|CheckNumerics(V2)?|GuaranteeConst",
    # Tensors of a loop and of its gradients, in memory, for as long as it runs.
    r"EmptyTensorList|TensorList\w+|TensorArray\w*V3|Stack(Push|Pop)?V2",
    # Summaries of TF1, of training: only strings, which other operations would write.
    r"(Scalar|Histogram|Image|Merge)Summary",
)
# Operations that look harmless.
_REFUSED = (
    # They overwrite a tensor that others may hold, be it the array of the caller.
    r"Inplace\w+",
    # They belong to other devices, to the network between them, or to a debugger.
    r"(Xla|TPU|Debug)\w+",
    # They read objects from strings, even if their definition names other types first.
    r"(Deserialize|Serialize)\w+",
)
# Those of functions that only the saver calls, or of its nodes in a graph of TF1.
_SAVER_OPERATIONS = formats.TF2_SAVED_MODEL.saver_operations
_ANY_SAVER_OPERATION = frozenset().union(*_SAVER_OPERATIONS.values())


def harmless(meta_graph: meta_graph_pb2.MetaGraphDef) -> Problems:
    """Look for what can do harm when the meta graph is loaded or run, in whichever way."""
    library = {function.signature.name for function in meta_graph.graph_def.library.function}
    parts = list(structure.parts(meta_graph))
    for part in parts:
        known = library | _SAVER_OPERATIONS.get(part.saver, frozenset())
        found = collections.Counter(node.op for node in part.nodes if node.op not in known)
        for op in sorted(found):
            reason = refusal(op)
            if reason and op in _ANY_SAVER_OPERATION:
                reason = "not only the saver may run it"
            if reason:
                yield f"has {found[op]} of the operation {op}{part.where}: {reason}"
        for node in part.nodes:
            if any(map(_holds_handles, node.attr.values())):
                yield f"has a handle, made up, in {node.name}{part.where}"
    yield from structure.faults(meta_graph, parts)
    yield from saved_objects.foreign(meta_graph, saved_objects.HARMLESS)
    for asset in meta_graph.asset_file_def:
        path = PurePosixPath(asset.filename)
        # Whoever loads the module gets this path below `assets/`, and may open it.
        if path.is_absolute() or ".." in path.parts:
            yield f"has the asset {asset.filename}"


@functools.cache
def refusal(name: str) -> str | None:
    """Return why an operation may do harm; None if it can't."""
    definition = op_def_registry.get(name)
    # Others are TensorFlow's own: among them, those that run Python, or machine code, or call servers.
    if definition is None or not hasattr(tf.raw_ops, name):
        return "it is no public operation of TensorFlow"
    if _matches(name, _REFUSED):
        return "it is refused by name"
    if _matches(name, _EXCEPTIONS):
        return None
    if definition.is_stateful:
        return "it is stateful"
    if any(arg.type in _HANDLES for arg in (*definition.input_arg, *definition.output_arg)):
        return "it takes or gives strings or handles"
    for attr in definition.attr:
        if attr.type in ("func", "list(func)"):
            return f"it calls what its attribute {attr.name} names"
        free = attr.type in ("string", "list(string)") and not attr.allowed_values.list.s
        if free and attr.name not in _ATTRIBUTES:
            return f"its attribute {attr.name} may be any string"
    return None


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def _holds_handles(value: attr_value_pb2.AttrValue) -> bool:
    """Return whether an attribute's tensor is of handles: whoever makes up one reaches any object of the process."""
    handles = _HANDLES - {types_pb2.DT_STRING}
    return any(tensor.dtype in handles for tensor in (value.tensor, *value.list.tensor))
