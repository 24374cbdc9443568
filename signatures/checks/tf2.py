"""Checks of the TF2 SavedModel format alone. Each yields what is wrong, one line a problem.

`registry` says what each one holds a module to.
"""

import collections
import functools
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2
from tensorflow.core.protobuf import saved_object_graph_pb2

from slimhub.signatures.checks import agreement, bounds
from slimhub.signatures.checks.bounds import Measurement, difference
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.running import (
    logits,
    measured_loss,
    measured_update,
    moved,
    prepared_images,
    wrong_scalar,
)
from slimhub.signatures.checks.static import wrong_losses, wrong_variables
from slimhub.signatures.contract import contract, formats
from slimhub.signatures.contract.network import MOVING_AVERAGES, RESCALING
from slimhub.signatures.graphs.dropout import wrong_dropout
from slimhub.signatures.module import execution
from slimhub.signatures.module.directory import UnreadableError, differences
from slimhub.signatures.module.module import dependents, type_of
from slimhub.signatures.module.objects import (
    Objects,
    constant,
    is_training,
    network_functions,
    operations_behind,
    to_python,
)

Problems = Iterator[str]
Findings = Iterator[str | Measurement]

_, _VARIANCE = MOVING_AVERAGES


def variables(subject: ModuleUnderTest) -> Problems:
    """Compare the variables on disk with those of the object."""
    network, on_disk = subject.promise.network, subject.module.variables
    objects = Objects(subject.meta_graph)
    yield from wrong_variables(subject.promise, on_disk)
    if not subject.promise.exact:
        yield from _wrong_members(subject, objects)
        return
    counts = {
        "variables": len(network.variables),
        "trainable_variables": len(network.trainable),
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


def calls(subject: ModuleUnderTest) -> Problems:
    """Compare arguments, defaults, and types of inputs and outputs of each call."""
    objects = Objects(subject.meta_graph)
    for mode in subject.promise.modes:
        for call in mode.calls:
            function = objects.function(call.function)
            if function is None:
                yield f"{call.name}: there is no function {call.function}"
                continue
            found = _arguments(function)
            if not subject.promise.exact:
                yield from _wrong_arguments(call, *found)
                continue
            arguments = ["inputs", *call.defaults], tuple(call.defaults.values())
            if found != arguments:
                yield f"{call.name}: expected the arguments {arguments[0]} with the defaults {arguments[1]}, got {found[0]} with {found[1]}"
            traces = _traces(objects, call)
            types = {key: spec.type for key, spec in call.outputs.items()}
            expected = types if call.gives_dictionary else types["default"]
            inputs = repr(subject.promise.inputs(call))
            if inputs not in traces:
                yield f"{call.name}: expected a function of {inputs}, got {', '.join(traces) or 'none'}"
                continue
            _, outputs = traces[inputs]
            if outputs != expected:
                yield f"{call.name}: expected {expected}, got {outputs}"


def assets(subject: ModuleUnderTest) -> Problems:
    """Compare the asset that is the attribute `labels`."""
    files = [asset.filename for asset in subject.meta_graph.asset_file_def]
    found = Objects(subject.meta_graph).child("labels")
    if found is not None:
        index = found.asset.asset_file_def_index if found.HasField("asset") else -1
        found = files[index] if 0 <= index < len(files) else "something else"
    [expected] = subject.promise.assets or [None]
    if found != expected:
        yield f"expected the attribute labels to be the asset {expected}, got {found}"


def networks(subject: ModuleUnderTest) -> Problems:
    """Count the functions that hold the network, their batch norms and updates."""
    num_batch_norms = subject.promise.network.num_batch_norms
    expected = [
        (mode.training, num_batch_norms, 2 * num_batch_norms if mode.training else 0)
        for mode in subject.promise.modes
    ]
    found = []
    for function in network_functions(subject.meta_graph).values():
        ops = collections.Counter(node.op for node in function.node_def)
        training = is_training(function)
        if training is None:
            yield f"{function.signature.name}: some batch norms are for training, others are not"
        found.append((training, ops["FusedBatchNormV3"], ops["AssignSubVariableOp"]))
    if sorted(found, key=str) != sorted(expected, key=str):
        yield f"expected (training, batch norms, updates) of {expected}, got {found}"


def dropout(subject: ModuleUnderTest) -> Problems:
    """Find where random numbers enter the networks, and which calls draw any."""
    if not subject.promise.exact:
        yield from _wrong_draws(subject)
        return
    if not subject.runs_inference:
        return
    for function, outputs in _outputs_of_networks(subject):
        nodes = {node.name: node for node in function.node_def}
        dropped = subject.promise.network.random_in_training if is_training(function) else ()
        yield from wrong_dropout(function.signature.name, nodes, outputs, dropped=dropped)
    # What is random can't be compared by running it.
    objects = Objects(subject.meta_graph)
    for mode in subject.promise.modes:
        expected = mode.training and bool(subject.promise.network.random_in_training)
        for call in mode.calls:
            name, _ = _traces(objects, call).get(repr(subject.promise.inputs(call)), (None, None))
            if name is not None:
                drawn = "RandomUniform" in operations_behind(subject.meta_graph, name)
                if drawn != expected:
                    yield f"{call.name}: expected random numbers in it: {expected}, got {drawn}"


def image_range(subject: ModuleUnderTest) -> Findings:
    """Compare the rescaling in each network, and look for operations that read images before it."""
    if not subject.promise.exact:
        yield from prepared_images(subject)
        return
    if not subject.runs_inference:
        return
    network = subject.promise.network
    constants = [
        np.array(network.input_scale, np.float32),
        np.array(network.input_offsets, np.float32),
    ]
    for function in network_functions(subject.meta_graph).values():
        where = function.signature.name
        nodes = {node.name: node for node in function.node_def}
        images = [arg.name for arg in function.signature.input_arg if arg.type == tf.float32]
        if not images:
            yield f"{where}: expected an argument of float32, got none"
            continue
        source = images[0]
        for name, expected in zip(RESCALING, constants, strict=True):
            readers = _readers(function, source)
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
        else:
            for name in _readers(function, source):
                if nodes[name].op not in formats.FIRST_OPERATIONS:
                    yield f"{where} {source}: expected a convolution to read it, got {name}"
    for function, outputs in _outputs_of_networks(subject):
        nodes = {node.name: node for node in function.node_def}
        depending = dependents(nodes, [RESCALING[-1]])
        for tensor in sorted(outputs):
            if tensor.split(":")[0] not in depending:
                yield f"{function.signature.name} {tensor}: does not depend on the images"


def regularization_losses(subject: ModuleUnderTest) -> Problems:
    """Compare the variables behind each loss."""
    kernels = {f"number {index}": names for index, names in enumerate(_kernels(subject))}
    yield from wrong_losses("{serve}", kernels, subject.promise.network.regularized)


def loss_values(subject: ModuleUnderTest) -> Findings:
    """Compute each loss from its kernel on disk, and compare."""
    if not subject.runs_inference:
        return
    if subject.promise.level == contract.COMMON:
        for index, loss in enumerate(getattr(subject.loaded, "regularization_losses", ())):
            yield from wrong_scalar(f"regularization_losses[{index}]", loss().numpy())
        return
    for names, loss in zip(_kernels(subject), subject.loaded.regularization_losses, strict=True):
        kernels = [subject.module.read_variable(name) for name in names]
        yield from measured_loss("{serve}", subject.promise, names, kernels, loss().numpy())


def moving_averages(subject: ModuleUnderTest) -> Findings:
    """Apply each signature with two momenta, and compare all variables before and after."""
    if subject.promise.level == contract.COMMON:
        yield from _moved_variables(subject)
        return
    images = subject.images(batch=2)
    for mode in subject.modes:
        module = subject.run_object(mode)
        on_disk = {name: subject.module.read_variable(name) for name in module.averages}
        if not mode.training:
            _, after = module.step(images, momentum=0)
            for name, averages in after.items():
                yield from moved(name, "applied", on_disk, averages)
            continue
        if on_disk:
            yield from _updates(module, images, on_disk)
        for weights in subject.module.portions(module.weights):
            found = {name: np.asarray(module.weights[name].read_value()) for name in weights}
            yield from moved("training", "applied", weights, found)


def inference_statistics(subject: ModuleUnderTest) -> Findings:
    """Compare training on a batch with inference that has the statistics of that batch."""
    [without_training] = [mode for mode in subject.promise.modes if not mode.training]
    for mode in subject.modes:
        training = subject.run_object(mode)
        if not (mode.training and training.averages):
            continue
        image = subject.images(batch=1)
        outputs, of_image = training.statistics(image)
        _, of_two = training.statistics(np.repeat(image, 2, axis=0))
        inference = subject.run_object(without_training)
        with inference.with_moving_averages(_biased(of_image, of_two)):
            found, nudged = inference.run(image), inference.run(bounds.move_by_one_ulp(image))
        dropped = subject.promise.network.random_in_training
        for signature in mode.applied:
            # The same at inference.
            name = signature.name.removesuffix("_with_bn_hparams").replace("=True", "=False", 1)
            for key, spec in sorted(signature.outputs.items()):
                if spec.name in dropped:
                    continue
                yield bounds.BATCH_STATISTICS.measure(
                    f"{name} {key}: inference with the statistics of a batch, and training on it",
                    difference(found[name][key], outputs[signature.name][key]),
                    response=functools.partial(difference, nudged[name][key], found[name][key]),
                )


CHECKS = {
    "variables": variables,
    "calls": calls,
    "assets": assets,
    "networks": networks,
    "dropout": dropout,
    "image-range": image_range,
    "logits": logits,
    "regularization-losses": regularization_losses,
    "loss-values": loss_values,
    "moving-averages": moving_averages,
    "inference-statistics": inference_statistics,
    **agreement.CHECKS,
}


def _arguments(function: saved_object_graph_pb2.SavedFunction) -> tuple:
    """Return the names of the arguments of a function, and their defaults."""
    spec = to_python(function.function_spec.fullargspec)
    if not isinstance(spec, dict):
        raise UnreadableError(f"expected a description of arguments, got {spec}")
    return spec.get("args"), spec.get("defaults") or ()


def _wrong_draws(subject: ModuleUnderTest) -> Problems:
    """Find the random numbers behind the outputs of each mode, in whatever functions."""
    promise = subject.promise
    for mode in subject.modes:
        every = max(mode.calls, key=lambda call: len(call.outputs))
        with subject.flat_graph(mode) as graph:
            for key, tensor in sorted(graph.outputs.items()):
                if key not in every.outputs:
                    continue
                random = (
                    mode.training and every.outputs[key].name in promise.network.random_in_training
                )
                draws = graph.draws_behind(tensor)
                if promise.level == contract.COMMON and mode.training:
                    # Where dropout acts is the network's own affair, but for its output.
                    draws = [] if random else graph.draws_after_last_layer(tensor)
                    random = False
                if draws and not random:
                    yield f"{mode.label} {key}: expected no random numbers to enter it, {draws[0]} does"
                if random and not draws:
                    yield f"{mode.label} {key}: expected dropout to act on it, it does not"


def _wrong_arguments(call: contract.Call, names, defaults) -> Problems:
    """Look for arguments of a call that are missing, or have other defaults; there may be more."""
    given = dict(zip(reversed(names or ()), reversed(defaults), strict=False))
    for name, default in call.defaults.items():
        if name not in given:
            yield f"{call.name}: expected the argument {name} with the default {default}, got {given}"
        elif given[name] != default:
            yield f"{call.name}: expected {default} as the default of {name}, got {given[name]}"


def _wrong_members(subject: ModuleUnderTest, objects: Objects) -> Problems:
    """Look for variables that the lists of the object lack, and for others that train."""
    members = {
        kind: [node.variable.name for node in objects.members(kind)]
        for kind in ("variables", "trainable_variables")
    }
    every, trainable = map(set, members.values())
    yield from differences("variable on disk", every, every & set(subject.module.variables))
    if subject.promise.level == contract.COMMON:
        if subject.module.variables and not every:
            yield "variables: expected a list of the module's variables, got none"
        yield from (
            f"{name} trains, and is none of `variables`" for name in sorted(trainable - every)
        )
        return
    expected = set(subject.promise.network.variables)
    yield from differences("variables:", expected, every & expected)
    yield from differences(
        "trainable_variables:", set(subject.promise.network.trainable), trainable
    )


def _moved_variables(subject: ModuleUnderTest) -> Problems:
    """Call the object in each mode, and look for variables that move and should not."""
    images = tf.constant(subject.images(batch=2))
    every = [*getattr(subject.loaded, "variables", ())]
    trainable = [*getattr(subject.loaded, "trainable_variables", ())]
    for mode in subject.modes:
        fixed = trainable if mode.training else every
        before = [variable.numpy() for variable in fixed]
        for call in mode.calls:
            subject.run_object(mode).function(call.name)(images, None)
        for variable, old in zip(fixed, before, strict=True):
            if not execution.same(old, variable.numpy()):
                yield f"{mode.label} {variable.name}: expected it to stay when applied, it moved"


def _traces(objects: Objects, call: contract.Call) -> dict[str, tuple[str, object]]:
    """Return name and outputs of each concrete function behind a call, by what its inputs look like."""
    # Not all that can be saved can be a key.
    function = objects.function(call.function)
    traces = () if function is None else objects.traces(function)
    return {repr(inputs): (name, outputs) for name, inputs, outputs in traces}


def _kernels(subject: ModuleUnderTest) -> Iterator[list[str]]:
    """Yield the names of the variables behind each regularization loss."""
    objects = Objects(subject.meta_graph)
    for node in objects.members("regularization_losses"):
        yield objects.captured(node.function)


def _outputs_of_networks(
    subject: ModuleUnderTest,
) -> Iterator[tuple[function_pb2.FunctionDef, set[str]]]:
    """Yield each function that holds the network, and the names of the promised tensors of its mode."""
    outputs = {
        mode.training: {spec.name for call in mode.calls for spec in call.outputs.values()}
        for mode in subject.promise.modes
    }
    for function in network_functions(subject.meta_graph).values():
        yield function, outputs[bool(is_training(function))]


def _readers(function: function_pb2.FunctionDef, source: str) -> list[str]:
    """Return the names of the operations that read an argument, or what an operation gives."""
    return sorted(
        node.name
        for node in function.node_def
        if any(given == source or given.startswith(f"{source}:") for given in node.input)
    )


def _updates(
    module: execution.RunningObject,
    images: np.ndarray,
    on_disk: Mapping[str, np.ndarray],
) -> Findings:
    """Compare how each application moves the averages with the statistics of the batch."""
    _, statistics = module.statistics(images)
    for momentum in (0.5, 0.75):
        _, after = module.step(images, momentum=momentum)
        for name, averages in after.items():
            updates = {key: (on_disk[key], statistics[key], averages[key]) for key in on_disk}
            yield from measured_update(name, updates, momentum=momentum)


def _biased(
    of_image: Mapping[str, np.ndarray], of_two: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Compute the statistics that training normalizes an image by, from those that it averages.

    It averages the unbiased variance, n/(n-1) times the one that it normalizes by, with a number n of
    pixels that is each layer's own. The same image twice has the same variance, but 2n pixels: from the
    averages of both, s = v * n/(n-1) and t = v * 2n/(2n-1), follows 1/v = 2/t - 1/s, without n.

    Args:
      of_image: averaged statistics of the image, by name.
      of_two: those of a batch of the image twice.
    """
    found = dict(of_image)
    for name in of_image:
        if name.endswith(_VARIANCE):
            s, t = of_image[name].astype(np.float64), of_two[name].astype(np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):
                v = 1 / (2 / t - 1 / s)
            # With two pixels or more it is within these, but for rounding, which is all that there is
            # of a channel that is the same everywhere.
            v = np.where(np.isfinite(v), v, s)
            found[name] = np.clip(v, s / 2, s).astype(np.float32)
    return found
