"""Checks of the TF2 SavedModel format alone. Each yields what is wrong, one line a problem."""

import collections
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_object_graph_pb2

from slimhub.signatures import running, wiring_checks
from slimhub.signatures.directory import UnreadableError, differences
from slimhub.signatures.graph_checks import type_of
from slimhub.signatures.interface import KERNEL, MOVING_AVERAGES, RESCALING
from slimhub.signatures.saved_objects import (
    Objects,
    Wiring,
    constant,
    is_training,
    to_python,
)
from slimhub.signatures.subject import Subject
from slimhub.signatures.value_checks import difference, misplaced, moved, wrong_loss

Problems = Iterator[str]

# Batch norm normalizes with the variance of the batch, and averages the unbiased one: inference
# with the statistics of a batch comes only this close to training on it, and each layer adds to that:
# with synthetic weights, ResNet V1 152 has 0.21 after its 155.
_STATISTICS_TOLERANCE = 0.1
_STATISTICS_TOLERANCE_A_NORM = 0.002


def variables(subject: Subject) -> Problems:
    """The variables on disk are the object's, as many as promised; moving averages are not trainable."""
    interface = subject.promise.interface
    objects = Objects(subject.meta_graph)
    on_disk = subject.module.variables
    outside = sorted(name for name in on_disk if not name.startswith(f"{interface.scope}/"))
    yield from (f"{name} is not in the scope {interface.scope}" for name in outside)
    counts = {
        "variables": interface.num_variables,
        "trainable_variables": interface.num_trainable_variables,
    }
    found = {}
    for kind, expected in counts.items():
        members = objects.members(kind)
        found[kind] = {node.variable.name: node.variable for node in members}
        if not len(found[kind]) == len(members) == expected:
            yield f"{kind}: expected {expected}, got {len(members)}, of which {len(found[kind])} different"
    yield from differences("variable", set(on_disk), set(found["variables"]))
    for name, variable in sorted(found["variables"].items()):
        in_graph = type_of(variable.dtype, variable.shape)
        if on_disk.get(name, in_graph) != in_graph:
            yield f"{name}: on disk {on_disk[name]}, in the object {in_graph}"
        average = name.endswith(MOVING_AVERAGES)
        if average and (variable.trainable or name in found["trainable_variables"]):
            yield f"{name} is a moving average, and trainable"
        if not average and not variable.trainable:
            yield f"{name} is a weight, and not trainable"


def calls(subject: Subject) -> Problems:
    """What is loaded can be called as promised: arguments, their defaults, and what comes out."""
    objects = Objects(subject.meta_graph)
    for mode in subject.promise.modes:
        for call in mode.calls:
            function = objects.function(call.function)
            if function is None:
                yield f"{call.name}: there is no function {call.function}"
                continue
            found = _arguments(function)
            arguments = ["inputs", *call.defaults], tuple(call.defaults.values())
            if found != arguments:
                yield f"{call.name}: expected the arguments {arguments[0]} with the defaults {arguments[1]}, got {found[0]} with {found[1]}"
            # By what they look like: not all that can be saved can be a key.
            traces = {repr(inputs): outputs for _, inputs, outputs in objects.traces(function)}
            types = {key: spec.type for key, spec in call.outputs.items()}
            expected = types if call.gives_dictionary else types["default"]
            inputs = repr(subject.promise.inputs(call))
            if inputs not in traces:
                yield f"{call.name}: expected a function of {inputs}, got {', '.join(traces) or 'none'}"
            elif traces[inputs] != expected:
                yield f"{call.name}: expected {expected}, got {traces[inputs]}"


def assets(subject: Subject) -> Problems:
    """What is loaded has the file that names the classes, where that is promised, as `labels`."""
    files = [asset.filename for asset in subject.meta_graph.asset_file_def]
    found = Objects(subject.meta_graph).child("labels")
    if found is not None:
        index = found.asset.asset_file_def_index if found.HasField("asset") else -1
        found = files[index] if 0 <= index < len(files) else "something else"
    [expected] = subject.promise.assets or [None]
    if found != expected:
        yield f"expected the attribute labels to be the asset {expected}, got {found}"


def networks(subject: Subject) -> Problems:
    """It has the network once for inference and once for training, with every batch norm and its updates."""
    num_batch_norms = subject.promise.interface.num_batch_norms
    expected = [
        (mode.training, num_batch_norms, 2 * num_batch_norms if mode.training else 0)
        for mode in subject.promise.modes
    ]
    found = []
    for function in Wiring(subject.meta_graph).networks().values():
        ops = collections.Counter(node.op for node in function.node_def)
        training = is_training(function)
        if training is None:
            yield f"{function.signature.name}: some batch norms are for training, others are not"
        found.append((training, ops["FusedBatchNormV3"], ops["AssignSubVariableOp"]))
    if sorted(found, key=str) != sorted(expected, key=str):
        yield f"expected (training, batch norms, updates) of {expected}, got {found}"


def image_range(subject: Subject) -> Problems:
    """Images in [0, 1] are rescaled in the graph to what the network was trained on."""
    interface = subject.promise.interface
    constants = np.float32(interface.input_scale), np.array(interface.input_offsets, np.float32)
    for function in Wiring(subject.meta_graph).networks().values():
        where = function.signature.name
        nodes = {node.name: node for node in function.node_def}
        images = [arg.name for arg in function.signature.input_arg if arg.type == tf.float32]
        if not images:
            yield f"{where}: expected an argument of float32, got none"
            continue
        source = images[0]
        for name, expected in zip(RESCALING, constants, strict=True):
            readers = sorted(
                node.name
                for node in function.node_def
                if any(given == source or given.startswith(f"{source}:") for given in node.input)
            )
            if readers != [name]:
                yield f"{where}: expected {source} to be read by {name} alone, got {', '.join(readers) or 'none'}"
                break
            if nodes[name].op != name.rpartition("/")[2]:
                yield f"{where} {name}: got the operation {nodes[name].op}"
            operand = [nodes.get(given.split(":")[0]) for given in nodes[name].input[1:2]]
            found = constant(operand[0], expected.shape) if operand and operand[0] else None
            if found is None or not np.array_equal(found, expected):
                yield f"{where} {name}: expected the constant {expected}, got {found}"
            source = name


