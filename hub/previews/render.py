"""Run a module on the sample image, and render its preview."""

import io
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from slimhub.hub.previews import pictures, sample_image
from slimhub.signatures.checks import conformance
from slimhub.signatures.checks.module_under_test import ModuleUnderTest
from slimhub.signatures.checks.report import OnResult
from slimhub.signatures.module import execution
from slimhub.signatures.module.directory import UnreadableError
from slimhub.signatures.module.module import Module
from slimhub.support.printable import printable

# End points of a network that have pictures: as many as a reader looks through.
MOST_PICTURES = 24
# Only the first layer reads RGB.
_FIRST_KERNEL = re.compile(r"float32 \[\d+, \d+, 3, \d+\]")
# A separable convolution has two kernels, in this order.
_DEPTHWISE, _POINTWISE = "/depthwise_weights", "/pointwise_weights"


def render(directory: Path, *, on_result: OnResult = lambda result: None) -> dict[str, bytes]:
    """Render the preview of a module, which is run only after the checks of its graphs have passed.

    Args:
      directory: may be anything; use `isolated.run` for those from strangers.
      on_result: called with each check that comes before, when it begins, and with its result.

    Returns:
      Files by name: pictures (PNG), and preview.json, which has the shapes of the sample image, of the
      first kernel, and of the end points, in the network's order, each with the name of its picture,
      or null. The same module gives the same bytes.

    Raises:
      UnreadableError: the module can't be run; says why, in a line.
    """
    try:
        module = Module(directory)
        report = conformance.check_static(module, on_result=on_result)
        if not report.may_run:
            first = report.failed[0]
            raise UnreadableError(f"{first.id}: {first.problems[0]}")
        with ModuleUnderTest(module) as subject:
            return _render(subject)
    except UnreadableError:
        raise
    except Exception as error:  # A module may be broken in ways that no check foresees.
        raise UnreadableError(execution.describe(error)) from error


def _render(subject: ModuleUnderTest) -> dict[str, bytes]:
    network, kernel = subject.promise.network, first_kernel(subject.module)
    image = sample_image.draw(*network.image_size)
    [mode] = [mode for mode in subject.modes if not mode.training]
    outputs = subject.run(mode).run(np.asarray(image, np.float32)[np.newaxis] / 255)
    every = max(outputs.values(), key=len)
    # Blocks come before their layers, whose names begin with theirs.
    shown = sorted(network.end_points, key=lambda key: key.count("/"))[:MOST_PICTURES]
    files = {"sample_image.png": _png(image), "filters.png": _png(pictures.filters(kernel))}
    end_points = []
    for index, key in enumerate(network.end_points):
        values = every[key]
        picture = f"{index:02}.png" if key in shown else None
        end_points.append({"key": key, "shape": values.shape, "picture": picture})
        if picture:
            files[picture] = _png(pictures.activation(values[0]))
    record = {
        "image_size": network.image_size,
        "filters_shape": kernel.shape,
        "end_points": end_points,
    }
    return {**files, "preview.json": json.dumps(record, indent=2).encode()}


def first_kernel(module: Module) -> np.ndarray:
    """Return the kernel of the layer that reads the images, float32 `[height, width, 3, filters]`.

    Of a separable convolution, it is the kernel that does the same in one step.

    Raises:
      UnreadableError: there is not exactly one kernel of three input channels.
    """
    names = sorted(name for name, type in module.variables.items() if _FIRST_KERNEL.fullmatch(type))
    if len(names) != 1:
        raise UnreadableError(
            "variables: expected one kernel of three input channels, float32 [?, ?, 3, ?], "
            f"got {', '.join(map(printable, names)) or 'none'}"
        )
    kernel = module.read_variable(names[0])
    if not names[0].endswith(_DEPTHWISE):
        return kernel
    pointwise = module.read_variable(names[0].removesuffix(_DEPTHWISE) + _POINTWISE)
    _, _, channels, multiplier = kernel.shape
    return np.einsum("hwcm,cmk->hwck", kernel, pointwise.reshape(channels, multiplier, -1))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
