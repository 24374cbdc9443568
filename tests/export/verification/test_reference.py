"""The images that modules are compared on."""

import numpy as np
import pytest
from stem import STEM, VGG_STEM, stem_in_catalog

from slimhub.export.checkpoints import synthetic
from slimhub.export.verification import reference
from slimhub.export.writers import slim_graph


@pytest.mark.parametrize("model", [STEM, VGG_STEM], ids=["any_size", "smallest_size"])
def test_images(model, tmp_path):
    """Each batch has a picture, whose neighboring pixels are alike, and all its other images are noise."""
    with stem_in_catalog():
        path = tmp_path / model.archive.member
        synthetic.write_checkpoint(synthetic.weights(model), path)
        definition = slim_graph.build_definition(
            model, version=3, num_classes=model.num_classes, training=False
        )
        names = {name: name for name in definition.variables}
        found = reference.run_reference(
            model, definition, checkpoint=path, names=names, into=tmp_path / "references"
        )
    batches = [one.images for one in found]
    assert len({batch.shape for batch in batches}) == len(batches) == 3
    for picture, *noise in batches:
        assert likeness(picture) > 0.7
        assert all(abs(likeness(image)) < 0.2 for image in noise)
    for batch in batches:
        assert batch.dtype == np.float32
        assert batch.min() >= 0
        assert batch.max() <= 1


def likeness(image):
    """Return the correlation of pixels with those beside them."""
    return np.corrcoef(image[:, :-1].ravel(), image[:, 1:].ravel())[0, 1]
