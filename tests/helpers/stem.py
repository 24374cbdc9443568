"""Small real modules, and how tests break them."""

import contextlib
import dataclasses
import functools
import json
import shutil
import types
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tf_slim import nets

from slimhub.export import pipeline
from slimhub.export.request import ExportRequest
from slimhub.models import catalog, slim, vgg
from slimhub.signatures.checks import conformance
from slimhub.signatures.contract import contract, formats, network
from slimhub.signatures.module import provenance

# The whole networks that are small enough for most tests.
INCEPTIONS = ("inception_v1", "inception_v2")


def _build_stem(model, inputs, *, training, scope):
    del training
    net, end_points = nets.inception.inception_v1_base(
        inputs, final_endpoint="Conv2d_2c_3x3", scope=scope
    )
    return net, {f"{model.scope}/{name}": tensor for name, tensor in end_points.items()}


def _build_resnet_stem(model, inputs, *, network, block, training, scope):
    blocks = [block("block1", base_depth=8, num_units=2, stride=2)]
    with slim.arg_scope([slim.max_pool2d], padding="SAME"):
        return network(
            inputs, blocks, num_classes=None, is_training=training, global_pool=False, scope=scope
        )


# The first layers of Inception V1: most checks care for depth only in that it takes time.
STEM = dataclasses.replace(
    catalog.get("inception_v1"),
    name="stem",
    build_base=_build_stem,
    image_size=(32, 32),
    num_features=192,
    batch_norm=dataclasses.replace(catalog.get("inception_v1").batch_norm, count=3),
    num_regularized=4,
)
# The same of a family with per-channel rescaling, gamma and residual blocks,
RESNET_STEM = dataclasses.replace(
    catalog.get("resnet_v1_50"),
    name="resnet_stem",
    build_base=functools.partial(
        _build_resnet_stem,
        network=nets.resnet_v1.resnet_v1,
        block=nets.resnet_v1.resnet_v1_block,
    ),
    scope="resnet_stem",
    image_size=(32, 32),
    num_features=32,
    batch_norm=dataclasses.replace(catalog.get("resnet_v1_50").batch_norm, count=8),
    num_regularized=9,
)
# of one with batch norms that are not part of a convolution, the last one behind all end points,
RESNET_V2_STEM = dataclasses.replace(
    catalog.get("resnet_v2_50"),
    name="resnet_v2_stem",
    build_base=functools.partial(
        _build_resnet_stem,
        network=nets.resnet_v2.resnet_v2,
        block=nets.resnet_v2.resnet_v2_block,
    ),
    scope="resnet_v2_stem",
    image_size=(32, 32),
    num_features=32,
    batch_norm=dataclasses.replace(catalog.get("resnet_v2_50").batch_norm, count=7),
    num_regularized=9,
)
# and of one without batch norm, with dropout before the features, and a smallest size.
VGG_STEM = dataclasses.replace(
    catalog.get("vgg_16"),
    name="vgg_stem",
    build_base=functools.partial(vgg.build, convolutions=(1, 1)),
    scope="vgg_stem",
    image_size=(28, 28),
    min_image_size=(28, 28),
    num_features=64,
    num_regularized=5,
)
STEMS = {model.name: model for model in (STEM, RESNET_STEM, RESNET_V2_STEM, VGG_STEM)}
# The contracts of these, frozen as those of the catalog.
CONTRACTS = Path(__file__).with_name("networks")
network.FOLDERS.append(CONTRACTS)
# The environment of a program that is to know them, too.
KNOWING_STEMS = {"SLIMHUB_NETWORKS": str(CONTRACTS)}


@contextlib.contextmanager
def stem_in_catalog():
    """Put `STEMS`, and nothing else, into the exporter's catalog."""
    with pytest.MonkeyPatch.context() as patch:
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
    """Export a small module in these versions, and return the directory above them."""
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
            [outcome] = pipeline.export(request)
            assert outcome.error is None
    return outcome.directory.parent


def broken_copy(good: Path, to: Path, change) -> Path:
    """Copy a module, change the copy, and update its provenance.

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
    """Update the provenance of a module to its files."""
    path = directory / formats.PROVENANCE
    record = json.loads(path.read_text())
    path.unlink()
    files = [dataclasses.asdict(file) for file in provenance.files_in(directory)]
    path.write_text(json.dumps({**record, "files": files, **changes}, indent=2) + "\n")


def rewrite_variables(directory: Path, change) -> None:
    """Rewrite the variables on disk. `change` gets all of them, arrays by name."""
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


def failed_checks(directory: Path) -> set[str]:
    """Return the ids of the checks that a directory fails."""
    return {result.id for result in conformance.check(directory).failed}
