"""What is true of a module: read from its files, and measured by running it, without slimhub."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

# One that TensorFlow keeps for itself.
_OWN = "__saved_model_init_op"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """Of a module: the tag sets that have it, and dtypes and shapes by key."""

    tags: list[str]
    inputs: dict[str, str]
    outputs: dict[str, str]


def signatures(directory: Path) -> dict[str, Signature]:
    """By name, as the SavedModel tells."""
    content = (directory / "saved_model.pb").read_bytes()
    found = {}
    for meta_graph in saved_model_pb2.SavedModel.FromString(content).meta_graphs:
        tags = "{" + ", ".join(meta_graph.meta_info_def.tags) + "}"
        for name, signature in meta_graph.signature_def.items():
            if name != _OWN:
                one = found.setdefault(name, Signature(tags=[], inputs={}, outputs={}))
                one.tags.append(tags)
                one.inputs.update({key: _type(info) for key, info in signature.inputs.items()})
                one.outputs.update({key: _type(info) for key, info in signature.outputs.items()})
    return found


def _type(info: meta_graph_pb2.TensorInfo) -> str:
    sizes = ["?" if dim.size < 0 else str(dim.size) for dim in info.tensor_shape.dim]
    return f"{tf.dtypes.as_dtype(info.dtype).name} [{', '.join(sizes)}]"


def end_points(directory: Path, size: int) -> dict[str, list[int]]:
    """Shapes by key, of what the module gives for one image of so many rows and columns."""
    tags = [] if (directory / "tfhub_module.pb").exists() else None
    run = tf.saved_model.load(str(directory), tags=tags).signatures["image_feature_vector"]
    outputs = run(images=tf.zeros([1, size, size, 3]))
    return {key: list(one.shape) for key, one in outputs.items() if key != "default"}


def calls(directory: Path, written: list[str], *, size: int) -> dict[str, str | dict]:
    """What each call gives for any images, `function(name=True)`: its type; of a dictionary, types by key."""
    loaded = tf.saved_model.load(str(directory)) if written else None
    found = {}
    for call in written:
        name, arguments = re.fullmatch(r"(\w+)\((.*)\)", call).groups()
        given = {key: value == "True" for key, value in re.findall(r"(\w+)=(\w+)", arguments)}
        outputs = getattr(loaded, name)(tf.zeros([1, size, size, 3]), **given)
        found[call] = tf.nest.map_structure(_for_any_number, outputs)
    return found


def _for_any_number(tensor: tf.Tensor) -> str:
    return f"{tensor.dtype.name} {['?', *tensor.shape[1:]]}".replace("'", "")


def num_parameters(directory: Path) -> int:
    """Numbers in the variables on disk."""
    reader = tf.train.load_checkpoint(str(directory / "variables/variables"))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    return sum(int(np.prod(shapes[name])) for name in shapes if dtypes[name] == tf.float32)


def files(directory: Path) -> dict[str, list[str]]:
    """Bytes and SHA-256 of each file there, by its path, as people read them."""
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): of_file(path) for path in paths}


def of_file(path: Path) -> list[str]:
    content = path.read_bytes()
    return [f"{len(content):,}", hashlib.sha256(content).hexdigest()]


def provenance(directory: Path) -> dict:
    """Where it came from."""
    return json.loads((directory / "assets.extra/provenance.json").read_text())
