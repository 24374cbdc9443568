"""models/catalog.py: the records."""

import dataclasses
import re
import subprocess
import sys

import pytest

from slimhub.models import catalog


@pytest.fixture(params=catalog.MODELS, ids=catalog.names())
def model(request):
    return request.param


def test_order():
    """Models are listed with the first published one first."""
    assert catalog.names() == (
        *("inception_v1", "inception_v2", "inception_v3"),
        *("resnet_v1_50", "resnet_v1_101", "resnet_v1_152"),
        *("vgg_16", "vgg_19"),
    )


def test_get(model):
    """A model is found by its name."""
    assert catalog.get(model.name) is model


def test_get_unknown():
    """An unknown name is a KeyError."""
    with pytest.raises(KeyError, match="inception_v9"):
        catalog.get("inception_v9")


def test_duplicate_name(model):
    """Two records of one name are refused."""
    with pytest.raises(ValueError, match="twice"):
        catalog._by_name((model, dataclasses.replace(model, title="Another")))


def test_frozen(model):
    """A record can't be changed."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.num_features = 1


def test_archive(model):
    """A published archive has a full sum if one is known, secure places, and room for its member."""
    archive = model.archive
    assert archive.name == f"{model.name}_2016_08_28.tar.gz"
    assert archive.member == f"{model.name}.ckpt"
    if archive.sha256 is not None:
        assert re.fullmatch("[0-9a-f]{64}", archive.sha256)
    assert archive.urls
    for url in archive.urls:
        assert url.startswith("https://")
        assert url.endswith(f"/{archive.name}")
    # Weights hardly get smaller; the known ones by 7 %.
    assert (archive.num_bytes or 0) < archive.max_member_bytes


def test_imports_without_tensorflow():
    """The catalog can be read without the seconds that importing TensorFlow takes."""
    code = "import sys; import slimhub.models.catalog; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_handle_prefixes():
    """Only what Google made modules from has handles that begin as Google's do."""
    for model in catalog.MODELS:
        published = "Google made the modules of that name from them" in model.origin
        assert model.handle_prefix == ("google/imagenet" if published else "slim/imagenet")
