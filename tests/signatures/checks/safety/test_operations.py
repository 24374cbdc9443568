"""Modules of others: real ones may be run, and none that does harm in whichever place."""

import contextlib
import io
import re

import pytest
import tensorflow as tf
import tf_keras
from hostile_graphs import GRAPHS
from hostile_operations import MAIN_OP, OPERATIONS, SERVED, add, harm
from stem import node
from tensorflow.core.framework import types_pb2, variable_pb2
from tensorflow.core.protobuf import saved_model_pb2

from slimhub.signatures.checks.expectation import Expectation
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.safety.harmless import harmless
from slimhub.signatures.checks.safety.operations import operations
from slimhub.signatures.module.module import Module

V1 = tf.compat.v1
SHAPE = (None, 8, 8, 3)
# What the check of slimhub's own modules refuses, and that does no harm in itself.
HARMLESS = ("5-object_asset", "5-operation_like_function")


def meta_graph(directory):
    content = (directory / "saved_model.pb").read_bytes()
    return saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]


def problems(directory):
    """Return what the check finds in a module that is held to no contract of slimhub's."""
    expectation = Expectation(like="image_feature_vector")
    return list(operations(ModuleUnderTest(Module(directory), expectation=expectation)))


def write_tf1(directory, *, use_resource, sharded):
    """Write a SavedModel as TF1 does, with control flow, an update, summaries and training."""
    with tf.Graph().as_default(), V1.Session() as session:
        images = V1.placeholder(tf.float32, SHAPE)
        training = V1.placeholder_with_default(False, [])
        with V1.variable_scope("net", use_resource=use_resource):
            kernel = V1.get_variable("kernel", [3, 3, 3, 4])
            mean = V1.get_variable("mean", [4], trainable=False)
        features = tf.reduce_mean(tf.nn.conv2d(images, kernel, 1, "SAME") - mean, [1, 2])
        update = V1.assign_sub(mean, 0.1 * (mean - tf.reduce_mean(features, 0)))
        V1.add_to_collection(V1.GraphKeys.UPDATE_OPS, update)
        features = tf.cond(training, lambda: tf.nn.dropout(features, 0.5), lambda: features)
        features = tf.map_fn(lambda image: image * 2, features)
        with tf.control_dependencies([V1.assert_non_negative(images)]):
            features = V1.check_numerics(features, "features")
        V1.summary.histogram("features", features)
        V1.train.MomentumOptimizer(0.1, 0.9).minimize(tf.nn.l2_loss(kernel))
        session.run(V1.global_variables_initializer())
        builder = V1.saved_model.Builder(str(directory))
        signature = V1.saved_model.predict_signature_def({"images": images}, {"default": features})
        saver = V1.train.Saver(sharded=sharded)
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map={SERVED: signature}, saver=saver
        )
        builder.save()


class Network(tf.Module):
    """All kinds of objects that do no harm, and functions with loops and random numbers."""

    def __init__(self, asset):
        super().__init__()
        self.kernel = tf.Variable(tf.zeros([3, 3, 3, 4]))
        self.lists = {"a": [tf.Variable(1.0)], "b": (tf.Variable(2.0),)}
        self.asset = tf.saved_model.Asset(asset)
        self.scale = tf.constant([1.0, 2.0, 3.0, 4.0])

    @tf.function(input_signature=[tf.TensorSpec(SHAPE), tf.TensorSpec([], tf.bool)])
    def __call__(self, images, training):
        features = tf.reduce_mean(tf.nn.conv2d(images, self.kernel, 1, "SAME"), [1, 2])
        features = tf.map_fn(lambda one: one * self.scale, features)
        return tf.nn.dropout(features, 0.5) if training else features


def write_tf2(directory):
    asset = directory.parent / "labels.txt"
    asset.write_text("cat\n")
    network = Network(str(asset))
    tf.saved_model.save(network, str(directory), network.__call__.get_concrete_function())


def write_keras(directory, keras, optimizer):
    """Write a model after a step of training, with its optimizer."""
    layers = keras.layers
    inputs = keras.Input(SHAPE[1:])
    net = layers.RandomFlip()(inputs)
    net = layers.Conv2D(4, 3, kernel_regularizer="l2")(net)
    net = layers.ReLU()(layers.BatchNormalization()(net))
    net = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(net))
    model = keras.Model(inputs, layers.Dense(3)(net))
    model.compile(optimizer, "mse")
    model.fit(tf.zeros([2, *SHAPE[1:]]), tf.zeros([2, 3]), verbose=0)
    # Keras 3 prints what it writes.
    with contextlib.redirect_stdout(io.StringIO()):
        getattr(model, "export", model.save)(str(directory))


