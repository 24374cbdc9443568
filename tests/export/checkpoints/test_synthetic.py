"""Untrained checkpoints in the published ones' format and layout."""

import itertools
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from stem import INCEPTIONS, RESNET_STEM, RESNET_V2_STEM, stem_in_catalog

from slimhub.export.checkpoints import synthetic
from slimhub.models import catalog, network
from slimhub.signatures.module.provenance import sha256


def build(model: catalog.Model, images) -> network.Network:
    return network.build(
        model, images, training=False, batch_norm_momentum=0.9, num_classes=model.num_classes
    )


@pytest.fixture(params=INCEPTIONS)
def model(request) -> catalog.Model:
    return catalog.get(request.param)


def test_archive(archives, model):
    """The archive holds one file of the published name, and is about as large as the published one."""
    with tarfile.open(archives / model.archive.name, "r:gz") as tar:
        [member] = tar.getmembers()
    assert member.name == model.archive.member
    assert member.isreg()
    size = (archives / model.archive.name).stat().st_size
    assert size == pytest.approx(model.archive.num_bytes, rel=0.1)


def test_checkpoint(checkpoint, model):
    """The checkpoint is one V1 file with the network's variables, for the published number of classes."""
    path = checkpoint(model.name)
    # The number that ends every sstable.
    assert path.read_bytes()[-8:] == bytes.fromhex("57fb808b247547db")
    assert not path.with_name(f"{path.name}.index").exists()
    with tf.Graph().as_default():
        variables = build(model, tf.zeros([1, *model.image_size, 3])).variables
    reader = tf.train.load_checkpoint(str(path))
    assert reader.get_variable_to_shape_map() == {v.op.name: v.shape for v in variables}
    assert set(reader.get_variable_to_dtype_map().values()) == {tf.float32}


def test_same_bytes(archives, tmp_path):
    """The same network gives the same bytes again, in this process or in another."""
    model = catalog.get("inception_v1")
    synthetic.write_archive(model, into=tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / model.archive.name]
    again, before = (path / model.archive.name for path in (tmp_path, archives))
    assert sha256(again) == sha256(before)


def test_no_such_directory(tmp_path):
    """A checkpoint that can't be written is an `OSError`, as for any file."""
    with pytest.raises(OSError, match="No such file or directory"):
        synthetic.write_checkpoint({"a": np.ones(3, np.float32)}, tmp_path / "absent" / "a.ckpt")


def test_activations(checkpoint, images, model):
    """Activations keep their size from layer to layer, and different images get different logits."""
    with tf.Graph().as_default() as graph:
        built = build(model, tf.constant(images(4)))
        with tf.compat.v1.Session(graph=graph) as session:
            saver = tf.compat.v1.train.Saver(built.variables)
            saver.restore(session, str(checkpoint(model.name)))
            end_points, logits = session.run([built.end_points, built.logits])
    for name, values in end_points.items():
        assert np.isfinite(values).all(), name
        assert 0.3 < values.std() < 10, name
    for one, other in itertools.combinations(logits, 2):
        assert np.abs(one - other).max() > 0.01 * np.abs(logits).max()


def test_like_trained_ones():
    """Weights resemble trained ones: off-centre filters, unlike scales, dead channels, odd gammas."""
    with stem_in_catalog():
        weights = synthetic.weights(RESNET_STEM)

    scopes = [
        name.removesuffix("/BatchNorm/gamma")
        for name in weights
        if name.endswith("/BatchNorm/gamma")
    ]

    def channels(kind):
        return np.concatenate([weights[f"{scope}/BatchNorm/{kind}"] for scope in scopes])

    gammas, variances = channels("gamma"), channels("moving_variance")
    alive = variances > 1e-10
    assert (gammas < 0).any()
    assert (gammas == 0).any()
    assert channels("beta").std() > 0.1
    assert set(variances[~alive]) == {0, np.float32(1e-14)}
    far = np.abs(channels("moving_mean")[alive]) / np.sqrt(variances[alive])
    assert np.percentile(far, 90) > 0.5
    for scope in scopes:
        variance = weights[f"{scope}/BatchNorm/moving_variance"]
        alive = variance > 1e-10
        assert variance[alive].max() / variance[alive].min() > 1000, scope
        # Of each filter, how far its mean is from 0, in deviations of the mean of so many numbers.
        kernel = weights[f"{scope}/weights"].astype(np.float64)[..., alive]
        deviation = kernel.std((0, 1, 2)) / np.sqrt(np.prod(kernel.shape[:3]))
        assert (np.abs(kernel.mean((0, 1, 2))) / deviation).max() > 1, scope


def test_batch_norm_of_sums():
    """A batch norm without a convolution has no dead channels, and betas and gammas as odd as others."""
    with stem_in_catalog():
        weights = synthetic.weights(RESNET_V2_STEM)
    norms = [
        name.rpartition("/")[0]
        for name in weights
        if name.endswith(("preact/gamma", "postnorm/gamma"))
    ]
    assert len(norms) == 3
    for norm in norms:
        gammas, betas, means, variances = (
            weights[f"{norm}/{kind}"]
            for kind in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        assert ((variances > 0.7) & (variances < 1.3)).all()
        assert (gammas < 0).any()
        assert betas.std() > 0.1
        assert means.std() > 0.1
    # The outputs of all blocks add up, so that each is small.
    last, first = (
        np.square(weights[f"resnet_v2_stem/block1/unit_1/bottleneck_v2/{layer}/biases"]).mean()
        for layer in ("conv3", "shortcut")
    )
    assert last < first / 10
