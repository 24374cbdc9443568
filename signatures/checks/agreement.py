"""Checks that a TF2 SavedModel does the same however it is called. Each yields what is wrong.

Outputs behind dropout are random in training, and left out. `registry` says what each check holds a
module to.
"""

import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from slimhub.signatures.checks import bounds
from slimhub.signatures.checks.bounds import Measurement, difference
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.contract import contract
from slimhub.signatures.module import execution
from slimhub.signatures.module.directory import differences
from slimhub.signatures.module.execution import RunningObject

Problems = Iterator[str]
Findings = Iterator[str | Measurement]

# Another than any default.
_MOMENTUM = 0.5


def serving(subject: ModuleUnderTest) -> Problems:
    """Load the module into a session, compare its variables with those on disk, and apply the signatures.

    What they give is compared by `calls_agree`: a large module should not be in memory twice.
    """
    if not subject.runs_inference:
        return
    [tags] = subject.promise.tag_sets
    with execution.load(subject.module.directory, tags=tags) as graph, graph.graph.as_default():
        handles = [op for op in graph.graph.get_operations() if op.type == "VarHandleOp"]
        reads = {
            op.get_attr("shared_name").decode(): tf.raw_ops.ReadVariableOp(
                resource=op.outputs[0], dtype=op.get_attr("dtype")
            )
            for op in handles
        }
        yield from differences("variable", set(subject.module.variables), set(reads))
        for on_disk in subject.module.portions(set(subject.module.variables) & set(reads)):
            for name in graph.differing(on_disk, reads):
                yield f"{name}: expected what is on disk, got something else"
        [mode] = [mode for mode in subject.modes if not mode.training]
        image, found = _image(subject), graph.meta_graph.signature_def
        for name in (one.name for one in mode.signatures if one.name in found):
            fetches = {key: info.name for key, info in found[name].outputs.items()}
            feeds = {info.name: image for info in found[name].inputs.values()}
            subject.served[name] = graph.session.run(fetches, feeds)


def calls_agree(subject: ModuleUnderTest) -> Findings:
    """Compare what all signatures and calls of a mode give, and the moving averages after each."""
    image = _image(subject)
    for mode in subject.modes:
        module = subject.run_object(mode)
        random = subject.promise.network.random_in_training if mode.training else ()
        # What first gave a tensor or moved the averages with a momentum, and what it gave.
        tensors: dict[str, tuple[str, np.ndarray]] = {}
        averages: dict[float | None, tuple[str, dict[str, np.ndarray]]] = {}
        for one, momentum in _applications(mode, subject.promise):
            where = f"{mode.label} {one.name}"
            where += "" if momentum is None else f" with momentum {momentum:g}"
            try:
                outputs, after = module.apply(one.name, image, momentum=momentum)
            except Exception as error:  # Whatever a wrong call makes TensorFlow raise.
                yield f"{where}: {execution.describe(error)}"
                continue
            for key, spec in sorted(one.outputs.items()):
                if spec.name in random or key not in outputs:
                    continue
                first, expected = tensors.setdefault(spec.name, (where, outputs[key]))
                yield bounds.SUM_ORDER.measure(
                    f"{where} {key}: beside {first}",
                    _difference(outputs[key], expected),
                    response=functools.partial(
                        _response, subject, module, one.name, key, outputs[key]
                    ),
                )
            used = subject.promise.momentum if momentum is None else momentum
            first, moved = averages.setdefault(used if mode.training else None, (where, after))
            for name in sorted(moved):
                yield bounds.SUM_ORDER.measure(
                    f"{where}, {name} afterwards: beside {first}",
                    _difference(after[name], moved[name]),
                )
        if not mode.training:
            yield from _served(subject, mode, module, tensors)


CHECKS = {"serving": serving, "calls-agree": calls_agree}


def _image(subject: ModuleUnderTest) -> np.ndarray:
    """Return one image, of half the default size if it may be: what is compared does not depend on the size."""
    if not subject.promise.any_image_size:
        return subject.images(batch=1)
    network = subject.promise.network
    sizes = zip(network.image_size, network.min_image_size, strict=True)
    height, width = (max(side // 2, least) for side, least in sizes)
    return subject.images(batch=1, size=(height, width))


def _applications(
    mode: contract.Mode, promise: contract.Contract
) -> Iterator[tuple[contract.Signature | contract.Call, float | None]]:
    """Yield all signatures and calls of a mode, with each momentum that they can be given; None: the default."""
    for signature in mode.signatures:
        yield from (
            (signature, momentum)
            for momentum in ((_MOMENTUM, promise.momentum) if signature.takes_momentum else (None,))
        )
    for call in mode.calls:
        yield call, None
        if call.takes_momentum:
            yield call, _MOMENTUM


def _served(
    subject: ModuleUnderTest, mode: contract.Mode, module: RunningObject, tensors
) -> Iterator[Measurement]:
    """Compare what the signatures gave in a session with what they give when they are called."""
    # A session may choose other kernels than TensorFlow 2 does: where oneDNN is on, it does.
    for one in mode.signatures:
        for key, spec in sorted(one.outputs.items()):
            if key not in subject.served.get(one.name, {}) or spec.name not in tensors:
                continue
            _, expected = tensors[spec.name]
            found = subject.served[one.name][key]
            yield bounds.SUM_ORDER.measure(
                f"{mode.label} {one.name} {key}: in a session, and when it is called",
                _difference(found, expected),
                response=functools.partial(_response, subject, module, one.name, key, expected),
            )


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    # What becomes of a NaN depends on where it is in memory; `finite_outputs` finds it.
    return difference(found, expected) if np.isfinite(expected).all() else 0.0


def _response(subject, module: RunningObject, name: str, key: str, expected: np.ndarray) -> float:
    nudged, _ = module.apply(name, bounds.move_by_one_ulp(_image(subject)))
    return difference(nudged[key], expected)
