"""Modules whose graphs are inconsistent, or lead to loops or enormous tensors."""

from collections.abc import Iterator

import numpy as np
from hostile import Hostile
from hostile_operations import SERVED, add, changed, in_graph
from stem import node, rewrite_variables
from surgery import SECOND, applied, main_call, network

WEIGHTS = f"{SECOND}/weights"


def repeat_node(m):
    m.infer.graph_def.node.add().CopyFrom(m.infer.graph_def.node[0])


def repeat_function(m):
    library = m.infer.graph_def.library
    library.function.add().CopyFrom(library.function[0])


def like_an_operation(m):
    function = network(m, training=False)
    m.infer.graph_def.library.function.add().CopyFrom(function)
    m.infer.graph_def.library.function[-1].signature.name = "Relu"


def like_a_function(m):
    name = applied(m, SERVED).signature.name
    main_call(m, SERVED).op = name


def two_meta_graphs(m):
    """Add a second meta graph with the same tags: one is checked, the other one run."""
    m.all.meta_graphs.add().CopyFrom(m.infer)
    in_graph("WriteFile")(m)


def tags_twice(m):
    m.infer.meta_info_def.tags.append("serve")
    in_graph("WriteFile")(m)


def an_asset(m):
    m.infer.asset_file_def.add(filename="../../../../../etc/passwd").tensor_info.name = "x:0"


def recursion(m):
    """Make the function behind a signature call itself."""
    function = applied(m, SERVED)
    call = next(n for n in function.node_def if n.op == "StatefulPartitionedCall")
    call.attr["f"].func.name = function.signature.name


def circle(m):
    for name, other in (("circle/a", "circle/b:0"), ("circle/b", "circle/a:0")):
        add(m.infer.graph_def.node, name, "Identity", other, T={"type": 1})
    m.infer.signature_def[SERVED].outputs["feature_vector"].name = "circle/a:0"


def enormous(m):
    """Add a constant of one value whose shape takes four terabytes."""
    function = network(m, training=False)
    const_ = next(n for n in function.node_def if n.name == "hub_input/Mul/y")
    for size in (10**6, 10**6):
        const_.attr["value"].tensor.tensor_shape.dim.add(size=size)


def object_of(kind, **fields):
    def change(m) -> None:
        added = m.infer.object_graph_def.nodes.add()
        getattr(added, kind).SetInParent()
        for name, value in fields.items():
            setattr(added, name, value)

    return change


def dangling(m):
    m.infer.object_graph_def.nodes[1].children[0].node_id = 10**6


def dangling_capture(m):
    concrete = m.infer.object_graph_def.concrete_functions
    for name in concrete:
        concrete[name].bound_inputs[0] = -1


def no_fullargspec(m):
    for each in m.infer.object_graph_def.nodes:
        if each.HasField("function"):
            each.function.function_spec.ClearField("fullargspec")


def no_concrete_function(m):
    for name in list(m.infer.object_graph_def.concrete_functions):
        del m.infer.object_graph_def.concrete_functions[name]


OBJECT = "{serve} object 38: "
ODD_GRAPHS = {
    "repeated_node": (repeat_node, "operations", "{serve} has several operations named "),
    "repeated_function": (repeat_function, "operations", "{serve} has several functions named"),
    "function_like_operation": (like_an_operation, "operations", "name of the operation Relu"),
    "operation_like_function": (like_a_function, "operations", "operation __inference_sig"),
    "two_meta_graphs": (two_meta_graphs, "tag-sets", "expected {serve}, got {serve}, {serve}"),
    "tags_twice": (tags_twice, "tag-sets", "expected {serve}, got {serve, serve}"),
    "asset": (an_asset, "devices-and-paths", "the asset ../../../../../etc/passwd"),
    "recursion": (recursion, "operations", "functions that call each other in a circle: __inf"),
    "circle": (circle, "serving", "2 nodes in a cycle"),
    "enormous_constant": (enormous, "loads", "Dimensions must be equal, but are 3 and 1000000"),
    "object_asset": (object_of("asset"), "operations", OBJECT + "expected one of"),
    "object_of_a_class": (object_of("user_object"), "operations", OBJECT + "expected one of _gen"),
    "object_registered": (
        object_of("variable", registered_name="tf.StaticHashTable"),
        "operations",
        OBJECT + "it has a registered_name",
    ),
    "dangling_object": (dangling, "variables", "there is no object 1000000, of 38"),
    "dangling_capture": (dangling_capture, "regularization-losses", "there is no object -1"),
    "no_fullargspec": (no_fullargspec, "calls", "there is no value where a function is described"),
    "no_concrete_function": (no_concrete_function, "calls", "there is no concrete function __inf"),
    "no_objects": (
        lambda m: m.infer.ClearField("object_graph_def"),
        "calls",
        "there is no object 0, of 0",
    ),
}


def foreign_handle(m):
    """Add the handle of a variable that the module doesn't have, of four terabytes."""
    handle = add(m.infer.graph_def.node, "elsewhere", "VarHandleOp", dtype={"type": 1})
    handle.attr["shared_name"].s = b"elsewhere"
    handle.attr["container"].s = b"elsewhere"
    handle.attr["shape"].shape.dim.add(size=10**12)
    node(m.infer, f"InceptionV1/{SECOND}/Conv2D/ReadVariableOp").input[0] = "elsewhere"


def on_disk(change):
    return lambda m: rewrite_variables(m.directory, change)


def declared(m):
    """Declare a variable of four terabytes in the graph only."""
    del node(m.infer, WEIGHTS).attr["shape"].shape.dim[:]
    node(m.infer, WEIGHTS).attr["shape"].shape.dim.add(size=10**12)


ODD_VARIABLES = {
    "foreign_handle": (foreign_handle, "variables", "variable in {} not expected: elsewhere"),
    "declared": (declared, "variables", "in the graph float32 [1000000000000]"),
    "no_variables": (on_disk(lambda all: [all.pop(k) for k in [*all][1:]]), "variables", WEIGHTS),
    "strings": (
        on_disk(lambda all: all.update({WEIGHTS: np.array([b"x"])})),
        "finite-variables",
        f"{WEIGHTS}: expected numbers, got object",
    ),
}


def _graphs() -> Iterator[Hostile]:
    for version, table in ((5, ODD_GRAPHS), (3, ODD_VARIABLES)):
        for id, (change, check, says) in table.items():
            yield Hostile(id=id, version=version, change=changed(change), check=check, says=says)


GRAPHS = tuple(_graphs())
