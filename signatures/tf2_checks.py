"""Checks of the TF2 SavedModel format alone. Each yields what is wrong, one line a problem."""

import collections
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from slimhub.signatures import contract
from slimhub.signatures.graph_checks import differences, type_of
from slimhub.signatures.interface import MOVING_AVERAGES, RESCALING
from slimhub.signatures.running import RunningObject
from slimhub.signatures.saved_objects import Objects, Wiring, to_python
from slimhub.signatures.subject import Subject
from slimhub.signatures.value_checks import difference, misplaced, moved, wrong_loss

Problems = Iterator[str]

# Batch norm normalizes with the variance of the batch, and averages the unbiased one: inference
# with the statistics of a batch comes only this close to training on it.
_STATISTICS_TOLERANCE = 0.1


def variables(subject: Subject) -> Problems:
    """The variables on disk are the object's, as many as promised; moving averages are not trainable."""
    interface = subject.promise.interface
    objects = Objects(_meta_graph(subject))
    on_disk = subject.module.variables
    outside = sorted(name for name in on_disk if not name.startswith(f"{interface.scope}/"))
    yield from (f"{name} is not in the scope {interface.scope}" for name in outside)
    counts = {
        "variables": interface.num_variables,
        "trainable_variables": interface.num_trainable_variables,
    }
    found = {}
    for kind, expected in counts.items():
        found[kind] = {node.variable.name: node.variable for node in objects.members(kind)}
        if len(found[kind]) != expected:
            yield f"{kind}: expected {expected}, got {len(found[kind])}"
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
    objects = Objects(_meta_graph(subject))
    for mode in subject.promise.modes:
        for call in mode.calls:
            function = objects.function(call.function)
            if function is None:
                yield f"{call.name}: there is no function {call.function}"
                continue
            spec = to_python(function.function_spec.fullargspec)
            arguments, defaults = ["inputs", *call.defaults], tuple(call.defaults.values())
            if spec["args"] != arguments or (spec["defaults"] or ()) != defaults:
                yield f"{call.name}: expected the arguments {arguments} with the defaults {defaults}, got {spec['args']} with {spec['defaults']}"
            traces = {inputs: outputs for _, inputs, outputs in objects.traces(function)}
            types = {key: spec.type for key, spec in call.outputs.items()}
            expected = types if call.gives_dictionary else types["default"]
            inputs = _inputs(subject, call)
            if inputs not in traces:
                yield f"{call.name}: expected a function of {inputs}, got {', '.join(map(str, traces)) or 'none'}"
            elif traces[inputs] != expected:
                yield f"{call.name}: expected {expected}, got {traces[inputs]}"


def tensor_names(subject: Subject) -> Problems:
    """Every signature and every call gives the promised tensors of the network, of its images and with its momentum."""
    meta_graph = _meta_graph(subject)
    wiring = Wiring(meta_graph)
    training = {name: _is_training(function) for name, function in wiring.networks().items()}
    for mode in subject.promise.modes:
        for one, outputs, images, momentum in _wired(subject, mode, meta_graph, wiring):
            for key, source in outputs.items():
                where = f"{mode.label} {one.name} {key}"
                expected = one.outputs[key].name.removesuffix(":0")
                if source.node != expected or training.get(source.function) is not mode.training:
                    yield f"{where}: expected {expected} {'in training' if mode.training else 'at inference'}, got {source.node} of {source.function or 'no function'}"
                    continue
                given = wiring.argument(source, "images")
                if _name(given) != images:
                    yield f"{where}: expected the network to get {images}, got {_name(given)}"
                given = wiring.argument(source, "batch_norm_momentum")
                if mode.training and _momentum(given) != momentum:
                    yield f"{where}: expected the momentum {momentum}, got {_momentum(given)}"


def networks(subject: Subject) -> Problems:
    """It has the network once for inference and once for training, with every batch norm and its updates."""
    num_batch_norms = subject.promise.interface.num_batch_norms
    expected = [
        (mode.training, num_batch_norms, 2 * num_batch_norms if mode.training else 0)
        for mode in subject.promise.modes
    ]
    found = []
    for function in Wiring(_meta_graph(subject)).networks().values():
        ops = collections.Counter(node.op for node in function.node_def)
        training = _is_training(function)
        if training is None:
            yield f"{function.signature.name}: some batch norms are for training, others are not"
        found.append((training, ops["FusedBatchNormV3"], ops["AssignSubVariableOp"]))
    if sorted(found, key=str) != sorted(expected, key=str):
        yield f"expected (training, batch norms, updates) of {expected}, got {found}"


def image_range(subject: Subject) -> Problems:
    """Images in [0, 1] are rescaled in the graph to what the network was trained on."""
    for function in Wiring(_meta_graph(subject)).networks().values():
        where = function.signature.name
        nodes = {node.name: node for node in function.node_def}
        source = next(arg.name for arg in function.signature.input_arg if arg.type == tf.float32)
        for name, constant in zip(RESCALING, subject.promise.interface.rescale, strict=True):
            readers = sorted(
                node.name
                for node in function.node_def
                if any(given == source or given.startswith(f"{source}:") for given in node.input)
            )
            if readers != [name]:
                yield f"{where}: expected {source} to be read by {name} alone, got {', '.join(readers) or 'none'}"
                break
            operand = nodes[nodes[name].input[1].split(":")[0]].attr["value"].tensor
            if not np.array_equal(tf.make_ndarray(operand), np.float32(constant)):
                yield f"{where} {name}: expected the constant {constant:g}, got {tf.make_ndarray(operand)}"
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
    counts = collections.Counter(name for names in kernels for name in names)
    yield from (f"{name} has {count} losses" for name, count in sorted(counts.items()) if count > 1)


