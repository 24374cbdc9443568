"""The outputs of a signature or a call, and what of its graph they depend on."""

import dataclasses
from collections.abc import Mapping

from slimhub.signatures.contract.contract import TASKS
from slimhub.signatures.graphs.flat import FlatGraph
from slimhub.signatures.graphs.inference_graph import PROBABILITIES, after_last_layer
from slimhub.signatures.module.directory import UnreadableError

# The names of the common image signatures, by task.
SIGNATURES = {task: f"image_{task}" for task in TASKS}
# Keys of the main output of a task, the likeliest first.
_MAIN = {
    "feature_vector": ("default", "feature_vector"),
    "classification": ("default", "logits"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outputs:
    """The outputs of a signature or a call.

    Attributes:
      graph: where they are computed.
      images: name of the tensor of the images.
      tensors: names of their tensors by key.
    """

    graph: FlatGraph
    images: str
    tensors: Mapping[str, str]

    def is_probable(self, key: str) -> bool:
        """Return whether an output are probabilities, and no logits or features."""
        nodes = after_last_layer(self.graph.nodes, self.tensors[key])
        return any(node.op in PROBABILITIES for node in nodes)

    def main(self, task: str) -> str:
        """Return the key of the output that a task is about. Raise `UnreadableError` if none is known."""
        if len(self.tensors) == 1:
            [key] = self.tensors
            return key
        for key in _MAIN[task]:
            if key in self.tensors:
                return key
        raise UnreadableError(
            f"expected an output {' or '.join(_MAIN[task])}, got {', '.join(sorted(self.tensors))}"
        )
