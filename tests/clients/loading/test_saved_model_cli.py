"""`saved_model_cli`, which TensorFlow comes with; that of 1.15 stops at the empty tag set."""

import re

import numpy as np
import pytest
from clients import consumer

pytestmark = pytest.mark.parametrize("environment", ["tf-oldest", "tf-newest"], indirect=True)


@pytest.fixture
def cli(environment, row):
    """A function that runs the command and gives what it prints."""

    def run(*arguments, version):
        row.version = f"TensorFlow {environment.pinned('tensorflow')}"
        row.modules.append(version)
        return consumer.command(environment, "saved_model_cli", *arguments)

    return run


@pytest.mark.client("saved_model_cli", "show --all, of functions")
def test_show_functions(cli, module, network):
    """Of version 4, which has no signatures, it shows the functions and their arguments."""
    shown = cli("show", "--all", "--dir", module(*network, 4), version=4)
    assert "MetaGraphDef with tag-set: 'serve' contains" in shown
    assert re.findall(r"Function Name: '(\w+)'", shown) == ["__call__", "serve", "train"]
    assert shown.count("inputs: TensorSpec(shape=(None, None, None, 3), dtype=tf.float32") == 6
    assert shown.count("batch_norm_momentum: TensorSpec(shape=(), dtype=tf.float32") == 4


@pytest.mark.client("saved_model_cli", "show --all")
@pytest.mark.parametrize("version", [1, 3, 5])
def test_show(cli, module, network, version):
    """It shows every tag set and every signature of a module, with the shapes of its output."""
    shown = cli("show", "--all", "--dir", module(*network, version), version=version)
    tag_sets = ["serve"] if version == 5 else ["", "train"]
    for tags in tag_sets:
        assert f"MetaGraphDef with tag-set: '{tags}' contains" in shown
    names = {"serving_default" if version == 5 else "default", f"image_{network[1]}"}
    if version > 1:
        names.add(f"image_{network[1]}_with_bn_hparams")
    for name in names:
        assert shown.count(f"signature_def['{name}']:") == len(tag_sets)
    size = 1024 if network[1] == "feature_vector" else 1001
    assert shown.count(f"shape: (-1, {size})") >= len(tag_sets) * len(names)


@pytest.mark.client("saved_model_cli", "run")
@pytest.mark.parametrize("version", [1, 3, 5])
def test_run(cli, row, slim, module, network, version, batches, tmp_path):
    """It applies a signature to a file of images, in the one tag set of the module that it can name."""
    images = batches(version)["first"]
    np.save(tmp_path / "images.npy", images)
    tags, name, key = ("train", "default", "images")
    if version == 5:
        tags, name, key = ("serve", "serving_default", "inputs")
    where = ("--dir", module(*network, version), "--tag_set", tags, "--signature_def", name)
    given = ("--inputs", f"{key}={tmp_path / 'images.npy'}", "--outdir", tmp_path / "outputs")
    cli("run", *where, *given, version=version)
    [path] = (tmp_path / "outputs").glob("*.npy")
    output = f"{name}:{path.stem}"
    reference = slim(*network, training=tags == "train")
    expected = reference.outputs(version, {"first": images})[f"first {output}"]
    if tags == "train" and network[1] == "classification":
        # Behind dropout, which draws what nobody sees.
        assert np.load(path).shape == expected.shape
    else:
        row.compare({output: np.load(path)}, {output: expected})
