"""Check a batch of images before a module takes it.

The module can't do this well: TensorFlow's errors for a wrong dtype or shape are hard to read, and it
accepts values of any range without a warning.
"""

import warnings

import numpy as np

from slimhub.signatures.contract import contract


class ImagesError(ValueError):
    """An error for images that a module doesn't take. The message names everything that is wrong."""


def check(images: np.ndarray, *, promise: contract.Contract) -> None:
    """Check whether a module takes these images.

    Args:
      images: anything that NumPy can convert to an array; a module takes float32
        `[batch, height, width, 3]`, RGB in [0, 1].
      promise: the module's contract, `Module(directory).promise()`.

    Raises:
      ImagesError: the dtype, rank, number of channels, height or width is wrong.

    Warns:
      UserWarning: values are outside [0, 1], unlike those that the network was trained on.
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


def _problems(images: np.ndarray, promise: contract.Contract):
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
    smallest = promise.network.min_image_size
    if None not in fixed and tuple(size) != fixed:
        yield f"the size is {size[0]} x {size[1]}, not {fixed[0]} x {fixed[1]}"
    elif any(side < least for side, least in zip(size, smallest, strict=True)):
        yield f"the size is {size[0]} x {size[1]}, the smallest is {smallest[0]} x {smallest[1]}"
