"""signatures/wiring_checks.py: a module of version 5 that is wired wrongly fails the checks of that."""

import pytest
from stem import breakage, broken_copy, ids_of
from surgery import (
    FEATURES,
    FIRST,
    MOMENTUM,
    NAMED,
    SECOND,
    TRAINING,
    add_const,
    applied,
    call_in,
    call_instead,
    called,
    captures,
    double_images,
    inside,
    main_call,
    network,
    put,
    set_const,
    swap,
)

from slimhub.signatures import conformance, wiring_checks


def ignore_given_momentum(m):
    function = applied(m, TRAINING, depth=2)
    put(call_in(function).input, 1, add_const(function, 0.99))


BREAKAGES = {
    "end_points_of_signature_swapped": breakage(
        lambda m: swap(applied(m, NAMED).ret, "identity", "identity_1"),
        f"{{serve}} {NAMED} {FIRST}: expected InceptionV1/{FIRST}/Relu at inference, got "
        f"InceptionV1/{SECOND}/Relu of",
        "tensor-names",
    ),
    "end_points_of_call_swapped": breakage(
        lambda m: swap(called(m, "__call__", 3).ret, "identity", "identity_1"),
        f"__call__(training=True, return_endpoints=True) {FIRST}: expected",
        "tensor-names",
    ),
    "serve_trains": breakage(
        lambda m: call_instead(called(m, "serve"), network(m, training=True)),
        f"{{serve}} serve() default: expected {FEATURES} at inference, got",
        "tensor-names",
    ),
    "train_does_not": breakage(
        lambda m: call_instead(called(m, "train"), network(m, training=False)),
        f"{{serve}} training train() default: expected {FEATURES} in training, got",
        "tensor-names",
    ),
    "another_momentum_of_train": breakage(
        lambda m: set_const(inside(called(m, "train"), "Const"), 0.9),
        "train() default: expected the momentum 0.99",
        "tensor-names",
    ),
    "call_ignores_momentum": breakage(
        lambda m: put(
            call_in(called(m, "__call__", 2)).input, 1, add_const(called(m, "__call__", 2), 0.99)
        ),
        "return_endpoints=False) default: expected the momentum batch_norm_momentum, got 0.99",
        "tensor-names",
    ),
    "signature_ignores_momentum": breakage(
        ignore_given_momentum,
        f"{TRAINING} {FIRST}: expected the momentum {TRAINING}_{MOMENTUM}, got 0.99",
        "tensor-names",
        "moving-averages",
        # The moving averages don't stay when the others are compared with them.
        "batch-independence",
        "dropout",
    ),
    "brighter_when_served": breakage(
        double_images,
        "serve() default: expected the network to get inputs, got added/Mul",
        "tensor-names",
    ),
    "variables_of_call_swapped": breakage(
        lambda m: swap(captures(m, called(m, "__call__")), 0, 1),
        f"/beta, got {FIRST}/BatchNorm/moving_mean",
        "shared-variables",
    ),
    "variables_of_serve_swapped": breakage(
        lambda m: swap(call_in(called(m, "serve")).input, 2, 3),
        f"/beta, got {FIRST}/BatchNorm/moving_mean",
        "shared-variables",
    ),
    "variables_of_object_swapped": breakage(
        lambda m: swap(captures(m, applied(m, "serving_default")), 0, 1),
        f"/beta, got {FIRST}/BatchNorm/moving_mean",
        "shared-variables",
    ),
    "variables_of_graph_swapped": breakage(
        lambda m: swap(main_call(m, "serving_default").input, 1, 2),
        "serving_default: expected",
        "shared-variables",
    ),
}


@pytest.mark.parametrize(("change", "says", "failed"), BREAKAGES.values(), ids=BREAKAGES)
def test_breakage(stem, tmp_path, change, says, failed):
    """A module of version 5 with one wrong wire fails the checks of that, and no others."""
    report = conformance.check(broken_copy(stem / "5", tmp_path / "5", change))
    found = {result.id: result.problems for result in report.failed}
    assert found.keys() == set(failed)
    assert says in "\n".join(found[failed[0]])


def test_every_check_can_fail():
    """There is a breakage for each check."""
    checks = {failed[0] for _, _, failed in BREAKAGES.values()}
    assert checks == set(ids_of(wiring_checks.CHECKS))
