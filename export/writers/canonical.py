"""Rewrite a SavedModel of TensorFlow 2 so that it is small, and has the same bytes every time.

TensorFlow numbers functions and tensors by a counter of the process, lists functions in the order of a
hash map, and gives every SavedModel a random number.
"""

import hashlib
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2, types_pb2
from tensorflow.core.protobuf import fingerprint_pb2, saved_model_pb2

from slimhub.export.writers import slim_graph
from slimhub.signatures.module.module import all_nodes
from slimhub.support import tf_private


def rewrite(directory: Path) -> None:
    """Rewrite the graph and the fingerprint of a SavedModel in place.

    Raises:
      OSError: the directory can't be read or written.
    """
    path = directory / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    [meta_graph] = saved_model.meta_graphs
    _empty_assets(meta_graph)
    _drop_useless(meta_graph.graph_def)
    _rename_functions(meta_graph)
    content = saved_model.SerializeToString(deterministic=True)
    path.write_bytes(content)
    serialized = tf_private.create_fingerprint(str(directory))
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(serialized)
    # TensorFlow 2.16 has no `uuid`. Later versions draw a random one.
    if "uuid" in fingerprint.DESCRIPTOR.fields_by_name:
        fingerprint.uuid = str(int.from_bytes(hashlib.sha256(content).digest()[:16], "big"))
    (directory / "fingerprint.pb").write_bytes(fingerprint.SerializeToString(deterministic=True))


def _empty_assets(meta_graph) -> None:
    """Replace the path of an asset by an empty constant that nothing reads, as TensorFlow 1 does.

    TensorFlow 2 has a placeholder and a variable that is set to it. That variable isn't one of the
    network's, and converters would convert it.
    """
    if not meta_graph.asset_file_def:
        return
    nodes = meta_graph.graph_def.node
    paths = {asset.tensor_info.name.partition(":")[0] for asset in meta_graph.asset_file_def}
    variables = {
        node.input[0]
        for node in nodes
        if node.op == "AssignVariableOp" and node.input[1].partition(":")[0] in paths
    }
    useless = {node.name for node in nodes if variables & {node.name, *node.input}}
    useful = [node for node in nodes if node.name not in useless]
    for node in useful:
        node.input[:] = [name for name in node.input if name.removeprefix("^") not in useless]
        if node.name in paths:
            node.op = "Const"
            node.attr.clear()
            node.attr["dtype"].type = types_pb2.DT_STRING
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(b""))
    copies = [node_def_pb2.NodeDef.FromString(node.SerializeToString()) for node in useful]
    del nodes[:]
    nodes.extend(copies)


def _drop_useless(graph_def) -> None:
    functions = graph_def.library.function
    for nodes in (graph_def.node, *(function.node_def for function in functions)):
        slim_graph.drop_attributes(nodes)
        for node in nodes:
            # TensorFlow requests the CPU for saving and restoring, which run there anyway.
            node.ClearField("device")
            # This is the configuration of the process that wrote the SavedModel.
            node.attr.pop("config_proto", None)
    for function in functions:
        for index, argument in enumerate(function.signature.input_arg):
            if argument.type == types_pb2.DT_RESOURCE:
                # The name holds the number of a tensor, which depends on what ran before.
                function.arg_attr[index].attr.pop("_user_specified_name", None)


def _rename_functions(meta_graph) -> None:
    """Sort the functions in the order in which they were traced, and number them from zero."""
    functions = meta_graph.graph_def.library.function
    functions.sort(key=lambda function: int(function.signature.name.rpartition("_")[2]))
    renamed = {
        function.signature.name: f"{function.signature.name.rpartition('_')[0]}_{index}"
        for index, function in enumerate(functions)
    }
    for function in functions:
        function.signature.name = renamed[function.signature.name]
    for node in all_nodes(meta_graph):
        for attr in node.attr.values():
            if attr.HasField("func"):
                attr.func.name = renamed[attr.func.name]
    objects = meta_graph.object_graph_def
    for saved in objects.nodes:
        if saved.HasField("function"):
            saved.function.concrete_functions[:] = [
                renamed[name] for name in saved.function.concrete_functions
            ]
        elif saved.HasField("bare_concrete_function"):
            concrete = saved.bare_concrete_function
            concrete.concrete_function_name = renamed[concrete.concrete_function_name]
    concrete_functions = {
        name: type(concrete).FromString(concrete.SerializeToString())
        for name, concrete in objects.concrete_functions.items()
    }
    objects.ClearField("concrete_functions")
    for name, concrete in concrete_functions.items():
        objects.concrete_functions[renamed[name]].CopyFrom(concrete)
