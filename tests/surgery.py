"""How tests operate on a module of version 5: on its functions, its objects, its variables."""

import tensorflow as tf
from stem import node, rewrite_variables
from tensorflow.core.framework import attr_value_pb2

from slimhub.signatures.saved_objects import Objects

NAMED = "image_feature_vector"
TRAINING = f"{NAMED}_with_bn_hparams"
FEATURES = "hub_output/feature_vector/SpatialSqueeze"
FIRST, SECOND, THIRD = (f"InceptionV1/Conv2d_{name}" for name in ("1a_7x7", "2b_1x1", "2c_3x3"))
BATCH_NORM = f"InceptionV1/{SECOND}/BatchNorm"
MEAN = f"{SECOND}/BatchNorm/moving_mean"
BETA = f"{SECOND}/BatchNorm/beta"
SCALE = f"InceptionV1/{SECOND}/kernel/Regularizer/l2_regularizer/scale"
MOMENTUM = "batch_norm_momentum"


def network(m, *, training):
    """The function that holds the network."""
    for function in functions(m).values():
        ops = {each.op for each in function.node_def}
        if "FusedBatchNormV3" in ops and ("AssignSubVariableOp" in ops) == training:
            return function
    raise LookupError("no such network")


def functions(m):
    return {function.signature.name: function for function in m.infer.graph_def.library.function}


def both_networks(m):
    return [network(m, training=training) for training in (False, True)]


def called(m, name, index=0):
    """A function behind that attribute of the object."""
    return functions(m)[Objects(m.infer).function(name).concrete_functions[index]]


def main_call(m, signature):
    """The operation of the main graph that applies a signature."""
    return node(m.infer, next(iter(m.infer.signature_def[signature].outputs.values())).name[:-2])


def applied(m, signature, *, depth=1):
    """The function behind a signature, so many calls away from the main graph."""
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


def add_node(function, op, *inputs, **attrs):
    attrs = {"T": {"type": tf.float32.as_datatype_enum}} | attrs
    attr = {key: attr_value_pb2.AttrValue(**value) for key, value in attrs.items()}
    function.node_def.add(name=f"added/{op}", op=op, input=inputs, attr=attr)


def add_const(function, value):
    tensor = tf.make_tensor_proto(value)
    add_node(function, "Const", T={}, dtype={"type": tensor.dtype}, value={"tensor": tensor})
    function.node_def[-1].attr.pop("T")
    return "added/Const:output:0"


def damage(m):
    path = m.directory / "variables" / "variables.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def put(values, index, value):
    values[index] = value


def loss(m, index):
    """The function of a regularization loss."""
    [name] = Objects(m.infer).members("regularization_losses")[index].function.concrete_functions
    return functions(m)[name]


def swap(values, one, other):
    values[one], values[other] = values[other], values[one]


def variable(m, name):
    nodes = m.infer.object_graph_def.nodes
    return next(each.variable for each in nodes if each.variable.name == name)


def captures(m, function):
    """Numbers of the objects whose variables a function of the object is given."""
    return m.infer.object_graph_def.concrete_functions[function.signature.name].bound_inputs


def children(m, name):
    """Of the list that is that attribute of the object."""
    nodes = m.infer.object_graph_def.nodes
    [number] = [child.node_id for child in nodes[0].children if child.local_name == name]
    return nodes[number].children


def forget(m, name):
    root = m.infer.object_graph_def.nodes[0]
    kept = [child for child in root.children if child.local_name != name]
    del root.children[:]
    root.children.extend(kept)


def default(m, index):
    """A default value among the arguments of the object itself."""
    spec = Objects(m.infer).function("__call__").function_spec.fullargspec
    [found] = [pair.value for pair in spec.named_tuple_value.values if pair.key == "defaults"]
    return found.tuple_value.values[index]


def spoil(m, name, value):
    """One value of a variable on disk."""
    keys = {
        node.variable.name: str(i) for i, node in enumerate(Objects(m.infer).members("variables"))
    }
    key = f"variables/{keys[name]}/.ATTRIBUTES/VARIABLE_VALUE"
    rewrite_variables(m.directory, lambda arrays: arrays[key].put(0, value))


def double_images(m):
    serve = called(m, "serve")
    add_node(serve, "Mul", "inputs", add_const(serve, 2.0))
    put(call_in(serve).input, 0, "added/Mul:z:0")


def drop_update(m):
    function, update = (
        network(m, training=True),
        f"{BATCH_NORM}/AssignMovingAvg/AssignSubVariableOp",
    )
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
    """What is pooled has to be as large as it is for images of 32 x 32."""
    function = network(m, training=False)
    pool = inside(function, "InceptionV1/Logits/global_pool")
    add_node(function, "Reshape", pool.input[0], add_const(function, [-1, 8, 8, 192]))
    put(pool.input, 0, "added/Reshape:output:0")


def add_noise(m):
    function = network(m, training=True)
    types = {
        "dtype": {"type": tf.float32.as_datatype_enum},
        "T": {"type": tf.int32.as_datatype_enum},
    }
    add_node(function, "RandomUniform", add_const(function, [1, 1, 1, 192]), **types)
    add_node(
        function, "Mul", "InceptionV1/Logits/global_pool:output:0", "added/RandomUniform:output:0"
    )
    put(inside(function, FEATURES).input, 0, "added/Mul:z:0")


def ignore_momentum(m):
    for each in network(m, training=True).node_def:
        if MOMENTUM in each.input:
            each.input[1] = "hub_input/batch_norm_momentum/default:output:0"


def train_at_inference(m):
    for each in network(m, training=False).node_def:
        if each.op == "FusedBatchNormV3":
            each.attr["is_training"].b = True


def restore_swapped(m):
    """Whoever restores through the graph gets the mean as the variance, and the other way round."""
    inputs = node(m.infer, m.infer.saver_def.restore_op_name).input
    variance = MEAN.replace("mean", "variance")
    swap(inputs, list(inputs).index(MEAN), list(inputs).index(variance))


def multiply_by_offset(m):
    for function in both_networks(m):
        inside(function, "hub_input/Sub").op = "Mul"
        inside(function, f"InceptionV1/{FIRST}/Conv2D").input[0] = "hub_input/Sub:z:0"
