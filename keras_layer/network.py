"""A network of a module as data, which models that use it are saved with."""

import base64
import dataclasses
import json
import zlib
from collections.abc import Mapping

from tensorflow.core.framework import function_pb2

from slimhub.keras.graph import FunctionGraph
from slimhub.signatures.contract import network
from slimhub.signatures.contract.contract import Contract
from slimhub.signatures.contract.network import NetworkContract
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module
from slimhub.signatures.module.objects import is_training, network_functions
from slimhub.support import records

# Versions of the contract whose modules have the functions that the layer runs.
VERSIONS = (4, 5)
# Those of the largest network have 4 MB.
_MOST_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A network of a module.

    Attributes:
      handle: of the module.
      contract: what belongs to the network: outputs, variables, end points.
      head: scope of the classification layer's variables, which a module of feature vectors has not; None if
        the network has no such layer.
      inference, training: the functions that hold the network. Their arguments are the images, the
        momentum if it can be set, and the variables, under their own names.
    """

    handle: str
    contract: NetworkContract
    head: str | None
    inference: FunctionGraph
    training: FunctionGraph

    @property
    def outputs(self) -> dict[str, str]:
        """Return the names of all output tensors, by key; `default` is that of the module's task."""
        of = self.contract
        specs = {"default": of.logits or of.feature_vector, **of.end_points}
        if of.logits is not None:
            specs[f"{of.scope}/Logits"] = of.logits
        if of.predictions is not None:
            specs[f"{of.scope}/Predictions"] = of.predictions
        return {key: spec.name for key, spec in specs.items()}

    @property
    def takes_momentum(self) -> bool:
        """Return whether the momentum of batch norm is an argument."""
        return self.contract.batch_norm_decay is not None

    def to_config(self) -> str:
        """Return the network as text: JSON, compressed and in base64."""
        functions = (self.inference.function, self.training.function)
        record = {
            "handle": self.handle,
            "contract": json.loads(self.contract.to_json()),
            "head": self.head,
            "functions": [
                base64.b64encode(function.SerializeToString(deterministic=True)).decode()
                for function in functions
            ],
        }
        return base64.b64encode(zlib.compress(json.dumps(record).encode(), 9)).decode()

    @classmethod
    def from_config(cls, text: str) -> "Network":
        """Read what `to_config` returned. Raise `ValueError` if it is something else."""
        packed = base64.b64decode(text)
        record = json.loads(zlib.decompressobj().decompress(packed, _MOST_BYTES))
        inference, training = (
            FunctionGraph(function_pb2.FunctionDef.FromString(base64.b64decode(function)))
            for function in record["functions"]
        )
        contract = records.read(NetworkContract, record["contract"])
        network.check(contract)
        return cls(
            handle=record["handle"],
            contract=contract,
            head=record["head"],
            inference=inference,
            training=training,
        )


def read(module: Module) -> Network:
    """Read the network of a module. Raise `UnreadableError` if it has none, or was changed."""
    record, promise = module.provenance, module.promise()
    if record.contract not in VERSIONS:
        raise UnreadableError(
            f"it is {record.handle}, in a format that Keras 3 can't train: export version 5 of it, "
            f"from the same checkpoint or from this module (slimhub-export --version=5 --checkpoint=DIRECTORY)"
        )
    changed = list(module.changed_files())
    if changed:
        raise UnreadableError("; ".join(changed))
    return Network(
        handle=record.handle,
        contract=promise.network,
        head=network.get(record.model).head,
        **_functions(module, promise),
    )


def _functions(module: Module, promise: Contract) -> Mapping[str, FunctionGraph]:
    [meta_graph] = module.saved_model.meta_graphs
    objects = meta_graph.object_graph_def
    inputs = list(promise.network_inputs)
    functions = {}
    for name, function in network_functions(meta_graph).items():
        bound = objects.concrete_functions[name].bound_inputs
        names = [*inputs, *(objects.nodes[number].variable.name for number in bound)]
        mode = "training" if is_training(function) else "inference"
        try:
            functions[mode] = FunctionGraph(_with_arguments(function, names))
        except ValueError as error:
            raise UnreadableError(str(error)) from error
    if len(functions) != 2:
        raise UnreadableError("expected the network for inference and for training")
    return functions


def _with_arguments(
    function: function_pb2.FunctionDef, names: list[str]
) -> function_pb2.FunctionDef:
    """Return a function whose arguments have other names, without what only its callers need."""
    found = [argument.name for argument in function.signature.input_arg]
    renamed = dict(zip(found, names, strict=True))
    copy = function_pb2.FunctionDef()
    copy.signature.name = function.signature.name
    for name in names:
        copy.signature.input_arg.add(name=name)
    for node in function.node_def:
        added = copy.node_def.add(name=node.name, op=node.op)
        added.input.extend(renamed.get(name, name) for name in node.input)
        for key, value in node.attr.items():
            if not key.startswith("_"):
                added.attr[key].CopyFrom(value)
    return copy
