"""The records of all networks."""

import re
import subprocess
import sys

import pytest

from slimhub.models import catalog


def test_names():
    """Models are listed by family, the first published one first, each once, and found by their names."""
    assert catalog.names() == (
        *("inception_v1", "inception_v2", "inception_v3"),
        *("resnet_v1_50", "resnet_v1_101", "resnet_v1_152"),
        *("resnet_v2_50", "resnet_v2_101", "resnet_v2_152"),
        *("vgg_16", "vgg_19"),
    )
    assert tuple(map(catalog.get, catalog.names())) == catalog.MODELS
    with pytest.raises(KeyError, match="inception_v9"):
        catalog.get("inception_v9")


@pytest.mark.parametrize("model", catalog.MODELS, ids=catalog.names())
def test_archive(model):
    """A published archive has a full sum if one is known, secure places, and room for its member."""
    archive = model.archive
    date = "2017_04_14" if model.name.startswith("resnet_v2_") else "2016_08_28"
    assert archive.name == f"{model.name}_{date}.tar.gz"
    assert archive.member == f"{model.name}.ckpt"
    assert archive.sha256 is None or re.fullmatch("[0-9a-f]{64}", archive.sha256)
    assert archive.urls
    for url in archive.urls:
        assert url.startswith("https://")
        assert url.endswith(f"/{archive.name}")
    # Weights hardly get smaller; the known ones by 7 %.
    assert (archive.num_bytes or 0) < archive.max_member_bytes


def test_handle_prefixes():
    """Only what Google made modules from has handles that begin as Google's do."""
    for model in catalog.MODELS:
        publisher = "google" if model.name.startswith(("inception_", "resnet_v2_")) else "slim"
        assert model.handle_prefix == f"{publisher}/imagenet"


def test_imports_without_tensorflow():
    """The catalog can be read without the seconds that importing TensorFlow takes."""
    code = "import sys; import slimhub.models.catalog; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
