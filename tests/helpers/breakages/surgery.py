"""Changes of modules: of graphs of any version; of functions, objects and variables of version 5."""

import pytest
import tensorflow as tf
from stem import node, rewrite_variables
from tensorflow.core.framework import attr_value_pb2

from slimhub.signatures.checks import registry
from slimhub.signatures.module.objects import Objects, is_training, network_functions

NAMED = "image_feature_vector"
TRAINING = f"{NAMED}_with_bn_hparams"
FEATURES = "hub_output/feature_vector/SpatialSqueeze"
FIRST, SECOND, THIRD = (f"InceptionV1/Conv2d_{name}" for name in ("1a_7x7", "2b_1x1", "2c_3x3"))
BATCH_NORM = f"InceptionV1/{SECOND}/BatchNorm"
MEAN = f"{SECOND}/BatchNorm/moving_mean"
BETA = f"{SECOND}/BatchNorm/beta"
SCALE = f"InceptionV1/{SECOND}/kernel/Regularizer/l2_regularizer/scale"
MOMENTUM = "batch_norm_momentum"
# Of a channel, another than 103.94.
OFFSETS = [123.68, 116.78, 100.0]


def network(m, *, training):
    """Return the function that holds the network, for training or for inference."""
    [found] = [
        function
        for function in network_functions(m.infer).values()
        if bool(is_training(function)) == training
    ]
    return found


def functions(m):
    return {function.signature.name: function for function in m.infer.graph_def.library.function}


def both_networks(m):
    return [network(m, training=training) for training in (False, True)]


def called(m, name, index=0):
    """Return a function behind an attribute of the object."""
    return functions(m)[Objects(m.infer).function(name).concrete_functions[index]]


def main_call(m, signature):
    """Return the operation of the main graph that applies a signature."""
    return node(m.infer, next(iter(m.infer.signature_def[signature].outputs.values())).name[:-2])


def applied(m, signature, *, depth=1):
    """Return the function behind a signature, `depth` calls away from the main graph."""
    call = main_call(m, signature)
    for _ in range(depth - 1):
        call = call_in(functions(m)[call.attr["f"].func.name])
    return functions(m)[call.attr["f"].func.name]


def call_in(function):
    return next(each for each in function.node_def if each.op == "StatefulPartitionedCall")


def call_instead(function, other):
    call_in(function).attr["f"].func.name = other.signature.name


def inside(function, name):
    return next(each for each in function.node_def if each.name == name)


def set_const(const, value):
    tensor = tf.make_tensor_proto(value, dtype=const.attr["dtype"].type)
    const.attr["value"].tensor.CopyFrom(tensor)


def add_node(nodes, op, *inputs, **attrs):
    """Add an operation to a graph or a function, of float32 unless told otherwise; return its name."""
    attrs = {"T": {"type": tf.float32.as_datatype_enum}} | attrs
    attr = {key: attr_value_pb2.AttrValue(**value) for key, value in attrs.items()}
    nodes.add(name=f"added/{op}", op=op, input=inputs, attr=attr)
    return f"added/{op}"


def add_const(nodes, value):
    tensor = tf.make_tensor_proto(value)
    add_node(nodes, "Const", T={}, dtype={"type": tensor.dtype}, value={"tensor": tensor})
    nodes[-1].attr.pop("T")
    return "added/Const"


def add_random(nodes, shape):
    attrs = {"dtype": tf.float32, "T": tf.int32}
    types = {name: {"type": dtype.as_datatype_enum} for name, dtype in attrs.items()}
    return add_node(nodes, "RandomUniform", shape, **types)


def damage(m):
    path = m.directory / "variables" / "variables.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def put(values, index, value):
    values[index] = value


def loss(m, index):
    """Return the function of a regularization loss."""
    [name] = Objects(m.infer).members("regularization_losses")[index].function.concrete_functions
    return functions(m)[name]


def swap(values, one, other):
    values[one], values[other] = values[other], values[one]


def variable(m, name):
    nodes = m.infer.object_graph_def.nodes
    return next(each.variable for each in nodes if each.variable.name == name)


def captures(m, function):
    """Return the numbers of the objects whose variables a function captures."""
    return m.infer.object_graph_def.concrete_functions[function.signature.name].bound_inputs


