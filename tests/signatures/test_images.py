"""Images that a module does not take are refused before it gets them."""

import re

import numpy as np
import pytest
import tensorflow as tf
from stem import STEM, VGG_STEM

from slimhub.signatures.images import ImagesError, check
from slimhub.signatures.module.module import Module

GOOD = np.linspace(0, 1, 2 * 32 * 32 * 3, dtype=np.float32).reshape(2, 32, 32, 3)
VGG = VGG_STEM.name

# Network and version, images, and what is wrong with them.
WRONG = {
    "bytes": (5, (GOOD * 255).astype(np.uint8), "the dtype is uint8: divide by 255, as float32"),
    "doubles": (5, GOOD.astype(np.float64), "the dtype is float64"),
    "one_image": (5, GOOD[0], "there are 3 dimensions, not 4: one image is a batch, too"),
    "flat": (5, GOOD.ravel(), "there are 1 dimensions, not 4"),
    "grey": (5, GOOD[..., :1], "there are 1 channels, not 3"),
    "empty": (5, GOOD[:, :0], "the size is 0 x 32, the smallest is 1 x 1"),
    "another_size": (1, GOOD[:, 1:], "the size is 31 x 32, not 32 x 32"),
    "everything": (
        5,
        np.zeros([2, 0, 5, 4], np.uint8),
        "the dtype is uint8: divide by 255, as float32\n"
        "  there are 4 channels, not 3\n"
        "  the size is 0 x 5, the smallest is 1 x 1",
    ),
}


@pytest.fixture
def promise(family):
    def get(version, name=STEM.name):
        return Module(family(name, "feature_vector", version)).provenance.promise()

    return get


@pytest.mark.parametrize("version", [1, 3, 4, 5])
@pytest.mark.parametrize("images", [GOOD, GOOD[:0], tf.constant(GOOD)])
def test_good(promise, version, images, recwarn):
    """Arrays and tensors of float32 in [0, 1], of the size that a version takes, are accepted."""
    check(images, promise=promise(version))
    assert not recwarn.list


@pytest.mark.parametrize(("version", "images", "problems"), WRONG.values(), ids=WRONG)
def test_wrong(promise, version, images, problems):
    """Everything that the module would refuse is named, with what it takes."""
    takes = promise(version).images.type
    with pytest.raises(ImagesError) as error:
        check(images, promise=promise(version))
    assert str(error.value) == f"The module takes {takes}, but:\n  {problems}"


@pytest.mark.parametrize("size", [(27, 28), (28, 27), (1, 1)])
def test_small_images(promise, size):
    """Images smaller than the network's smallest are refused; larger ones of any size are not."""
    with pytest.raises(ImagesError):
        check(np.zeros([1, *size, 3], np.float32), promise=promise(3, VGG))
    check(np.zeros([1, 28, 29, 3], np.float32), promise=promise(3, VGG))


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (GOOD * 255, "from 0 to 255; expected [0, 1]. Divide them by 255?"),
        (GOOD * 2 - 1, "from -1 to 1; expected [0, 1]."),
        (np.full_like(GOOD, np.nan), "from nan to nan"),
    ],
    ids=["bytes", "rescaled", "nan"],
)
def test_range(promise, images, says):
    """The caller is warned of values beyond [0, 1]: the module would take them."""
    with pytest.warns(UserWarning, match=re.escape(says)) as caught:
        check(images, promise=promise(5))
    [warning] = caught
    assert warning.filename == __file__
