"""Checks of what leads where in a TF2 SavedModel. Each yields what is wrong, one line a problem."""

import collections
from collections.abc import Iterator

import numpy as np
from tensorflow.core.framework import node_def_pb2

from slimhub.signatures import contract
from slimhub.signatures.saved_objects import (
    Objects,
    Wiring,
    constant,
    given_variables,
    is_training,
    name_of,
)
from slimhub.signatures.subject import Subject

Problems = Iterator[str]


def tensor_names(subject: Subject) -> Problems:
    """Every signature and every call gives the promised tensors of the network, of its images and with its momentum."""
    meta_graph = subject.meta_graph
    wiring = Wiring(meta_graph)
    training = {name: is_training(function) for name, function in wiring.networks().items()}
    for mode in subject.promise.modes:
        for one, outputs, images, momentum in _wired(subject, mode, meta_graph, wiring):
            for key, source in outputs.items():
                where = f"{mode.label} {one.name} {key}"
                expected = one.outputs[key].name.removesuffix(":0")
                if source.node != expected or training.get(source.function) is not mode.training:
                    yield f"{where}: expected {expected} {'in training' if mode.training else 'at inference'}, got {source.node} of {source.function or 'no function'}"
                    continue
                given = wiring.argument(source, "images")
                if name_of(given) != images:
                    yield f"{where}: expected the network to get {images}, got {name_of(given)}"
                given = wiring.argument(source, "batch_norm_momentum")
                if mode.training and _momentum(given) != momentum:
                    yield f"{where}: expected the momentum {momentum}, got {_momentum(given)}"


def shared_variables(subject: Subject) -> Problems:
    """Whatever is called, a network gets the same variables in the same places."""
    given: dict[str, list[tuple]] = collections.defaultdict(list)
    for where, network, names in given_variables(subject.meta_graph):
        given[network].append((where, names))
    for network, all_calls in sorted(given.items()):
        [(usual, _)] = collections.Counter(names for _, names in all_calls).most_common(1)
        for where, names in all_calls:
            for expected, found in zip(usual, names, strict=True):
                if found != expected:
                    yield f"{where}: expected {network} to get {expected}, got {found}"


CHECKS = (tensor_names, shared_variables)


def _wired(subject: Subject, mode: contract.Mode, meta_graph, wiring: Wiring):
    """Signatures and calls, both promised and found: sources of outputs by key, and what the images
    and the momentum are expected to come from, by name; a momentum that is not given, as its value."""
    default = subject.promise.momentum
    default = None if default is None else np.float32(default)
    for signature in mode.signatures:
        if signature.name in meta_graph.signature_def:
            found = meta_graph.signature_def[signature.name]
            keys = found.outputs.keys() & signature.outputs.keys()
            outputs = {key: wiring.source(found.outputs[key].name) for key in sorted(keys)}
            names = {
                spec: found.inputs[key].name.removesuffix(":0") if key in found.inputs else None
                for key, spec in signature.inputs.items()
            }
            momentum = names.get(contract.BATCH_NORM_MOMENTUM, default)
            yield signature, outputs, names[subject.promise.images], momentum
    objects = Objects(meta_graph)
    for call in mode.calls:
        function = objects.function(call.function)
        traces = () if function is None else objects.traces(function)
        for name, inputs, _ in traces:
            if inputs == subject.promise.inputs(call):
                outputs = dict(zip(sorted(call.outputs), wiring.outputs(name), strict=False))
                momentum = "batch_norm_momentum" if call.takes_momentum else default
                yield call, outputs, "inputs", momentum


def _momentum(source) -> str | np.ndarray | None:
    """The value of a constant, the name of anything else."""
    value = constant(source, ()) if isinstance(source, node_def_pb2.NodeDef) else None
    return name_of(source) if value is None else value
