"""Which operations may do harm: tables of them, and the whole registry of the installed TensorFlow."""

import pytest
import tensorflow as tf
from hostile_operations import HARMFUL
from tensorflow.core.framework import types_pb2

from slimhub.signatures.checks.safety.harmless import refusal
from slimhub.support.tf_private import op_def_registry

REFUSED = (
    # Of the collection of hostile modules: files, programs, Python.
    *HARMFUL,
    # Files,
    *("MatchingFiles", "WholeFileReaderV2", "TextLineDataset", "TFRecordDataset", "ImmutableConst"),
    *("LMDBReader", "GenerateVocabRemapping", "LoadAndRemapMatrix", "FixedUnigramCandidateSampler"),
    *(
        "InitializeTableFromTextFileV2",
        "PrintV2",
        "Save",
        "Restore",
        "ShardedFilename",
        "LoadDataset",
    ),
    *("CreateSummaryFileWriter", "DecodeProtoV2", "FileSystemSetConfiguration", "DumpTensor"),
    # Python and machine code,
    *("EagerPyFunc", "PyFuncStateless", "XlaCallModule", "XlaCustomCallV2", "MlirPassthroughOp"),
    *(
        "XlaLaunch",
        "TRTEngineOp",
        "SymbolicGradient",
        "RemoteCall",
        "BatchFunction",
        "MapDefun",
        "For",
    ),
    # networks and other devices,
    *("Send", "Recv", "_Send", "_HostRecv", "RpcCall", "RpcServerStart", "CollectiveReduceV2"),
    *("NcclAllReduce", "AllToAll", "CrossReplicaSum", "TPUReplicatedInput", "InfeedDequeue"),
    *("OutfeedEnqueue", "DTensorAllReduce", "CopyToMesh", "DataServiceDatasetV2", "XlaSplitND"),
    # debuggers,
    *("DebugIdentity", "DebugIdentityV2", "DebugNumericSummary", "DebugNumericSummaryV2", "Copy"),
    # what waits, or holds other objects of the process,
    *(
        "QueueDequeueV2",
        "FIFOQueueV2",
        "Barrier",
        "MutexLock",
        "Stage",
        "Unstage",
        "MapPeek",
        "Batch",
    ),
    *("IteratorV2", "IteratorGetNext", "HashTableV2", "LookupTableFindV2", "GetSessionTensor"),
    *("AnonymousHashTable", "TemporaryVariable", "DestroyTemporaryVariable", "DestroyResourceOp"),
    *("ResourceConditionalAccumulator", "ResourceUsingOp", "StubResourceHandleOp"),
    # what parses strings, or overwrites and shows the memory of others.
    *("DecodeJpeg", "DecodePng", "ParseExampleV2", "ParseTensor", "DeserializeSparse", "DecodeRaw"),
    *("InplaceUpdate", "InplaceAdd", "Empty"),
    # No operation at all.
    *("", "__name__", "matmul", "PyFunc ", "Add\n"),
)
ALLOWED = (
    *("Const", "Placeholder", "PlaceholderWithDefault", "Identity", "IdentityN", "NoOp", "Pack"),
    *("Conv2D", "DepthwiseConv2dNative", "MatMul", "BiasAdd", "FusedBatchNorm", "FusedBatchNormV3"),
    *("MaxPool", "AvgPool", "Mean", "Relu6", "Elu", "Softmax", "LRN", "Einsum", "SpaceToBatchND"),
    *("ResizeBilinear", "CropAndResize", "ImageProjectiveTransformV3", "AdjustHue", "RGBToHSV"),
    *("FakeQuantWithMinMaxVars", "QuantizedConv2D", "TopKV2", "NonMaxSuppressionV5", "Where"),
    *("VariableV2", "Assign", "AssignSub", "IsVariableInitialized", "ScatterUpdate", "ApplyAdam"),
    *("VarHandleOp", "ReadVariableOp", "AssignVariableOp", "VarIsInitializedOp", "ResourceGather"),
    *("ResourceApplyMomentum", "ResourceScatterNdUpdate", "GatherNd", "TensorScatterUpdate"),
    *("RandomUniform", "RandomStandardNormal", "StatelessRandomUniformV2", "RngReadAndSkip"),
    *("PartitionedCall", "StatefulPartitionedCall", "If", "StatelessIf", "While", "Case"),
    *("Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "ControlTrigger"),
    *("Assert", "CheckNumerics", "TensorListStack", "TensorArrayReadV3", "StackPushV2"),
    *("ScalarSummary", "HistogramSummary", "ImageSummary", "MergeSummary"),
)
# All stateful operations that are allowed, of whichever version of TensorFlow.
VARIABLES = frozenset().union(
    ("VarHandleOp", "Variable", "VariableV2", "VarIsInitializedOp", "VariableShape"),
    ("ReadVariableOp", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"),
    ("ResourceGather", "ResourceGatherNd", "ResourceStridedSliceAssign", "ResourceCountUpTo"),
    (f"ResourceScatter{how}" for how in ("Update", "Add", "Sub", "Mul", "Div", "Min", "Max")),
    (f"ResourceScatterNd{how}" for how in ("Update", "Add", "Sub", "Min", "Max")),
    (
        f"Resource{sparse}Apply{optimizer}"
        for sparse in ("", "Sparse")
        for optimizer in (
            *("Adadelta", "Adagrad", "AdagradDA", "AdagradV2", "CenteredRMSProp", "Ftrl", "FtrlV2"),
            *("KerasMomentum", "Momentum", "ProximalAdagrad", "ProximalGradientDescent", "RMSProp"),
        )
    ),
    (
        f"ResourceApply{optimizer}"
        for optimizer in (
            *("AdaMax", "Adam", "AdamWithAmsgrad", "AddSign", "GradientDescent", "PowerSign"),
        )
    ),
)
RANDOM = frozenset().union(
    ("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal"),
    ("RandomShuffle", "RandomCrop", "ParameterizedTruncatedNormal", "Multinomial", "RandomGamma"),
    ("RandomPoisson", "RandomPoissonV2", "SampleDistortedBoundingBox"),
    ("SampleDistortedBoundingBoxV2", "StatelessRandomGetAlg", "RngSkip", "RngReadAndSkip"),
    ("StatefulUniform", "StatefulUniformInt", "StatefulUniformFullInt", "StatefulRandomBinomial"),
    ("StatefulStandardNormalV2", "StatefulTruncatedNormal"),
)
CALLS = frozenset(["StatefulPartitionedCall", "If", "While", "Case"])
CHECKS = frozenset(["Assert", "CheckNumerics", "CheckNumericsV2", "GuaranteeConst"])
LOOPS = frozenset().union(
    ("StackV2", "StackPushV2", "StackPopV2", "TensorArrayV3", "TensorArrayGradV3"),
    (
        f"TensorArray{how}V3"
        for how in ("Close", "Concat", "Gather", "Read", "Scatter", "Size", "Split", "Write")
    ),
)
STATEFUL = VARIABLES | RANDOM | CALLS | CHECKS | LOOPS
# All that are not stateful, and take or give strings or handles.
WITH_HANDLES = frozenset().union(
    ("ScalarSummary", "HistogramSummary", "ImageSummary", "MergeSummary", "EmptyTensorList"),
    (
        f"TensorList{how}"
        for how in (
            *("Concat", "ConcatLists", "ConcatV2", "ElementShape", "FromTensor", "Gather"),
            *("GetItem", "Length", "PopBack", "PushBack", "PushBackBatch", "Reserve", "Resize"),
            *("Scatter", "ScatterIntoExistingList", "ScatterV2", "SetItem", "Split", "Stack"),
        )
    ),
)
# All attributes of the others that may be any string.
STRINGS = {
    *("bad_indices_policy", "dimension_numbers", "dst_format", "equation", "fill_mode"),
    *("frame_name", "interpolation", "kernel_type", "message", "noise", "padding", "src_format"),
}


@pytest.fixture(scope="module")
def allowed():
    """The definitions of all allowed operations of the installed TensorFlow, by name."""
    definitions = {name: op_def_registry.get(name) for name in dir(tf.raw_ops)}
    return {
        name: definition
        for name, definition in definitions.items()
        if definition is not None and refusal(name) is None
    }


def registered(names):
    return {name for name in names if op_def_registry.get(name) is not None}


@pytest.mark.parametrize("op", REFUSED)
def test_refused(op):
    """An operation that may do harm is refused, with a reason, whether TensorFlow has it or not."""
    assert refusal(op)


@pytest.mark.parametrize("op", ALLOWED)
def test_allowed(op):
    """An operation that image networks of others have is allowed."""
    assert refusal(op) is None


def test_stateful(allowed):
    """Of all operations of TensorFlow, no stateful one is allowed but those listed here."""
    stateful = {name for name, definition in allowed.items() if definition.is_stateful}
    assert stateful == registered(STATEFUL)


def test_handles(allowed):
    """Of all that are not stateful, none takes or gives strings or handles but those listed here."""
    handles = {types_pb2.DT_STRING, types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT}
    found = {
        name
        for name, definition in allowed.items()
        if handles & {arg.type for arg in (*definition.input_arg, *definition.output_arg)}
    }
    assert found - STATEFUL == registered(WITH_HANDLES)


def test_strings(allowed):
    """Of all others, no attribute may be any string but those listed here, and only calls name functions."""
    attributes = [
        (name, attr)
        for name, definition in allowed.items()
        if name not in STATEFUL | WITH_HANDLES
        for attr in definition.attr
        if not attr.allowed_values.list.s
    ]
    calls = {"PartitionedCall", "StatelessIf", "StatelessWhile", "StatelessCase"}
    assert {name for name, attr in attributes if attr.type in ("func", "list(func)")} == calls
    strings = {
        attr.name
        for name, attr in attributes
        if name not in calls and attr.type in ("string", "list(string)")
    }
    assert strings <= STRINGS


def test_refused_by_name(allowed):
    """No allowed operation belongs to other devices or a debugger, or writes into its input."""
    prefixes = ("Xla", "TPU", "Debug", "Inplace", "Collective", "Nccl", "Serialize", "_")
    assert [name for name in allowed if name.startswith(prefixes)] == []
