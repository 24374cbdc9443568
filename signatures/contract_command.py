"""Infer the contract of a module's network, and print it as JSON: a file for slimhub-check --contract.

Usage: slimhub-contract [flags] MODULE > FILE    (or: python -m slimhub.signatures.contract_command)

MODULE is a directory, or an archive whose root is the module, of either format and by anybody. It is
loaded and run, in a process of its own with bounded time and memory, after its operations were found
to be harmless.

What a module does not tell is noted on standard error, with what stands in the file instead. So
review the file: it says what the module is, not what it should be.

Exit codes: 0 done, 1 no contract can be inferred, 2 usage, 5 standard output can't be written, or
there is no temporary directory.

Example: slimhub-contract build/modules/google/imagenet/inception_v2/classification/3
"""

import re
from pathlib import Path

from absl import flags

from slimhub.signatures.contract.contract import TASKS
from slimhub.support import terminal

_IMAGE_SIZE = flags.DEFINE_string(
    "image_size",
    None,
    "Default height and width of images, as in 299x299, of a module that takes any and names none. "
    "Heights and widths of end points are those for such images.",
)
_TASK = flags.DEFINE_enum(
    "task", None, TASKS, "What the only output is, if no name in the module tells."
)
_TIMEOUT = flags.DEFINE_integer(
    "timeout", 600, "Seconds that it may take at most.", lower_bound=0, upper_bound=86_400
)


def main(modules: list[str]) -> int:
    if len(modules) != 1:
        terminal.complain(f"Expected one module, got {len(modules)}. --help lists the flags.")
        return terminal.USAGE
    size = re.fullmatch("([1-9][0-9]{0,3})x([1-9][0-9]{0,3})", _IMAGE_SIZE.value or "1x1")
    if size is None:
        terminal.complain(f"--image_size: expected 299x299, got {_IMAGE_SIZE.value}")
        return terminal.USAGE
    # Imports TensorFlow, which flags that make no sense need not wait for.
    with terminal.quiet_imports():
        from slimhub.signatures.isolation import inferring
        from slimhub.signatures.module.directory import UnreadableError

    [module] = modules
    image_size = (int(size[1]), int(size[2])) if _IMAGE_SIZE.value else None
    try:
        inferred = inferring.infer_contract(
            Path(module), timeout=_TIMEOUT.value, image_size=image_size, task=_TASK.value
        )
    except UnreadableError as error:
        terminal.complain(f"{module}: no contract can be inferred: {error}")
        return 1
    except OSError as error:
        terminal.complain(f"There is no temporary directory (TMPDIR chooses one): {error}")
        return terminal.UNWRITABLE
    for doubt in inferred.doubts:
        terminal.complain(doubt)
    terminal.show(inferred.network.to_json().removesuffix("\n"))
    return 0


def run() -> None:
    terminal.run(main, takes_paths=True)


if __name__ == "__main__":
    run()
