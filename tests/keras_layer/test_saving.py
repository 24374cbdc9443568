"""Models with a `ModuleLayer` are saved and loaded without the module, and go out as modules again."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from stem import STEM, stem_in_catalog

from slimhub.export import pipeline
from slimhub.export.request import ExportRequest
from slimhub.keras import ModuleLayer
from slimhub.signatures.checks.bounds import difference
from slimhub.signatures.module.module import Module

# Keras' own, of arrays that it saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def tuned(stem, tmp_path, classifier, fit):
    """A model that was fine-tuned, and the directory of its module, which may be removed."""
    directory = shutil.copytree(stem / "5", tmp_path / "module" / "5")
    layer = ModuleLayer(directory, trainable=True, endpoints=["InceptionV1/Conv2d_2c_3x3"])
    model = classifier(layer, keras.optimizers.Adam(1e-3))
    fit(model)
    return model, layer, directory


@pytest.mark.parametrize("is_there", [True, False], ids=["module", "no_module"])
def test_save_and_load(tuned, images, tmp_path, fit, is_there):
    """A saved model is loaded in the safe mode, gives the same, and trains on, whether the module is there or not."""
    model, layer, directory = tuned
    model.save(tmp_path / "model.keras")
    if not is_there:
        shutil.rmtree(directory)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(images(4, 32), verbose=0), model.predict(images(4, 32), verbose=0)
    )
    [copy] = [one for one in loaded.layers if isinstance(one, ModuleLayer)]
    assert copy.endpoints == layer.endpoints
    assert [one.path for one in copy.variables] == [one.path for one in layer.variables]
    assert fit(loaded, steps=1) == pytest.approx(fit(model, steps=1), rel=1e-4)


def test_clone_without_module(tuned, images):
    """A clone whose module is gone can't be used until it is given weights."""
    model, _, directory = tuned
    shutil.rmtree(directory)
    clone = keras.models.clone_model(model)
    for use in (clone, lambda images: clone.predict(images, verbose=0)):
        with pytest.raises(ValueError, match=str(directory)):
            use(images(4, 32))
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(
        clone.predict(images(4, 32), verbose=0), model.predict(images(4, 32), verbose=0)
    )


def test_save_weights(tuned, stem, images, tmp_path, classifier, fit):
    """Weights alone are saved and loaded, too."""
    model, _, _ = tuned
    model.save_weights(tmp_path / "model.weights.h5")
    layer = ModuleLayer(stem / "5", trainable=True, endpoints=["InceptionV1/Conv2d_2c_3x3"])
    other = classifier(layer, keras.optimizers.Adam(1e-3))
    # An optimizer has nothing to load into before its first step.
    fit(other, steps=1)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(
        other.predict(images(4, 32), verbose=0),
        model.predict(images(4, 32), verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_export(tuned, images, tmp_path):
    """`model.export` writes a SavedModel that needs neither Keras nor slimhub."""
    model, _, _ = tuned
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    assert (
        difference(loaded.serve(images(4, 32)).numpy(), model.predict(images(4, 32), verbose=0))
        <= 1e-5
    )


def test_hostile_model(tuned, tmp_path):
    """A model whose network has another operation, such as one that reads files, is refused."""
    model, layer, _ = tuned
    config = layer.get_config()
    found = layer._network
    node = found.inference.function.node_def.add(name="evil", op="ReadFile")
    node.input.append("images")
    config["network"] = found.to_config()
    with pytest.raises((TypeError, ValueError), match="ReadFile"):
        ModuleLayer.from_config(config)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        assert "ReadFile" not in json.dumps(file.read("config.json").decode())
    with pytest.raises((TypeError, ValueError), match="ReadFile"):
        keras.models.load_model(tmp_path / "model.keras")


@pytest.mark.parametrize("version", [1, 3, 4, 5])
def test_out_again(tuned, images, tmp_path, version):
    """What was tuned goes out as a module of any version, with the classes of its own head."""
    model, layer, _ = tuned
    layer.save_checkpoint(tmp_path / "tuned", head=model.layers[-1])
    with stem_in_catalog():
        request = ExportRequest(
            version=version,
            models=(STEM.name,),
            checkpoint=str(tmp_path / "tuned"),
            handle_prefix="me/tuned",
            output=tmp_path / "modules",
        )
        classification, features = pipeline.export(request)
    assert (classification.error, features.error, classification.num_classes) == (None, None, 3)
    # With fixed images in version 1.
    batch = images(2, 32)
    expected = {
        classification.directory: model.predict(batch, verbose=0),
        features.directory: layer(batch)["default"].numpy(),
    }
    for directory, output in expected.items():
        loaded = tf.saved_model.load(str(directory), tags=[] if version < 4 else None)
        if version >= 4:
            found = loaded(batch)
        else:
            [found] = loaded.signatures["default"](images=tf.constant(batch)).values()
        assert difference(found.numpy(), output) <= 1e-5
    module = Module(features.directory)
    for name in module.variables:
        np.testing.assert_array_equal(module.read_variable(name), layer._by_name[name].numpy())


def test_bad_head(tuned, family, tmp_path):
    """A head that doesn't fit is a ValueError, and so is one for a module that classifies; nothing is written."""
    _, layer, _ = tuned
    of_others = keras.layers.Dense(3)
    of_others.build((None, 7))
    without_bias = keras.layers.Dense(3, use_bias=False)
    without_bias.build((None, 192))
    good = keras.layers.Dense(3)
    good.build((None, 192))
    classifies = ModuleLayer(family(STEM.name, "classification", 5))
    for one, head in ((layer, of_others), (layer, without_bias), (classifies, good)):
        with pytest.raises(ValueError, match="head"):
            one.save_checkpoint(tmp_path / "tuned", head=head)
    assert list(tmp_path.glob("tuned*")) == []
