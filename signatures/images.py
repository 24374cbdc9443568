"""Tells what is wrong with a batch of images before a module gets it.

A module can't: TensorFlow refuses a wrong dtype or shape in its own words, and takes values of any
range in silence.
"""

import warnings

import numpy as np

from slimhub.signatures import contract


class ImagesError(ValueError):
    """Images that a module does not take; the message names everything that is wrong."""


def check(images: np.ndarray, *, promise: contract.Promise) -> None:
    """Checks what is about to be given to a module.

    Args:
      images: anything that NumPy takes for an array; a module takes float32
        `[batch, height, width, 3]`, RGB in [0, 1].
      promise: what the module promises, as in `Module(directory).provenance.promise()`.

    Raises:
      ImagesError: dtype, rank, number of channels, height or width are not what it takes.

    Warns:
      UserWarning: values are not in [0, 1], so it will not see what it was trained on.
    """
    images = np.asarray(images)
    problems = list(_problems(images, promise))
    if problems:
        raise ImagesError("\n  ".join([f"The module takes {promise.images.type}, but:", *problems]))
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        hint = " Divide them by 255?" if 1 < images.max() <= 255 and images.min() >= 0 else ""
        warnings.warn(
            f"Images have values from {images.min():g} to {images.max():g}; expected [0, 1].{hint}",
            stacklevel=2,
        )


def _problems(images: np.ndarray, promise: contract.Promise):
    if images.dtype != promise.images.dtype:
        hint = ": divide by 255, as float32" if images.dtype == np.uint8 else ""
        yield f"the dtype is {images.dtype}{hint}"
    if images.ndim != 4:
        hint = ": one image is a batch, too" if images.ndim == 3 else ""
        yield f"there are {images.ndim} dimensions, not 4{hint}"
        return
    _, *size, channels = images.shape
    if channels != 3:
        yield f"there are {channels} channels, not 3"
    fixed = promise.images.shape[1:3]
    smallest = promise.interface.min_image_size
    if None not in fixed and tuple(size) != fixed:
        yield f"the size is {size[0]} x {size[1]}, not {fixed[0]} x {fixed[1]}"
    elif any(side < least for side, least in zip(size, smallest, strict=True)):
        yield f"the size is {size[0]} x {size[1]}, the smallest is {smallest[0]} x {smallest[1]}"
