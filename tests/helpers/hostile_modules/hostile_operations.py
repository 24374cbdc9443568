"""Modules whose graphs have forbidden operations in places where they would run."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf
from hostile import Hostile
from stem import broken_copy, node
from surgery import applied, functions, main_call
from tensorflow.core.framework import attr_value_pb2

# What a graph would write, if it were run. It is relative: the checks run beside the module.
CANARY = "canary"
MAIN_OP = "saved_model_main_op"
SERVED = "serving_default"


def add(nodes, name, op, *inputs, **attrs):
    attr = {key: attr_value_pb2.AttrValue(**value) for key, value in attrs.items()}
    return nodes.add(name=name, op=op, input=inputs, attr=attr)


def const(nodes, name, value, dtype=None):
    tensor = tf.make_tensor_proto(value, dtype)
    return add(nodes, name, "Const", dtype={"type": tensor.dtype}, value={"tensor": tensor})


def types(*dtypes):
    return {"list": {"type": [dtype.as_datatype_enum for dtype in dtypes]}}


# Inputs, attributes: what an operation needs to write the canary, to read, to call, or to end the process.
HARMFUL: dict[str, tuple[tuple, dict]] = {
    "WriteFile": ((CANARY, "x"), {}),
    "ReadFile": (("/etc/passwd",), {}),
    "PyFunc": (("x",), {"token": {"s": b"pyfunc_0"}, "Tin": types(tf.string), "Tout": types()}),
    "SaveV2": ((CANARY, ["a"], [""], 1.0), {"dtypes": types(tf.float32)}),
    "MergeV2Checkpoints": (([CANARY], f"{CANARY}.merged"), {}),
    "RestoreV2": (("/etc/passwd", ["a"], [""]), {"dtypes": types(tf.float32)}),
    "Abort": ((), {"error_msg": {"s": b"x"}}),
    "TakeOverTheWorld": ((), {}),
}


def harm(nodes, op, *, suffix="") -> str:
    """Add an operation and its inputs; return its name."""
    inputs, attrs = HARMFUL[op]
    names = [f"harm/{index}" for index in range(len(inputs))]
    for name, value in zip(names, inputs, strict=True):
        const(nodes, name, value)
    return add(nodes, "harm", op, *(f"{name}{suffix}" for name in names), **attrs).name


def in_graph(op) -> Callable:
    """Return a change that adds an operation which runs when the module is loaded."""

    def change(m) -> None:
        name = harm(m.infer.graph_def.node, op)
        # TensorFlow 2 prefers a signature for that.
        m.infer.signature_def.pop("__saved_model_init_op", None)
        del m.infer.collection_def[MAIN_OP].node_list.value[:]
        m.infer.collection_def[MAIN_OP].node_list.value.append(name)

    return change


def in_signature(op) -> Callable:
    """Return a change that adds an operation which runs when a signature is applied."""

    def change(m) -> None:
        function = applied(m, SERVED)
        function.control_ret["harm"] = harm(function.node_def, op, suffix=":output:0")
        function.signature.control_output.append("harm")

    return change


def changed(change: Callable):
    """Return a change that makes a copy of the good module with a changed graph."""

    def make(directory: Path, good: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        broken_copy(good, directory, change)

    return make


def saver(m, field):
    """Return the operation of the saver's field, and its function."""
    call = node(m.infer, getattr(m.infer.saver_def, field).partition(":")[0])
    return call, functions(m)[call.attr["f"].func.name]


def save_in_restore(m):
    function = saver(m, "restore_op_name")[1]
    harm(function.node_def, "SaveV2", suffix=":output:0")


def save_is_restore(m):
    """Make the loader run the saving function to restore."""
    m.infer.saver_def.restore_op_name = m.infer.saver_def.save_tensor_name


def save_is_main(m):
    values = m.infer.collection_def[MAIN_OP].node_list.value
    values[0] = saver(m, "save_tensor_name")[0].name


def save_is_output(m):
    info = m.infer.signature_def[SERVED].outputs["feature_vector"]
    name = f"{saver(m, 'save_tensor_name')[0].name}:0"
    info.ClearField("name")
    info.coo_sparse.values_tensor_name = name


def save_is_read(m):
    main_call(m, SERVED).input.append(f"^{saver(m, 'save_tensor_name')[0].name}")


def save_is_called(m):
    main_call(m, SERVED).attr["f"].func.name = saver(m, "save_tensor_name")[1].signature.name


def save_is_gradient(m):
    name = saver(m, "save_tensor_name")[1].signature.name
    gradient = m.infer.graph_def.library.gradient.add(gradient_func=name)
    gradient.function_name = applied(m, SERVED).signature.name


def save_implements(m):
    """Mark two functions as implementations of the same, which TensorFlow may exchange."""
    for function in (saver(m, "save_tensor_name")[1], applied(m, SERVED)):
        function.attr["api_implements"].s = b"api"


def another_saver(m):
    """Make a signature's call the saver."""
    m.infer.saver_def.save_tensor_name = f"{main_call(m, SERVED).name}:0"
    harm(applied(m, SERVED).node_def, "SaveV2", suffix=":output:0")


SAVED = "{serve} has 1 of the operation SaveV2 in __inference__traced_save"
SAVERS = {
    "save_in_restore": (save_in_restore, "SaveV2 in __inference__traced_restore"),
    "save_is_restore": (save_is_restore, SAVED),
    "save_is_main": (save_is_main, SAVED),
    "save_is_output": (save_is_output, SAVED),
    "save_is_read": (save_is_read, SAVED),
    "save_is_called": (save_is_called, SAVED),
    "save_is_gradient": (save_is_gradient, SAVED),
    "save_implements": (save_implements, SAVED),
    "another_saver": (another_saver, "SaveV2 in __inference_signature_wrapper"),
}


def _operations() -> Iterator[Hostile]:
    for op in HARMFUL:
        for version, where in ((3, "{}"), (5, "{serve}")):
            says = f"{where} has 1 of the operation {op}"
            yield Hostile(
                id=f"{op}_when_loaded",
                version=version,
                change=changed(in_graph(op)),
                check="operations",
                says=says,
            )
        yield Hostile(
            id=f"{op}_in_signature",
            version=5,
            change=changed(in_signature(op)),
            check="operations",
            says=f"{says} in __inference_signature_wrapper",
        )
    for id, (change, says) in SAVERS.items():
        yield Hostile(id=id, version=5, change=changed(change), check="operations", says=says)


OPERATIONS = tuple(_operations())
