"""The check of where dropout acts, by the graph alone, whatever the weights. Yields one line a problem."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from tensorflow.core.framework import node_def_pb2

from slimhub.signatures.graphs.flat import RANDOM
from slimhub.signatures.graphs.inference_graph import after_last_layer
from slimhub.signatures.module.module import dependents
from slimhub.signatures.module.objects import constant

Nodes = Mapping[str, node_def_pb2.NodeDef]


def wrong_dropout(
    where: str,
    nodes: Nodes,
    outputs: Iterable[str],
    *,
    dropped: Collection[str],
    exact: bool = True,
) -> Iterator[str]:
    """Compare the outputs that depend on random numbers with those that dropout is to act on.

    Args:
      where: for messages.
      nodes: of the graph or function that holds the network, by name.
      outputs: names of its tensors.
      dropped: those among them that dropout is to act on.
      exact: whether dropout must be made of the operations that slimhub writes.
    """
    draws = {name for name, node in nodes.items() if RANDOM.search(node.op)}
    behind = dependents(nodes, draws)
    for tensor in sorted(outputs):
        random = tensor.split(":")[0] in behind
        if random and tensor not in dropped:
            yield f"{where} {tensor}: expected no random numbers to enter it, they do"
        if not random and tensor in dropped:
            yield f"{where} {tensor}: expected dropout to act on it, it does not"
    if exact:
        yield from _wrong_rates(where, nodes, draws)


def draws_after_last_layer(nodes: Nodes, tensor: str) -> list[str]:
    """Return the operations that draw random numbers for a tensor behind the last layer before it, sorted."""
    return sorted(node.name for node in after_last_layer(nodes, tensor) if RANDOM.search(node.op))


def _wrong_rates(where: str, nodes: Nodes, draws: set[str]) -> Iterator[str]:
    """Dropout drops numbers below its rate: with a rate of 0, none."""
    for node in sorted(nodes.values(), key=lambda node: node.name):
        given = [name.split(":")[0] for name in node.input if not name.startswith("^")]
        if draws.isdisjoint(given):
            continue
        rate = None
        if node.op == "GreaterEqual" and len(given) == 2 and given[1] in nodes:
            rate = constant(nodes[given[1]], ())
        if rate is None or not 0 < rate < 1:
            yield f"{where} {node.name}: expected a rate of dropout between 0 and 1, got {rate}"
