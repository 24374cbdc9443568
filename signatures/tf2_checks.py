"""Checks of the TF2 SavedModel format alone. Each yields what is wrong, one line a problem."""

import collections
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2
from tensorflow.core.protobuf import saved_object_graph_pb2, struct_pb2

from slimhub.signatures import contract
from slimhub.signatures.graph_checks import differences, type_of
from slimhub.signatures.running import RunningObject
from slimhub.signatures.subject import Subject
from slimhub.signatures.value_checks import difference, misplaced, moved, wrong_loss

Problems = Iterator[str]

# Batch norm normalizes with the variance of the batch, and averages the unbiased one: inference
# with the statistics of a batch comes only this close to training on it.
_STATISTICS_TOLERANCE = 0.1


def variables(subject: Subject) -> Problems:
    """The variables on disk are the object's, as many as promised; moving averages are not trainable."""
    interface = subject.promise.interface
    objects = _Objects(subject)
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
        average = name.endswith(contract.MOVING_AVERAGES)
        if average and (variable.trainable or name in found["trainable_variables"]):
            yield f"{name} is a moving average, and trainable"
        if not average and not variable.trainable:
            yield f"{name} is a weight, and not trainable"


def calls(subject: Subject) -> Problems:
    """What is loaded can be called as promised: arguments, their defaults, and what comes out."""
    objects = _Objects(subject)
    images = subject.promise.images.type
    for mode in subject.promise.modes:
        for call in mode.calls:
            node = objects.child(objects.root, call.function)
            if node is None or not node.HasField("function"):
                yield f"{call.name}: there is no function {call.function}"
                continue
            spec = _python(node.function.function_spec.fullargspec)
            arguments, defaults = ["inputs", *call.defaults], tuple(call.defaults.values())
            if spec["args"] != arguments or (spec["defaults"] or ()) != defaults:
                yield f"{call.name}: expected the arguments {arguments} with the defaults {defaults}, got {spec['args']} with {spec['defaults']}"
            momentum = [contract.BATCH_NORM_MOMENTUM.type] if call.takes_momentum else []
            inputs = (images, *call.arguments.values(), *momentum)
            traced = dict(objects.traces(node.function))
            outputs = {key: spec.type for key, spec in call.outputs.items()}
            expected = outputs if call.gives_dictionary else outputs["default"]
            if inputs not in traced:
                yield f"{call.name}: expected a function of {inputs}, got {', '.join(map(str, traced)) or 'none'}"
            elif traced[inputs] != expected:
                yield f"{call.name}: expected {expected}, got {traced[inputs]}"


def networks(subject: Subject) -> Problems:
    """It has the network once for inference and once for training, with every batch norm and its updates."""
    num_batch_norms = subject.promise.interface.num_batch_norms
    expected = sorted(
        (mode.training, num_batch_norms, 2 * num_batch_norms if mode.training else 0)
        for mode in subject.promise.modes
    )
    found = []
    for function in _networks(subject):
        ops = collections.Counter(node.op for node in function.node_def)
        training = {
            # The default, which is not written, is true.
            "is_training" not in node.attr or node.attr["is_training"].b
            for node in function.node_def
            if node.op == "FusedBatchNormV3"
        }
        if len(training) == 2:
            yield f"{function.signature.name}: some batch norms are for training, others are not"
        found.append((any(training), ops["FusedBatchNormV3"], ops["AssignSubVariableOp"]))
    if sorted(found) != expected:
        yield f"expected (training, batch norms, updates) of {expected}, got {sorted(found)}"