WRITERS = {
    "tf1": lambda path: write_tf1(path, use_resource=False, sharded=False),
    "tf1_sharded": lambda path: write_tf1(path, use_resource=True, sharded=True),
    "tf2": write_tf2,
    "tf_keras": lambda path: write_keras(path, tf_keras, tf_keras.optimizers.Adam()),
    "tf_keras_legacy": lambda path: write_keras(
        path, tf_keras, tf_keras.optimizers.legacy.SGD(0.1, momentum=0.9)
    ),
    "keras": lambda path: write_keras(path, tf.keras, tf.keras.optimizers.SGD(0.1)),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A function that returns the directory of a module of others, by its name in `WRITERS`."""
    directory = tmp_path_factory.mktemp("written")

    def get(name):
        if not (directory / name).exists():
            WRITERS[name](directory / name)
        return directory / name

    return get


@pytest.mark.parametrize("name", WRITERS)
def test_modules_of_others(written, name):
    """A module of others, written by TensorFlow or Keras, has nothing that does harm."""
    assert problems(written(name)) == []


@pytest.mark.parametrize("version", [1, 3, 4, 5])
def test_own_modules(stem, version):
    """A module of slimhub's own has nothing that does harm."""
    assert problems(stem / str(version)) == []


@pytest.mark.parametrize(
    "hostile",
    [one for one in (*OPERATIONS, *GRAPHS) if one.check == "operations"],
    ids=lambda one: f"{one.version}-{one.id}",
)
def test_hostile_modules(stem, tmp_path, hostile):
    """What does harm in a module of slimhub's own does harm in a module of others."""
    hostile.change(tmp_path / "module", stem / str(hostile.version))
    found = "\n".join(problems(tmp_path / "module"))
    if f"{hostile.version}-{hostile.id}" in HARMLESS:
        assert found == ""
    else:
        assert hostile.says in found


def test_every_meta_graph(written, tmp_path):
    """Harm is found in every meta graph, also in one that others hide."""
    saved_model = saved_model_pb2.SavedModel()
    for op in ("WriteFile", "ReadFile"):
        graph = saved_model.meta_graphs.add()
        graph.CopyFrom(meta_graph(written("tf1")))
        harm(graph.graph_def.node, op)
    (tmp_path / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    found = problems(tmp_path)
    assert [problem.partition(":")[0] for problem in found] == [
        "{serve} has 1 of the operation WriteFile",
        "{serve} has 1 of the operation ReadFile",
    ]


def save_is_main(graph):
    graph.collection_def[MAIN_OP].node_list.value.append(graph.saver_def.save_tensor_name)


def save_is_update(graph):
    graph.collection_def["update_ops"].node_list.value.append("save/ShardedFilename")


def save_is_initializer(graph):
    variable = variable_pb2.VariableDef(variable_name="v:0", initializer_name="^save/SaveV2")
    graph.collection_def["variables"].bytes_list.value.append(variable.SerializeToString())


def save_is_read(graph):
    """Make the signature wait for the saver."""
    [info] = graph.signature_def[SERVED].outputs.values()
    node(graph, info.name.partition(":")[0]).input.append("^save/SaveV2")


def save_is_output(graph):
    graph.signature_def[SERVED].outputs["saved"].name = graph.saver_def.save_tensor_name


def save_in_restore(graph):
    node(graph, "save/restore_all").input.append("^save/SaveV2")


def save_is_restore(graph):
    graph.saver_def.restore_op_name = "save/SaveV2"


def save_is_read_by_nobody(graph):
    """Add what a user may know the name of."""
    add(graph.graph_def.node, "hub_output/features", "NoOp", "^save/SaveV2")


def no_saver(graph):
    graph.ClearField("saver_def")


SAVERS = (
    *(save_is_main, save_is_update, save_is_initializer, save_is_read, save_is_output),
    *(save_in_restore, save_is_restore, save_is_read_by_nobody, no_saver),
)


@pytest.mark.parametrize("change", SAVERS)
def test_savers_of_tf1(written, change):
    """In a graph of TF1, what writes files is refused where others than the saver reach it."""
    graph = meta_graph(written("tf1_sharded"))
    change(graph)
    found = re.findall(r"of the operation (\w+)", "\n".join(harmless(graph)))
    assert "ShardedFilename" in found
    assert ("SaveV2" in found) == (change is not save_is_update)


def call_operation(graph):
    """Call an operation as if it were a function."""
    add(graph.graph_def.node, "call", "PartitionedCall", f={"func": {"name": "WriteFile"}})


def call_in_list(graph):
    functions = {"list": {"func": [{"name": "SymbolicGradient"}]}}
    add(graph.graph_def.node, "call", "StatelessCase", branches=functions)


def call_in_call(graph):
    name = graph.graph_def.library.function[0].signature.name
    call = add(graph.graph_def.node, "call", "PartitionedCall", f={"func": {"name": name}})
    call.attr["f"].func.attr["f"].func.name = "elsewhere"


def make_up_handle(graph):
    tensor = {"dtype": types_pb2.DT_RESOURCE, "resource_handle_val": [{"name": "a table"}]}
    add(graph.graph_def.node, "handle", "Const", value={"tensor": tensor})


def make_up_handle_in_function(graph):
    tensor = {"dtype": types_pb2.DT_VARIANT, "tensor_shape": {}}
    nodes = graph.graph_def.library.function[0].node_def
    add(nodes, "handle", "Const", value={"list": {"tensor": [tensor]}})


def add_resource(graph):
    graph.object_graph_def.nodes.add().resource.device = "CPU"


def register_name(graph):
    graph.object_graph_def.nodes[0].registered_name = "tf.StaticHashTable"


def register_saver(graph):
    graph.object_graph_def.nodes[0].registered_saver = "tf.TPUEmbeddingCallback"


def save_object(graph):
    graph.object_graph_def.nodes[0].saveable_objects["a"].save_function = 0


def restore_elsewhere(graph):
    """Give the restoring function a path of the graph, and not the loader's."""
    path = graph.graph_def.node.add(name="path", op="Const")
    node(graph, graph.saver_def.restore_op_name).input[0] = f"{path.name}:0"


def restore_in_function(graph):
    """Read a path of the restoring function, and not its argument."""
    for function in graph.graph_def.library.function:
        for each in function.node_def:
            if each.op == "RestoreV2":
                each.input[0] = each.input[1]


def register_identifier(graph):
    graph.object_graph_def.nodes[0].user_object.identifier = "my_class"


def register_type(graph):
    concrete = next(iter(graph.object_graph_def.concrete_functions.values()))
    concrete.output_signature.type_spec_value.type_spec_class_name = "my.Spec"


def register_type_of_argument(graph):
    function = next(each for each in graph.object_graph_def.nodes if each.HasField("function"))
    values = function.function.function_spec.input_signature.tuple_value.values
    values.add().dict_value.fields["a"].type_spec_value.type_spec_class_name = "my.Spec"


def escape(graph):
    graph.asset_file_def.add(filename="../../../../../etc/passwd").tensor_info.name = "x:0"


def escape_from_root(graph):
    graph.asset_file_def.add(filename="/etc/passwd").tensor_info.name = "x:0"


TF2 = (
    *(call_operation, call_in_list, call_in_call, make_up_handle, make_up_handle_in_function),
    *(add_resource, register_name, register_saver, save_object, register_identifier),
    *(register_type, register_type_of_argument, escape, escape_from_root),
    *(restore_elsewhere, restore_in_function),
)


def test_paths_of_tf1(written):
    """In a graph of TF1, the variables are read where the loader says, and nowhere else."""
    graph = meta_graph(written("tf1"))
    restore = node(graph, "save/RestoreV2")
    assert restore.input[0] == graph.saver_def.filename_tensor_name.removesuffix(":0")
    restore.input[0] = "save/filename"
    assert len(list(harmless(graph))) == 1


@pytest.mark.parametrize("change", TF2)
def test_changes_of_tf2(written, change):
    """In a SavedModel of TF2, each change that makes TensorFlow run or open more is one problem."""
    graph = meta_graph(written("tf2"))
    change(graph)
    assert len(list(harmless(graph))) == 1