def loss_values(subject: Subject) -> Problems:
    """Each loss is the weight decay times half the squared norm of its kernel."""
    for names, loss in zip(_kernels(subject), subject.loaded.regularization_losses, strict=True):
        kernels = [subject.module.read_variable(name) for name in names]
        yield from wrong_loss("{serve}", subject.promise, names, kernels, loss().numpy())


def moving_averages(subject: Subject) -> Problems:
    """In training, each signature moves moving averages by (1 - momentum) * (batch statistic - old), once; nothing else moves."""
    images = subject.images(batch=2)
    inference, training = (subject.run(mode) for mode in subject.promise.modes)
    on_disk = {name: subject.module.read_variable(name) for name in training.averages}
    weights = {name: subject.module.read_variable(name) for name in training.weights}
    _, after = inference.step(images, momentum=0)
    for name, averages in after.items():
        yield from moved(name, "applied", on_disk, averages)
    outputs, after = training.step(images, momentum=0)
    statistics = next(iter(after.values()))
    yield from _misused(subject, inference, images, outputs, statistics)
    for momentum in (0.5, 0.75):
        _, after = training.step(images, momentum=momentum)
        before = on_disk
        for name in after:
            updates = {key: (before[key], statistics[key], after[name][key]) for key in before}
            yield from misplaced(name, updates, momentum=momentum)
            before = after[name]
    yield from moved("training", "applied", weights, training.read(training.weights))


GRAPH_CHECKS = (variables, calls, tensor_names, networks, image_range, regularization_losses)
VALUE_CHECKS = (loss_values, moving_averages)


def _meta_graph(subject: Subject) -> meta_graph_pb2.MetaGraphDef:
    [(_, _, meta_graph)] = subject.meta_graphs()
    return meta_graph


def _inputs(subject: Subject, call: contract.Call) -> tuple:
    momentum = (contract.BATCH_NORM_MOMENTUM.type,) if call.takes_momentum else ()
    return (subject.promise.images.type, *call.arguments.values(), *momentum)


def _wired(subject: Subject, mode: contract.Mode, meta_graph, wiring: Wiring):
    """Signatures and calls, both promised and found: sources of outputs by key, and what the images
    and the momentum are expected to come from, by name; a momentum that is not given, as its value."""
    float32 = np.float32(subject.promise.momentum)
    for signature in mode.signatures:
        if signature.name in meta_graph.signature_def:
            found = meta_graph.signature_def[signature.name]
            keys = found.outputs.keys() & signature.outputs.keys()
            outputs = {key: wiring.source(found.outputs[key].name) for key in sorted(keys)}
            names = {
                spec: found.inputs[key].name.removesuffix(":0")
                for key, spec in signature.inputs.items()
            }
            momentum = names.get(contract.BATCH_NORM_MOMENTUM, float32)
            yield signature, outputs, names[subject.promise.images], momentum
    objects = Objects(meta_graph)
    for call in mode.calls:
        function = objects.function(call.function)
        traces = () if function is None else objects.traces(function)
        for name, inputs, _ in traces:
            if inputs == _inputs(subject, call):
                outputs = dict(zip(sorted(call.outputs), wiring.outputs(name), strict=False))
                momentum = "batch_norm_momentum" if call.takes_momentum else float32
                yield call, outputs, "inputs", momentum


def _name(source) -> str | None:
    return source.name if isinstance(source, node_def_pb2.NodeDef) else source


def _momentum(source) -> str | np.ndarray | None:
    """The value of a constant, the name of anything else."""
    constant = isinstance(source, node_def_pb2.NodeDef) and source.op == "Const"
    return tf.make_ndarray(source.attr["value"].tensor) if constant else _name(source)


def _is_training(function: function_pb2.FunctionDef) -> bool | None:
    """Of all of its batch norms; None if they differ."""
    found = {
        # The default, which is not written, is true.
        "is_training" not in node.attr or node.attr["is_training"].b
        for node in function.node_def
        if node.op == "FusedBatchNormV3"
    }
    return found.pop() if len(found) == 1 else None


def _kernels(subject: Subject) -> Iterator[list[str]]:
    """Names of the variables behind each regularization loss."""
    objects = Objects(_meta_graph(subject))
    for node in objects.members("regularization_losses"):
        yield objects.captured(node.function)


def _misused(
    subject: Subject,
    inference: RunningObject,
    images: np.ndarray,
    trained: Mapping[str, Mapping[str, np.ndarray]],
    statistics: Mapping[str, np.ndarray],
) -> Problems:
    """With the statistics of a batch, inference on it comes close to training."""
    with inference.having(statistics):
        outputs = inference.run(images)
    name = "image_feature_vector"
    found = difference(outputs[name]["default"], trained[f"{name}_with_bn_hparams"]["default"])
    if not found <= _STATISTICS_TOLERANCE:
        yield f"inference with what training made of the moving averages: expected a difference of at most {_STATISTICS_TOLERANCE:g}, got {found:g}"
