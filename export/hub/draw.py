"""Runs a module on the scene, and draws its portrait."""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from slimhub.export.hub import pixels, png, portrait, scene
from slimhub.export.hub.portrait import EndPoint, Filters, Portrait
from slimhub.signatures import conformance, running
from slimhub.signatures.directory import UnreadableError
from slimhub.signatures.interface import tensor_type
from slimhub.signatures.module import Module
from slimhub.signatures.printable import printable
from slimhub.signatures.subject import Subject

# The one that gives all end points, for either task.
_SIGNATURE = "image_feature_vector"
# End points with pictures, at most: as many as a page can have and still be looked through. Of the
# networks that have more, some of each part are drawn.
MOST_DRAWN = 24
# Of all layers, only the first reads RGB.
_FIRST_KERNEL = re.compile(r"float32 \[\d+, \d+, 3, \d+\]")
# A separable convolution has two kernels, in this order.
_DEPTHWISE, _POINTWISE = "/depthwise_weights", "/pointwise_weights"


def draw(directory: Path, *, note: conformance.Note = lambda result: None) -> dict[str, bytes]:
    """Draws a module, which is run only if it is known to be harmless.

    Args:
      directory: may be anything; see `isolated.run` for those from strangers.
      note: is told of each check that comes before, when it begins, and of its result.

    Returns:
      The pictures and the record, by the names of their files; the record last.

    Raises:
      UnreadableError: it can't be drawn; says why, in a line.
    """
    try:
        with Subject(Module(directory), training=False) as subject:
            _admit(subject, note)
            return _portray(subject)
    except UnreadableError:
        raise
    except Exception as error:  # A module may be broken in ways that no check foresees.
        raise UnreadableError(running.describe(error)) from error


def _admit(subject: Subject, note: conformance.Note) -> None:
    results = conformance.check_graphs(subject, note=note)
    if not conformance.may_run(results):
        first = next(result for result in results if result.status == "failed")
        raise UnreadableError(f"{first.id}: {first.problems[0]}")


def _portray(subject: Subject) -> dict[str, bytes]:
    image = scene.draw(*subject.promise.interface.image_size)
    variable, kernel = first_kernel(subject.module)
    activations = _activations(subject, image)
    chosen = choose(activations)
    record = Portrait(
        image_size=image.shape[:2],
        picture="picture.png",
        filters=Filters(variable=variable, shape=kernel.shape, picture="filters.png"),
        end_points=tuple(
            EndPoint(
                key=key, shape=array.shape, picture=f"{index:02}.png" if key in chosen else None
            )
            for index, (key, array) in enumerate(activations.items())
        ),
    )
    drawn = [
        np.round(255 * image).astype(np.uint8),
        pixels.filters(kernel),
        *(_end_point(array) for key, array in activations.items() if key in chosen),
    ]
    files = dict(zip(record.pictures, map(png.encode, drawn), strict=True))
    return {**files, portrait.RECORD: record.to_json().encode()}


def choose(keys: Iterable[str], *, most: int = MOST_DRAWN) -> set[str]:
    """The end points that are drawn: the outermost of the network first, as their keys are nested.

    Of those of one depth that are too many, the chosen are spread evenly.

    Args:
      keys: in the network's order.
      most: how many are chosen.
    """
    chosen: set[str] = set()
    for _, level in itertools.groupby(sorted(keys, key=_depth), key=_depth):
        level = list(level)
        room = min(len(level), most - len(chosen))
        places = np.linspace(0, len(level) - 1, room).round().astype(int)
        chosen.update(level[place] for place in places)
    return chosen


def _depth(key: str) -> int:
    return key.count("/")


def first_kernel(module: Module) -> tuple[str, np.ndarray]:
    """The kernel of the layer that reads the images, the only one with three input channels.

    Returns:
      Its name on disk, and float32 `[height, width, 3, filters]`: of a separable convolution, the
      name of the depthwise kernel, and the kernel that does the same in one step.

    Raises:
      UnreadableError: there is no such kernel, or more than one.
    """
    found = sorted(name for name, type in module.variables.items() if _FIRST_KERNEL.fullmatch(type))
    if len(found) != 1:
        raise UnreadableError(
            "variables: expected one kernel of three input channels, float32 [?, ?, 3, ?], "
            f"got {', '.join(map(printable, found)) or 'none'}"
        )
    [name] = found
    kernel = module.read_variable(name)
    if not name.endswith(_DEPTHWISE):
        return name, kernel
    pointwise = module.read_variable(name.removesuffix(_DEPTHWISE) + _POINTWISE)
    _, _, channels, multiplier = kernel.shape
    mixed = pointwise.reshape(channels, multiplier, -1)
    return name, np.einsum("hwcm,cmk->hwck", kernel, mixed)


def _activations(subject: Subject, image: np.ndarray) -> dict[str, np.ndarray]:
    """What comes out at each end point, float32 `[1, height, width, channels]`, in the network's order."""
    [mode] = subject.modes
    outputs = subject.run(mode).run(image[np.newaxis])[_SIGNATURE]
    activations = {key: outputs[key] for key in subject.promise.interface.end_points}
    for key, array in activations.items():
        if array.dtype != np.float32 or array.ndim != 4 or len(array) != 1 or not array.size:
            found = tensor_type(array.dtype.name, array.shape)
            raise UnreadableError(f"{printable(key)}: expected float32 [1, ?, ?, ?], got {found}")
    return activations


def _end_point(activation: np.ndarray) -> np.ndarray:
    _, height, width, _ = activation.shape
    if height == width == 1:
        return pixels.feature_vector(activation[0, 0, 0])
    return pixels.feature_map(activation[0])
