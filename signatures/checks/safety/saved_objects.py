"""The objects of a TF2 SavedModel: what `tf.saved_model.load` runs to make them, before anything is called."""

import dataclasses
import fnmatch
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_object_graph_pb2, struct_pb2

from slimhub.signatures.module.objects import to_python

Problems = Iterator[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Allowed:
    """Objects that a module may have.

    Attributes:
      kinds: fields of `SavedObject`.
      classes: identifiers of user objects; `*` stands for anything.
      registered: names of registered classes.
    """

    kinds: tuple[str, ...]
    classes: tuple[str, ...]
    registered: tuple[str, ...] = ()


# All that slimhub's own modules have, with `asset` where one is promised.
OWN = Allowed(
    kinds=("user_object", "function", "bare_concrete_function", "variable"),
    classes=("_generic_user_object", "trackable_list_wrapper", "signature_map"),
)
WITH_ASSETS = dataclasses.replace(OWN, kinds=(*OWN.kinds, "asset"))
# All that TensorFlow makes by a constructor. For a `resource`, it runs functions of the module.
HARMLESS = Allowed(
    # An asset becomes the path of its file, which is not opened.
    kinds=(*WITH_ASSETS.kinds, "constant", "captured_tensor"),
    classes=(
        *(*OWN.classes, "trackable_dict_wrapper", "trackable_tuple_wrapper"),
        # TensorFlow knows none of Keras's classes: they become plain objects,
        "_tf_keras_*",
        # except optimizers: objects that have nothing but slot variables.
        *("optimizer", "experimentalOptimizer", "tf_keras_optimizer"),
        "tf_keras_experimentalOptimizer",
    ),
    registered=("tf.TrackableConstant",),
)


def foreign(meta_graph: meta_graph_pb2.MetaGraphDef, allowed: Allowed) -> Problems:
    """Look for objects beyond the allowed ones, and for what makes TensorFlow run more than a constructor."""
    graph = meta_graph.object_graph_def
    for number, node in enumerate(graph.nodes):
        yield from (f"object {number}: {problem}" for problem in _foreign(node, allowed))
    for name in sorted(graph.concrete_functions):
        concrete = graph.concrete_functions[name]
        for value in (concrete.canonicalized_input_signature, concrete.output_signature):
            yield from (f"function {name}: {problem}" for problem in _type_specs(value))


def _foreign(node: saved_object_graph_pb2.SavedObject, allowed: Allowed) -> Problems:
    kind = node.WhichOneof("kind")
    if kind not in allowed.kinds:
        yield f"expected one of {', '.join(allowed.kinds)}, got {kind or 'nothing'}"
    identifier = node.user_object.identifier
    if kind == "user_object" and not any(
        fnmatch.fnmatchcase(identifier, pattern) for pattern in allowed.classes
    ):
        yield f"expected one of {', '.join(allowed.classes)}, got {identifier}"
    if node.registered_name not in ("", *allowed.registered):
        yield "it has a registered_name"
    for field in ("registered_saver", "saveable_objects"):
        if getattr(node, field):
            yield f"it has a {field}"
    for spec in (node.function.function_spec, node.bare_concrete_function.function_spec):
        for value in (spec.fullargspec, spec.input_signature):
            yield from _type_specs(value)


def _type_specs(value: struct_pb2.StructuredValue) -> Problems:
    """Look for types whose class TensorFlow looks up by a name in the module."""
    leaves = tf.nest.flatten(to_python(value)) if value.WhichOneof("kind") else []
    for leaf in leaves:
        if isinstance(leaf, struct_pb2.TypeSpecProto):
            yield f"it has the type {leaf.type_spec_class_name}"