def regularization_losses(subject: Subject) -> Problems:
    """There is one function for each regularized kernel, of that kernel alone."""
    expected = subject.promise.interface.num_regularization_losses
    kernels = list(_kernels(subject))
    if len(kernels) != expected:
        yield f"expected {expected}, got {len(kernels)}"
    for index, names in enumerate(kernels):
        if len(names) != 1:
            yield f"number {index}: expected a loss of one variable, got one of {', '.join(names) or 'none'}"
        elif not names[0].endswith(KERNEL):
            yield f"number {index}: expected the loss of a kernel, got that of {names[0]}"
    counts = collections.Counter(name for names in kernels for name in names)
    yield from (f"{name} has {count} losses" for name, count in sorted(counts.items()) if count > 1)


def loss_values(subject: Subject) -> Problems:
    """Each loss is the weight decay times half the squared norm of its kernel."""
    if not subject.inference:
        return
    for names, loss in zip(_kernels(subject), subject.loaded.regularization_losses, strict=True):
        kernels = [subject.module.read_variable(name) for name in names]
        yield from wrong_loss("{serve}", subject.promise, names, kernels, loss().numpy())


def serving(subject: Subject) -> Problems:
    """Loaded into a session, as TensorFlow Serving does, it has the variables that are on disk."""
    if not subject.inference:
        return
    [tags] = subject.promise.tag_sets
    with running.load(subject.module.directory, tags=tags) as graph, graph.graph.as_default():
        handles = [op for op in graph.graph.get_operations() if op.type == "VarHandleOp"]
        reads = {
            op.get_attr("shared_name").decode(): tf.raw_ops.ReadVariableOp(
                resource=op.outputs[0], dtype=op.get_attr("dtype")
            )
            for op in handles
        }
        yield from differences("variable", set(subject.module.variables), set(reads))
        for on_disk in subject.module.portions(set(subject.module.variables) & set(reads)):
            for name in graph.unlike(on_disk, reads):
                yield f"{name}: expected what is on disk, got something else"


def moving_averages(subject: Subject) -> Problems:
    """In training, each signature moves moving averages by (1 - momentum) * (batch statistic - old), once; nothing else moves."""
    images = subject.images(batch=2)
    for mode, module in subject.running():
        on_disk = {name: subject.module.read_variable(name) for name in module.averages}
        outputs, after = module.step(images, momentum=0)
        if not mode.training:
            for name, averages in after.items():
                yield from moved(name, "applied", on_disk, averages)
            continue
        if on_disk:
            statistics = next(iter(after.values()))
            yield from _misused(subject, images, outputs, statistics)
            yield from _updated(module, images, on_disk, statistics)
        for weights in subject.module.portions(module.weights):
            found = {name: np.asarray(module.weights[name].read_value()) for name in weights}
            yield from moved("training", "applied", weights, found)


GRAPH_CHECKS = (
    variables,
    calls,
    assets,
    *wiring_checks.CHECKS,
    networks,
    image_range,
    regularization_losses,
)
# While it is loaded in no other way: large modules take much memory.
BEFORE_LOADS = (serving,)
VALUE_CHECKS = (loss_values, moving_averages)


def _arguments(function: saved_object_graph_pb2.SavedFunction) -> tuple:
    """Names of the arguments of a function, and their defaults."""
    spec = to_python(function.function_spec.fullargspec)
    if not isinstance(spec, dict):
        raise UnreadableError(f"expected a description of arguments, got {spec}")
    return spec.get("args"), spec.get("defaults") or ()


def _kernels(subject: Subject) -> Iterator[list[str]]:
    """Names of the variables behind each regularization loss."""
    objects = Objects(subject.meta_graph)
    for node in objects.members("regularization_losses"):
        yield objects.captured(node.function)


def _updated(
    module: running.RunningObject,
    images: np.ndarray,
    on_disk: Mapping[str, np.ndarray],
    statistics: Mapping[str, np.ndarray],
) -> Problems:
    """Each application moves the averages from where the one before left them."""
    for momentum in (0.5, 0.75):
        _, after = module.step(images, momentum=momentum)
        before = on_disk
        for name in after:
            updates = {key: (before[key], statistics[key], after[name][key]) for key in before}
            yield from misplaced(name, updates, momentum=momentum)
            before = after[name]


def _misused(
    subject: Subject,
    images: np.ndarray,
    trained: Mapping[str, Mapping[str, np.ndarray]],
    statistics: Mapping[str, np.ndarray],
) -> Problems:
    """With the statistics of a batch, inference on it comes close to training."""
    [inference] = [subject.run(mode) for mode in subject.promise.modes if not mode.training]
    with inference.having(statistics):
        outputs = inference.run(images)
    name = "image_feature_vector"
    found = difference(outputs[name]["default"], trained[f"{name}_with_bn_hparams"]["default"])
    num_batch_norms = subject.promise.interface.num_batch_norms
    allowed = max(_STATISTICS_TOLERANCE, _STATISTICS_TOLERANCE_A_NORM * num_batch_norms)
    if not found <= allowed:
        yield f"inference with what training made of the moving averages: expected a difference of at most {allowed:g}, got {found:g}"
