"""Export TF-Slim checkpoints as TF Hub modules, and check each module before it is published.

Usage: slimhub-export --version=VERSION [flags]    (or: python -m slimhub.export)
       slimhub-export --handle=HANDLE [flags]

Every module goes to <output>/<handle>, such as
build/modules/google/imagenet/inception_v2/classification/3.

Everything runs on the CPU, on purpose: GPUs may compute with fewer bits, and sum in any order.

Exit codes: 0 done, 1 a check failed, 2 usage, 3 the checkpoint or its source, 4 the version exists,
5 the output can't be written. If several modules fail, the first one counts.

Example: slimhub-export --version=3 --model=inception_v2 --checkpoint=inception_v2.ckpt
"""

import functools
import importlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from absl import flags, logging

from slimhub.export import class_names
from slimhub.export.errors import UsageError
from slimhub.export.request import AUTO, ExportRequest
from slimhub.models import catalog
from slimhub.signatures.contract import contract
from slimhub.support import terminal


class _HubCacheParser(flags.ArgumentParser):
    """A parser of a path that may be left out, for the path of the environment; absl says `true` then."""

    def parse(self, argument: str) -> str | None:
        return {"true": "", "false": None}.get(argument, terminal.expand(argument))


_VERSION = flags.DEFINE_string(
    "version", None, "Version of the modules, the last part of their handles."
)
_HANDLE = flags.DEFINE_string(
    "handle",
    None,
    "Handle of the one module to export, such as google/imagenet/inception_v1/feature_vector/4, or its URL "
    "on tfhub.dev. It stands for --version, --model, --task and --handle_prefix.",
)
_CONTRACT = flags.DEFINE_enum(
    "contract",
    None,
    [str(version) for version in contract.VERSIONS],
    "Version of the contract that modules of your own series keep. If left out, it is --version.",
)
_INTERFACE = flags.DEFINE_enum(
    "interface",
    None,
    [str(version) for version in contract.VERSIONS],
    "The old name of --contract.",
)
_MODEL = flags.DEFINE_multi_enum(
    "model",
    catalog.names(),
    (*catalog.names(), AUTO),
    "Network to export. May be repeated. `auto` recognizes the network by the scopes of the variables.",
)
_TASK = flags.DEFINE_multi_enum(
    "task", contract.TASKS, contract.TASKS, "Task to export modules for. May be repeated."
)
_CHECKPOINT = flags.DEFINE(
    terminal.PathParser(),
    "checkpoint",
    None,
    "Weights to export: a V1 checkpoint file, the prefix of a V2 checkpoint, a .tar.gz with a V1 file, "
    "a directory that holds one of these, a module, a training directory (the newest checkpoint is taken), the "
    "http(s) or file URL of a .tar.gz, or `synthetic` (untrained weights). If left out, the published "
    "archive is downloaded.",
)
_SHA256 = flags.DEFINE_string(
    "sha256",
    None,
    "Expected SHA-256 (hex) of the archive or V1 checkpoint. The export fails if it differs. It needs a "
    "single --model.",
)
_MOVING_AVERAGES = flags.DEFINE_bool(
    "moving_averages",
    False,
    "Export the moving averages of the weights, which the training kept, instead of the weights.",
)
_LABELS = flags.DEFINE(
    terminal.PathParser(),
    "labels",
    None,
    "File with the names of the classes, one a line, or numbered as TF-Slim does: `0:daisy`.",
)
_OUTPUT = flags.DEFINE(
    terminal.PathParser(), "output", "build/modules", "Directory to write modules below."
)
_HANDLE_PREFIX = flags.DEFINE_string(
    "handle_prefix",
    None,
    "First part of the handles, such as me/flowers. If left out, each network has its own.",
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace versions that exist.")
_ARCHIVE = flags.DEFINE_bool("archive", False, "Write <version>.tar.gz beside each version, too.")
_HUB_CACHE = flags.DEFINE_flag(
    flags.Flag(
        _HubCacheParser(),
        None,
        "hub-cache",
        None,
        "Also put each module where tensorflow_hub looks for its URL on tfhub.dev, so that code with that "
        "URL finds it. --hub-cache=DIR is for programs that run with TFHUB_CACHE_DIR=DIR.",
        boolean=True,
    )
)
_ALLOW_UNUSED = flags.DEFINE_bool(
    "allow_unused", False, "Ignore variables of the checkpoint that the network does not have."
)
# What a handle says, too.
_NAMED_BY_HANDLE = ("version", "model", "task", "handle_prefix")
flags.register_validator("output", bool, "expected a directory")
flags.register_validator(
    "version",
    lambda text: text is None or re.fullmatch("[1-9][0-9]{0,9}", text),
    "expected a number, such as 3",
)
for _FLAG in flags.FLAGS.get_flags_for_module(__name__):
    if not _FLAG.boolean and not isinstance(_FLAG, flags.MultiFlag):
        # Given twice, one of the values would be passed over.
        _FLAG.allow_overwrite = False


def main(arguments: list[str]) -> int:
    if arguments:
        terminal.complain(f"Arguments that no flag takes: {' '.join(arguments)}")
        return terminal.USAGE
    try:
        request = _which()(
            contract=_contract(),
            checkpoint=_CHECKPOINT.value,
            labels=None if _LABELS.value is None else class_names.read(_LABELS.value),
            sha256=_SHA256.value and _SHA256.value.lower(),
            moving_averages=_MOVING_AVERAGES.value,
            output=Path(_OUTPUT.value),
            overwrite=_OVERWRITE.value,
            archive=_ARCHIVE.value,
            hub_cache=_HUB_CACHE.value is not None,
            allow_unused=_ALLOW_UNUSED.value,
        )
    except UsageError as error:
        terminal.complain(str(error))
        return error.exit_code
    if _HUB_CACHE.value:
        os.environ["TFHUB_CACHE_DIR"] = _HUB_CACHE.value
    # These import TensorFlow, which flags that make no sense need not wait for.
    began = time.monotonic()
    try:
        with terminal.quiet_imports():
            from slimhub.export import pipeline, report
            from slimhub.export.verification import processes

            if request.hub_cache:
                importlib.import_module("slimhub.export.publishing.hub_cache")
    except ModuleNotFoundError as error:
        extras = "export,hub-cache" if request.hub_cache else "export"
        terminal.complain(f"{error}: pip install 'slimhub[{extras}]' installs what it needs.")
        return terminal.USAGE

    importing = time.monotonic() - began
    with processes.ForkedProcess() as executor:
        outcomes = pipeline.export(request, executor=executor)
        done = report.show(
            request,
            outcomes,
            as_json=terminal.JSON.value,
            importing=importing,
            verbose=flags.FLAGS.verbosity >= logging.INFO,
        )
    return report.exit_code(done)


def _which() -> Callable[..., ExportRequest]:
    """Return what makes the request for the modules that are asked for. Raise `UsageError`."""
    named = [name for name in _NAMED_BY_HANDLE if flags.FLAGS[name].present]
    if _HANDLE.value is not None:
        if named:
            raise UsageError(f"--handle says what --{named[0]} does: leave one of them out.")
        return functools.partial(ExportRequest.for_handle, _HANDLE.value)
    if _VERSION.value is None:
        raise UsageError("Expected --version or --handle.")
    return functools.partial(
        ExportRequest,
        version=int(_VERSION.value),
        models=tuple(dict.fromkeys(_MODEL.value)),
        tasks=tuple(dict.fromkeys(_TASK.value)),
        handle_prefix=_HANDLE_PREFIX.value,
    )


def _contract() -> int | None:
    """Return the version of the contract, by the flag's new name or its old one. Raise `UsageError`."""
    given = _CONTRACT.value or _INTERFACE.value
    if _INTERFACE.value is not None:
        if _CONTRACT.value is not None:
            raise UsageError("--interface is the old name of --contract: leave it out.")
        terminal.complain("--interface is now called --contract; the old name still works.")
    return None if given is None else int(given)


def run() -> None:
    terminal.run(main, takes_json=True)


if __name__ == "__main__":
    run()
