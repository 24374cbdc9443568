"""Small real modules, and how tests break them."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import shutil
import types
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tf_slim import nets

from slimhub.export import exporter
from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures import contract, formats, provenance

# The whole networks that are small enough for most tests.
INCEPTIONS = ("inception_v1", "inception_v2")

# The first layers of Inception V1: most checks care for depth only in that it takes time.
STEM = dataclasses.replace(
    catalog.get("inception_v1"),
    name="stem",
    layers="stem",
    image_size=(32, 32),
    num_features=192,
    batch_norm=dataclasses.replace(catalog.get("inception_v1").batch_norm, count=3),
    num_regularized=4,
)
# The same of a family with per-channel rescaling, gamma and residual blocks,
RESNET_STEM = dataclasses.replace(
    catalog.get("resnet_v1_50"),
    name="resnet_stem",
    layers="resnet_stem",
    scope="resnet_stem",
    image_size=(32, 32),
    num_features=32,
    batch_norm=dataclasses.replace(catalog.get("resnet_v1_50").batch_norm, count=8),
    num_regularized=9,
)
# and of one without batch norm, with dropout before the features, and a smallest size.
VGG_STEM = dataclasses.replace(
    catalog.get("vgg_16"),
    name="vgg_stem",
    layers=(1, 1),
    scope="vgg_stem",
    image_size=(28, 28),
    min_image_size=(28, 28),
    num_features=64,
    num_regularized=5,
)
STEMS = {model.name: model for model in (STEM, RESNET_STEM, VGG_STEM)}
BASES = {
    STEM.layers: functools.partial(
        nets.inception.inception_v1_base, final_endpoint="Conv2d_2c_3x3"
    ),
    RESNET_STEM.layers: functools.partial(
        nets.resnet_v1.resnet_v1,
        blocks=[nets.resnet_v1.resnet_v1_block("block1", base_depth=8, num_units=2, stride=2)],
    ),
}


@contextlib.contextmanager
def stem_in_catalog():
    """Has the exporter find `STEMS`, and nothing else, in the catalog."""
    with pytest.MonkeyPatch.context() as patch:
        for name, base in BASES.items():
            patch.setattr(nets, name, base, raising=False)
        patch.setattr(catalog, "get", STEMS.get)
        yield


def export_stem(
    output: Path,
    *,
    versions=tuple(contract.VERSIONS),
    model: str = STEM.name,
    task: str = "feature_vector",
    **changes,
) -> Path:
    """Exports a small module in these versions, and gives the directory of all."""
    with stem_in_catalog():
        for version in versions:
            request = ExportRequest(
                version=version,
                models=(model,),
                tasks=(task,),
                checkpoint="synthetic",
                output=output,
                **changes,
            )
            [outcome] = exporter.export(request)
            assert outcome.error is None
    return outcome.directory.parent


def broken_copy(good: Path, to: Path, change) -> Path:
    """Copies a module, and records the sums of the files that were changed in the copy.

    `change` gets the copy's directory, its SavedModel, the first and the last meta graph, and a
    dictionary of what to change in its provenance.
    """
    shutil.copytree(good, to)
    path = to / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    infer, *_, train = [*saved_model.meta_graphs] * 2
    m = types.SimpleNamespace(directory=to, all=saved_model, infer=infer, train=train, record={})
    change(m)
    path.write_bytes(saved_model.SerializeToString())
    sign(to, **m.record)
    return to


def sign(directory: Path, **changes) -> None:
    """Makes the provenance of a module fit its files."""
    path = directory / formats.PROVENANCE
    record = json.loads(path.read_text())
    path.unlink()
    files = [dataclasses.asdict(file) for file in provenance.files_in(directory)]
    path.write_text(signed({**record, "files": files, **changes}))


def signed(record: dict) -> str:
    """A record of provenance as it is written, whatever is in it."""
    others = {key: value for key, value in record.items() if key != "sha256"}
    own = hashlib.sha256(_dumps(others).encode()).hexdigest()
    return _dumps({**others, "sha256": own})


def _dumps(record: dict) -> str:
    return json.dumps(record, indent=2) + "\n"


def rewrite_variables(directory: Path, change) -> None:
    """`change` gets all variables on disk: arrays by name."""
    prefix = str(directory / "variables" / "variables")
    reader = tf.train.load_checkpoint(prefix)
    arrays = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    change(arrays)
    names = sorted(arrays)
    tensors = [arrays[name] for name in names]
    slices = [""] * len(names)
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=slices, tensors=tensors)


def node(graph, name):
    return next(node for node in graph.graph_def.node if node.name == name)


def breakage(change, says, *failed):
    """How a module is broken, what the first check says that fails then, and all that fail."""
    return change, says, failed


def ids_of(checks):
    return [check.__name__.replace("_", "-") for check in checks]
