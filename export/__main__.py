"""Exports modules: a checkpoint in, checked modules out.

Exit codes: 0 done, 1 a check failed, 2 usage, 3 the checkpoint or its source,
4 the version exists, 5 the output can't be written. If several modules fail, the first counts.
"""

import contextlib
import re
import time
from pathlib import Path

from absl import flags

from slimhub.export import labels
from slimhub.export.errors import UsageError
from slimhub.export.request import AUTO, ExportRequest
from slimhub.models import catalog
from slimhub.signatures import command_line, contract

_VERSION = flags.DEFINE_string("version", None, "Version of the modules, as in their handles.")
_INTERFACE = flags.DEFINE_enum(
    "interface",
    None,
    [str(version) for version in contract.VERSIONS],
    "Version of the contract that they keep, in a series of your own. Left out: the version itself.",
)
_MODEL = flags.DEFINE_multi_enum(
    "model",
    catalog.names(),
    (*catalog.names(), AUTO),
    "May repeat. `auto`: the network that the checkpoint is of, by the scopes of its variables.",
)
_TASK = flags.DEFINE_multi_enum("task", contract.TASKS, contract.TASKS, "May repeat.")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "A V1 checkpoint file, the prefix of a V2 one, an archive, a directory with one of these, that of "
    "a training, whose newest is taken, the http(s) or file URL of an archive, or `synthetic`. Left "
    "out: the published archive.",
)
_SHA256 = flags.DEFINE_string(
    "sha256",
    None,
    "What the archive or the V1 file must have, in hexadecimal, or nothing is exported. For one model.",
)
_MOVING_AVERAGES = flags.DEFINE_bool(
    "moving_averages",
    False,
    "Export the moving averages that the training kept of the weights, in place of these.",
)
_LABELS = flags.DEFINE_string(
    "labels", None, "File that names the classes, one a line, or each as Slim does: `0:daisy`."
)
_OUTPUT = flags.DEFINE_string("output", "build/modules", "Root directory of modules.")
_HANDLE_PREFIX = flags.DEFINE_string(
    "handle_prefix", None, "Of the handles. Left out: that of each model."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a version that exists.")
_ARCHIVE = flags.DEFINE_bool("archive", False, "Write <version>.tar.gz beside each version.")
_ALLOW_UNUSED = flags.DEFINE_bool(
    "allow_unused", False, "Ignore variables of the checkpoint that nothing wants."
)
flags.mark_flag_as_required("version")
flags.register_validator("output", bool, "expected a directory")
flags.register_validator(
    "version",
    lambda text: text is None or re.fullmatch("[1-9][0-9]{0,9}", text),
    "expected a number, such as 3",
)
for _NAME in (
    "version",
    "interface",
    "checkpoint",
    "sha256",
    "labels",
    "output",
    "handle_prefix",
):
    # Given twice, one of the values would be passed over.
    flags.FLAGS[_NAME].allow_overwrite = False


def main(arguments: list[str]) -> int:
    if arguments:
        command_line.complain(f"Arguments that no flag takes: {' '.join(arguments)}")
        return command_line.USAGE
    try:
        request = ExportRequest(
            version=int(_VERSION.value),
            interface=_INTERFACE.value and int(_INTERFACE.value),
            models=tuple(dict.fromkeys(_MODEL.value)),
            tasks=tuple(dict.fromkeys(_TASK.value)),
            checkpoint=_CHECKPOINT.value,
            labels=None if _LABELS.value is None else labels.read(_LABELS.value),
            sha256=_SHA256.value and _SHA256.value.lower(),
            moving_averages=_MOVING_AVERAGES.value,
            output=Path(_OUTPUT.value),
            handle_prefix=_HANDLE_PREFIX.value,
            overwrite=_OVERWRITE.value,
            archive=_ARCHIVE.value,
            allow_unused=_ALLOW_UNUSED.value,
        )
    except UsageError as error:
        command_line.complain(str(error))
        return error.exit_code
    # These import TensorFlow, which flags that make no sense need not wait for.
    began = time.monotonic()
    with command_line.quiet_imports():
        from slimhub.export import exporter, half, report, worker

    importing = time.monotonic() - began
    with contextlib.closing(worker.Worker(half.Half(training=True))) as other:
        outcomes = exporter.export(request, other=other)
        as_json = command_line.JSON.value
        done = report.show(request, outcomes, as_json=as_json, importing=importing)
    return report.exit_code(done)


def run() -> None:
    command_line.run(main)


if __name__ == "__main__":
    run()
