"""Both command lines print tables, JSON and errors, each where it belongs, and nothing of TensorFlow's."""

import contextlib
import functools
import json
import os
import pty
import re
import signal
import subprocess
import sys

import program
import pytest
from homeless import without_home
from stem import KNOWING_STEMS

from slimhub.export.verification import verify
from slimhub.export.writers import tf1_hub

RED = "\x1b[31m"
STEM = "google/imagenet/stem/feature_vector/3"
CHECK = [sys.executable, "-m", "slimhub.signatures"]
EXPORT = [sys.executable, "-m", "slimhub.export"]


def environment(**changes):
    """Without what this session, or whoever started it, sets for TensorFlow and for terminals."""
    names = ("TF_CPP_MIN_LOG_LEVEL", "NO_COLOR", "FORCE_COLOR", "TERM")
    inherited = {key: value for key, value in os.environ.items() if key not in names}
    return inherited | KNOWING_STEMS | changes


def on_terminal(*arguments, **changes) -> str:
    """Return the output of a failing command line on a terminal."""
    ours, theirs = pty.openpty()
    env = environment(TERM="xterm", **changes)
    subprocess.run([*EXPORT, *arguments], stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    said = b""
    # Linux has a terminal that nobody writes to any more end with an error.
    try:
        while chunk := os.read(ours, 1 << 16):
            said += chunk
    except OSError:
        pass
    os.close(ours)
    return said.decode()


def test_errors_on_a_terminal():
    """On a terminal, an error is red, unless that is not wanted; elsewhere it has no colour."""
    said = on_terminal("--version=2")
    assert f"{RED}--version=2: expected 1 or 3 or 4 or 5" in said
    assert "\x1b" not in on_terminal("--version=2", NO_COLOR="1")
    done = subprocess.run([*EXPORT, "--version=2"], capture_output=True, env=environment())
    assert b"--version=2: expected" in done.stderr
    assert b"\x1b" not in done.stderr + done.stdout


def test_quiet(stem):
    """TensorFlow is silent; the table is all there is, on standard output."""
    done = subprocess.run(
        [*CHECK, stem / "3"], capture_output=True, text=True, env=environment(), cwd=stem
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "operations" in done.stdout


def test_verbosity(stem):
    """With --verbosity=0, TensorFlow tells what it does, on standard error."""
    done = subprocess.run(
        [*CHECK, "--verbosity=0", "--json", stem / "3"],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=stem,
    )
    assert done.returncode == 0
    assert "This TensorFlow binary is optimized" in done.stderr
    assert json.loads(done.stdout)[0]["ok"]


IMPORTING = """
import sys
from absl import flags
from slimhub.support import terminal

flags.FLAGS(sys.argv)
with terminal.quiet_imports():
    print("a library: no such GPU", file=sys.stderr)
    {}
print("an error", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("statement", "said"),
    [("pass", "an error\n"), ("sys.exit('stopped')", "stopped\n")],
    ids=["done", "failed"],
)
def test_imports(statement, said):
    """Messages of libraries that are imported are not shown, unlike the error if that fails."""
    command = [sys.executable, "-c", IMPORTING.format(statement), "--verbosity=-2"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.stderr == said


@pytest.fixture
def cwd(tmp_path):
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def test_json(cwd):
    """The JSON report of an export tells where each module is, and its figures."""
    done = program.run(
        *program.STEM_ONLY, "--version=3", "--checkpoint=synthetic", "--json", cwd=cwd
    )
    report = json.loads(done.stdout)
    [found] = report["modules"]
    assert (done.code, report["exit_code"], done.stderr) == (0, 0, "")
    assert report["importing"] >= 0
    stages = found.pop("stages")
    assert list(stages) == ["building", "writing", "checking", "publishing"]
    assert min(stages.values()) > 0
    assert found.pop("seconds") == pytest.approx(sum(stages.values()), abs=0.01)
    assert 0 <= found.pop("parity") <= 1e-5
    files = (path for path in (cwd / "modules" / STEM).rglob("*") if path.is_file())
    assert found == {
        "handle": STEM,
        "directory": f"modules/{STEM}",
        "archive": None,
        "hub_cache": None,
        "weights": "UNTRAINED: synthetic weights, for tests and demonstrations only",
        "signatures": [
            "default",
            "image_feature_vector",
            "image_feature_vector_with_bn_hparams",
        ],
        "num_bytes": sum(path.stat().st_size for path in files),
        "num_classes": None,
        "checkpoint": "synthetic",
        "moving_averages": False,
        "error": None,
    }


def test_json_of_an_error(cwd):
    """The JSON report of an export that fails tells why, beside the message on standard error."""
    done = program.run(*program.STEM_ONLY, "--version=3", "--checkpoint=absent", "--json", cwd=cwd)
    report = json.loads(done.stdout)
    [found] = report["modules"]
    error = found.pop("error")
    assert (done.code, report["exit_code"]) == (3, 3)
    assert (error["type"], error["exit_code"]) == ("SourceError", 3)
    assert done.stderr == f"{STEM} not exported:\n{error['message']}\n"
    assert found.pop("handle") == STEM
    assert set(found.values()) == {None}


FULL = {
    # What can't be written, the flags, and the exit code.
    "stdout": (("--json", "--checkpoint=synthetic"), 1, 5),
    "stderr": (("--checkpoint=absent",), 2, 3),
}


def stop_in_the_writer():
    """A signal comes while a module is written, and a library takes its exception."""
    write = tf1_hub.write

    def write_and_stop(*args, **kwargs):
        with contextlib.suppress(SystemExit):
            os.kill(os.getpid(), signal.SIGTERM)
        write(*args, **kwargs)

    tf1_hub.write = write_and_stop


def test_stop_that_the_writer_takes(cwd):
    """Nothing is published after a signal, whatever becomes of its exception."""
    flags = ("--version=3", "--checkpoint=synthetic", *program.STEM_ONLY)
    done = program.run(*flags, cwd=cwd, before=stop_in_the_writer)
    assert (done.code, done.stdout, done.stderr) == (143, "", "Stopped by SIGTERM.\n")
    assert list(cwd.iterdir()) == []


def kill_the_other_process():
    """Something ends the process that runs modules in training mode, in the midst of it."""
    verify_mode = verify.verify_mode

    # As one of the same name, it is found in the other process.
    @functools.wraps(verify_mode)
    def verify_or_die(*args, training, **kwargs):
        if training:
            os.kill(os.getpid(), signal.SIGKILL)
        return verify_mode(*args, training=training, **kwargs)

    verify.verify_mode = verify_or_die


def test_killed_other_process(cwd):
    """If one of the two processes of an export is killed, nothing is published, and that is said."""
    flags = ("--version=3", "--checkpoint=synthetic", *program.STEM_ONLY)
    done = program.run(*flags, cwd=cwd, before=kill_the_other_process)
    assert (done.code, done.stdout) == (1, "")
    assert "A process that runs modules was ended from outside" in done.stderr
    assert list(cwd.iterdir()) == []


def write_to_full_device(descriptor):
    os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)


@pytest.mark.parametrize(("flags", "descriptor", "code"), FULL.values(), ids=FULL)
def test_nobody_can_be_told(cwd, flags, descriptor, code):
    """If the report can't be printed, the exit code tells, and nothing that was done changes."""
    before = functools.partial(write_to_full_device, descriptor)
    done = program.run(*program.STEM_ONLY, "--version=3", *flags, cwd=cwd, before=before)
    assert (done.code, done.stdout) == (code, "")
    assert (cwd / "modules" / STEM / "saved_model.pb").exists() == (descriptor == 1)
    assert ("No space left on device" in done.stderr) == (descriptor == 1)


CLOSED = {
    # What is closed, the command line, and the exit code.
    "input": ("<&-", [*EXPORT, "--version=2"], 2),
    "output": (">&-", [*EXPORT, "--version=2"], 2),
    "output_of_help": (">&-", [*EXPORT, "--help"], 0),
    "errors": ("2>&-", [*EXPORT, "--version=2"], 2),
    "all": ("<&- >&- 2>&-", [*CHECK, "--json", "absent"], 1),
}


@pytest.mark.parametrize(("what", "command", "code"), CLOSED.values(), ids=CLOSED)
def test_closed_streams(tmp_path, what, command, code):
    """Without a standard stream, all else is as with it."""
    shell = ["sh", "-c", f'exec "$@" {what}', "sh", *command]
    done = subprocess.run(shell, capture_output=True, text=True, env=environment(), cwd=tmp_path)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert ("--version=2: expected" in done.stderr) == (code == 2 and "2>" not in what)
    assert done.stdout == ""


PROGRAMS = (
    *("export.__main__", "export.archive", "export.demo", "export.verify_published"),
    *("hub.__main__", "hub.page", "hub.previews.__main__", "signatures.__main__"),
)


@pytest.mark.parametrize("module", PROGRAMS)
def test_help_of_each_command(tmp_path, module):
    """Help is the same for a module and for an installed command: description, flags, example."""
    name = f"slimhub.{module}"
    command = f"import sys, {name}; sys.argv = ['command', '--help']; {name}.run()"
    printed = set()
    for how in (["-m", name.removesuffix(".__main__"), "--help"], ["-c", command]):
        done = subprocess.run(
            [sys.executable, *how], capture_output=True, text=True, env=environment(), cwd=tmp_path
        )
        assert (done.returncode, done.stderr) == (0, "")
        printed.add(done.stdout)
    [text] = printed
    description, _, rest = text.partition("\n\n")
    assert re.fullmatch(r"[A-Z]\w+ .+\.", description)
    assert rest.startswith("Usage: ")
    assert re.findall(r"^  --(\w+)", text, re.MULTILINE)[-2:] == ["verbosity", "help"]
    assert re.search(r"\n\nExample: .+\n$", text)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("command", [EXPORT, CHECK], ids=["export", "check"])
def test_help_without_tensorflow(command):
    """Help does not wait for TensorFlow."""
    command = [command[0], "-X", "importtime", *command[1:], "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert "slimhub.support.terminal" in done.stderr
    assert "tensorflow" not in done.stderr


def test_output_in_home(cwd):
    """Paths of flags may begin with ~, which shells leave to the program; the table says where modules are."""
    flags = ("--version=3", "--model=stem", "--task=feature_vector", "--checkpoint=synthetic")
    done = program.run(*flags, "--output=~/modules", cwd=cwd, HOME=str(cwd.parent))
    assert (done.code, done.stderr) == (0, "")
    assert (cwd.parent / "modules" / STEM / "saved_model.pb").exists()
    assert f"{cwd.parent}/modules/<handle>" in done.stdout
    assert list(cwd.iterdir()) == []


def test_arguments_in_home(stem, cwd):
    """Modules may be named by ~ too."""
    done = program.run("--json", "~/3", command=program.CHECK, cwd=cwd, HOME=str(stem))
    assert done.code == 0
    [report] = json.loads(done.stdout)
    assert report["directory"] == str(stem / "3")


def test_export_without_home(cwd):
    """A user without a home directory can export synthetic weights; a download needs a cache."""
    model = ("slimhub.export", "--version=1", "--model=inception_v1", "--task=feature_vector")
    for flags, code in (((), 3), (("--output=~/x",), 2), (("--checkpoint=synthetic",), 0)):
        done = subprocess.run(without_home(*model, *flags), capture_output=True, text=True, cwd=cwd)
        assert done.returncode == code
        assert "Traceback" not in done.stderr
    assert {path.name for path in cwd.iterdir()} == {"build"}
