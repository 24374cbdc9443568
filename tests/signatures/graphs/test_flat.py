"""A flat graph has the operations of all functions, and tells what depends on what."""

import tensorflow as tf

from slimhub.signatures.graphs.flat import FlatGraph


@tf.function(autograph=False)
def inner(left, right):
    return tf.negative(left, name="negative"), tf.nn.dropout(right, 0.5, name="dropout")


@tf.function(autograph=False)
def outer(left, right):
    random, negative = inner(right, left)[::-1]
    return negative, tf.add(random, 1.0, name="sum"), inner(left, left)[0]


def traced():
    spec = tf.TensorSpec([2])
    return tf.function(lambda x, y: outer(x, y), autograph=False).get_concrete_function(spec, spec)


def flat():
    graph = traced().graph
    return FlatGraph(graph.as_graph_def(), renamed={"x": "first"}), graph.outputs


def test_names():
    """An output has the name of the operation that computes it, with its calls before it if others have it too."""
    graph, outputs = flat()
    first, second, third = (graph.computed(tensor.name) for tensor in outputs)
    assert (first, second) == ("negative:0", "sum:0")
    assert third.endswith("/negative:0")
    assert graph.nodes[third.removesuffix(":0")].op == graph.nodes["negative"].op == "Neg"


def test_behind():
    """Each output of a call depends on what it is computed from, not on all that the call takes."""
    graph, outputs = flat()
    inputs = [graph.behind(graph.computed(tensor.name)) & {"first", "y"} for tensor in outputs]
    assert inputs == [{"y"}, {"first"}, {"first"}]


def test_random():
    """Only what is computed from random numbers is random, whatever else its function draws."""
    graph, outputs = flat()
    names = [graph.computed(tensor.name).removesuffix(":0") for tensor in outputs]
    assert [name in graph.random for name in names] == [False, True, False]


def test_order_of_use():
    """Operations are in the order in which others read them, calls aside."""
    graph, _ = flat()
    assert graph.in_order_of_use(["first", "negative", "y"]) == ["y", "first", "negative"]