def image_range(subject: Subject) -> Problems:
    """Images in [0, 1] are rescaled in the graph to what the network was trained on."""
    for function in _networks(subject):
        where = function.signature.name
        nodes = {node.name: node for node in function.node_def}
        source = next(arg.name for arg in function.signature.input_arg if arg.type == tf.float32)
        for name, constant in zip(
            contract.RESCALING, subject.promise.interface.rescale, strict=True
        ):
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
    """In training, each call moves moving averages by (1 - momentum) * (batch statistic - old), once; nothing else moves."""
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
        for one in (*subject.promise.modes[1].signatures, *subject.promise.modes[1].calls):
            updates = {
                name: (before[name], statistics[name], after[one.name][name]) for name in before
            }
            used = momentum if one.takes_momentum else subject.promise.momentum
            yield from misplaced(one.name, updates, momentum=used)
            before = after[one.name]
    yield from moved("training", "applied", weights, training.read(training.weights))


GRAPH_CHECKS = (variables, calls, networks, image_range, regularization_losses)
VALUE_CHECKS = (loss_values, moving_averages)


class _Objects:
    """The objects in a SavedModel, without loading it."""

    def __init__(self, subject: Subject):
        [(_, _, meta_graph)] = subject.meta_graphs()
        self._graph = meta_graph.object_graph_def
        self.root = self._graph.nodes[0]

    def child(self, node, name: str) -> saved_object_graph_pb2.SavedObject | None:
        for child in node.children:
            if child.local_name == name:
                return self._graph.nodes[child.node_id]
        return None

    def members(self, name: str) -> list[saved_object_graph_pb2.SavedObject]:
        """Those of a list that is an attribute of the root."""
        found = self.child(self.root, name)
        children = [] if found is None else found.children
        return [self._graph.nodes[child.node_id] for child in children]

    def traces(self, function: saved_object_graph_pb2.SavedFunction):
        """Inputs and outputs of each concrete function, in Python, tensors as their types."""
        for name in function.concrete_functions:
            concrete = self._graph.concrete_functions[name]
            arguments, _ = _python(concrete.canonicalized_input_signature)
            yield arguments, _python(concrete.output_signature)

    def captured(self, function: saved_object_graph_pb2.SavedFunction) -> list[str]:
        """Names of the variables behind a function."""
        concrete = [self._graph.concrete_functions[name] for name in function.concrete_functions]
        inputs = {number for one in concrete for number in one.bound_inputs}
        return sorted(self._graph.nodes[number].variable.name for number in inputs)


def _kernels(subject: Subject) -> Iterator[list[str]]:
    """Names of the variables behind each regularization loss."""
    objects = _Objects(subject)
    for node in objects.members("regularization_losses"):
        yield objects.captured(node.function)


def _networks(subject: Subject) -> Iterator[function_pb2.FunctionDef]:
    for _, _, meta_graph in subject.meta_graphs():
        for function in meta_graph.graph_def.library.function:
            if any(node.op == "FusedBatchNormV3" for node in function.node_def):
                yield function


def _misused(
    subject: Subject,
    inference: RunningObject,
    images: np.ndarray,
    trained: Mapping[str, Mapping[str, np.ndarray]],
    statistics: Mapping[str, np.ndarray],
) -> Problems:
    """With the statistics of a batch, inference on it comes close to training."""
    inference.assign(statistics)
    outputs = inference.run(images)
    name = "image_feature_vector"
    found = difference(outputs[name]["default"], trained[f"{name}_with_bn_hparams"]["default"])
    if not found <= _STATISTICS_TOLERANCE:
        yield f"inference with what training made of the moving averages: expected a difference of at most {_STATISTICS_TOLERANCE:g}, got {found:g}"


def _python(value: struct_pb2.StructuredValue):
    """As Python has it; a tensor is its type."""
    kind = value.WhichOneof("kind")
    found = getattr(value, kind)
    if kind == "none_value":
        return None
    if kind in ("list_value", "tuple_value"):
        return (list if kind == "list_value" else tuple)(map(_python, found.values))
    if kind == "dict_value":
        return {key: _python(one) for key, one in found.fields.items()}
    if kind == "named_tuple_value":
        return {pair.key: _python(pair.value) for pair in found.values}
    if kind == "tensor_spec_value":
        return type_of(found.dtype, found.shape)
    return found