def children(m, name):
    """Return the children of the list in an attribute of the object."""
    nodes = m.infer.object_graph_def.nodes
    [number] = [child.node_id for child in nodes[0].children if child.local_name == name]
    return nodes[number].children


def forget(m, name):
    root = m.infer.object_graph_def.nodes[0]
    kept = [child for child in root.children if child.local_name != name]
    del root.children[:]
    root.children.extend(kept)


def default(m, index):
    """Return a default value of the object's arguments."""
    spec = Objects(m.infer).function("__call__").function_spec.fullargspec
    [found] = [pair.value for pair in spec.named_tuple_value.values if pair.key == "defaults"]
    return found.tuple_value.values[index]


def key_on_disk(m, name):
    """Return the name that a variable of the object has on disk."""
    names = [node.variable.name for node in Objects(m.infer).members("variables")]
    return f"variables/{names.index(name)}/.ATTRIBUTES/VARIABLE_VALUE"


def spoil(m, name, value):
    """Change one value of a variable on disk."""
    key = key_on_disk(m, name)
    rewrite_variables(m.directory, lambda arrays: arrays[key].put(0, value))


def double_images(m):
    serve = called(m, "serve")
    two = add_const(serve.node_def, 2.0)
    add_node(serve.node_def, "Mul", "inputs", f"{two}:output:0")
    put(call_in(serve).input, 0, "added/Mul:z:0")


def drop_update(m):
    function = network(m, training=True)
    update = f"{BATCH_NORM}/AssignMovingAvg/AssignSubVariableOp"
    function.node_def.remove(inside(function, update))
    function.control_ret.pop(update)
    for each in function.node_def:
        if f"^{update}" in each.input:
            each.input.remove(f"^{update}")


def swap_statistics(m):
    function = network(m, training=True)
    for name, output in (("AssignMovingAvg", "variance"), ("AssignMovingAvg_1", "mean")):
        statistic = f"{BATCH_NORM}/FusedBatchNormV3:batch_{output}:0"
        put(inside(function, f"{BATCH_NORM}/{name}/sub_1").input, 1, statistic)


def fix_size(m):
    """Fix the size of the pooled feature map to that for images of 32 x 32."""
    function = network(m, training=False)
    pool = inside(function, "InceptionV1/Logits/global_pool")
    shape = add_const(function.node_def, [-1, 8, 8, 192])
    add_node(function.node_def, "Reshape", pool.input[0], f"{shape}:output:0")
    put(pool.input, 0, "added/Reshape:output:0")


def add_noise(m):
    function = network(m, training=True)
    features = inside(function, FEATURES).input
    random = add_random(
        function.node_def, f"{add_const(function.node_def, [1, 1, 1, 192])}:output:0"
    )
    add_node(function.node_def, "Mul", features[0], f"{random}:output:0")
    put(features, 0, "added/Mul:z:0")


def ignore_momentum(m):
    for each in network(m, training=True).node_def:
        if MOMENTUM in each.input:
            each.input[1] = "hub_input/batch_norm_momentum/default:output:0"


def train_at_inference(m):
    for each in network(m, training=False).node_def:
        if each.op == "FusedBatchNormV3":
            each.attr["is_training"].b = True


def restore_swapped(m):
    """Swap a mean and a variance in the graph's restore operation."""
    inputs = node(m.infer, m.infer.saver_def.restore_op_name).input
    variance = MEAN.replace("mean", "variance")
    swap(inputs, list(inputs).index(MEAN), list(inputs).index(variance))


def multiply_by_offset(m):
    for function in both_networks(m):
        inside(function, "hub_input/Sub").op = "Mul"
        inside(function, f"InceptionV1/{FIRST}/Conv2D").input[0] = "hub_input/Sub:z:0"


def rows(tables):
    """Return parameters for all rows of tables: network, version, change, and ids of the checks that fail.

    Args:
      tables: for each network and version, rows by name: a change, then the ids.
    """
    return [
        pytest.param(*module, change, set(failed), id=f"{module[0]}-{module[1]}-{name}")
        for module, table in tables.items()
        for name, (change, *failed) in table.items()
    ]


def ids(format):
    """Return the ids of all checks of a format, in their order."""
    return tuple(check.id for check in registry.select(format))
