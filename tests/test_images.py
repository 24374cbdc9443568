"""signatures/images.py: what it says of images that a module does not take."""

import re
import warnings

import numpy as np
import pytest
import tensorflow as tf

from slimhub.signatures.images import ImagesError, check
from slimhub.signatures.module import Module

GOOD = np.linspace(0, 1, 2 * 32 * 32 * 3, dtype=np.float32).reshape(2, 32, 32, 3)

WRONG = {
    "bytes": ((GOOD * 255).astype(np.uint8), "the dtype is uint8: divide by 255, as float32"),
    "doubles": (GOOD.astype(np.float64), "the dtype is float64"),
    "one_image": (GOOD[0], "there are 3 dimensions, not 4: one image is a batch, too"),
    "flat": (GOOD.ravel(), "there are 1 dimensions, not 4"),
    "grey": (GOOD[..., :1], "there are 1 channels, not 3"),
    "empty": (GOOD[:, :0], "the size is 0 x 32, the smallest is 1 x 1"),
}


@pytest.fixture
def promise(stem):
    return lambda version: Module(stem / str(version)).provenance.promise()


@pytest.mark.parametrize("version", [1, 3, 5])
def test_good(promise, version, recwarn):
    """Of float32 images in [0, 1], of the size that a version takes, nothing is said."""
    check(GOOD, promise=promise(version))
    check(GOOD[:0], promise=promise(version))
    assert not recwarn.list


@pytest.mark.parametrize(("images", "says"), WRONG.values(), ids=WRONG)
def test_wrong(promise, images, says):
    """Whatever else the module would refuse is named, with what it takes."""
    with pytest.raises(ImagesError, match=rf"takes float32 \[\?, \?, \?, 3\], but:\n  {says}$"):
        check(images, promise=promise(5))


def test_everything_at_once(promise):
    """All that is wrong is told at once."""
    with pytest.raises(ImagesError) as error:
        check(np.zeros([2, 0, 5, 4], np.uint8), promise=promise(5))
    for says in ("uint8", "4 channels", "0 x 5"):
        assert says in str(error.value)


def test_fixed_size(promise):
    """Version 1 takes a single size; the others take any."""
    with pytest.raises(ImagesError, match="the size is 31 x 32, not 32 x 32"):
        check(GOOD[:, 1:], promise=promise(1))
    check(GOOD[:, 1:], promise=promise(3))


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
    """Values beyond [0, 1] are warned of: the module would take them."""
    with pytest.warns(UserWarning, match=re.escape(says)) as caught:
        check(images, promise=promise(5))
    [warning] = caught
    assert warning.filename == __file__


def test_tensor(promise):
    """A tensor is as good as an array."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(tf.constant(GOOD), promise=promise(5))
