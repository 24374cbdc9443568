"""docs/conformance.md: what it shows works as it stands there. docs/handles.md: its tables are what is known."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import readme
import yaml

from slimhub import signatures
from slimhub.signatures.checks import registry, report

TEXT = (readme.ROOT / "docs" / "conformance.md").read_text()
BLOCKS = readme.find_blocks(TEXT)
# The exit code of each command that checks a module; the known failure of the page is that of another module.
CODES = {0: 3, 1: 1}


def blocks(language: str) -> list[str]:
    return [code for found, code in BLOCKS if found == language]


COMMANDS = [line for code in blocks("sh") for line in code.splitlines()]
WORKFLOW = yaml.safe_load(blocks("yaml")[0])
STEPS = [step["run"] for step in WORKFLOW["jobs"]["conformance"]["steps"] if "run" in step]
CALL, TESTS = blocks("python")
FEATURES = "build/modules/google/imagenet/inception_v1/feature_vector/3"

pytestmark = pytest.mark.xdist_group("inception_v1-3")


@pytest.fixture
def directory(module, tmp_path) -> Path:
    """A directory with the module that the page names."""
    return readme.checkout(FEATURES, module=module, into=tmp_path)


def run(command: str, directory: Path) -> subprocess.CompletedProcess:
    """Run a command of this environment in a directory."""
    program, *arguments = shlex.split(command)
    program = str(Path(sys.executable).with_name(program))
    return subprocess.run([program, *arguments], cwd=directory, capture_output=True, text=True)


def test_blocks():
    """Every block is one that a test of this file runs or reads."""
    assert [language for language, _ in BLOCKS] == [
        *("sh", "sh", "python", "python", "sh", "json", "yaml"),
    ]
    assert {command.split()[0] for command in COMMANDS} == {"pip", "slimhub-check"}
    assert [step.split()[0] for step in STEPS] == ["pip", "pytest"]


def test_call(directory):
    """The call runs as it stands there, in a program without a guard, and the module passes."""
    program = directory / "program.py"
    program.write_text(CALL)
    done = subprocess.run([sys.executable, program], cwd=directory, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.slow
def test_commands(directory):
    """Each command that checks a module ends with the code that it should."""
    codes = [run(command, directory).returncode for command in COMMANDS if "check" in command]
    assert {code: codes.count(code) for code in codes} == CODES


def test_file_of_tests():
    """The tests of the page are those in `examples`, which `make wheel` runs without this checkout."""
    assert (readme.ROOT / "examples" / "test_modules.py").read_text() == TESTS


@pytest.mark.slow
def test_ci(directory):
    """The step of the CI service that checks runs, has a test for each check, and writes the file that is kept."""
    (directory / "test_modules.py").write_text(TESTS)
    [command] = [step for step in STEPS if step.startswith("pytest ")]
    done = run(f"{command} -c /dev/null --rootdir=.", directory)
    assert done.returncode == 0, done.stdout
    upload = WORKFLOW["jobs"]["conformance"]["steps"][-1]
    written = (directory / upload["with"]["path"]).read_text()
    named = re.findall(r"`test_drop_in\[(.+?)\]`", TEXT)
    assert named
    for id in [*named, *(f"inception_v1/feature_vector/3-{id}" for id in registry.IDS)]:
        assert f'name="test_drop_in[{id}]"' in written


def test_installation():
    """What is installed to check is the package alone, without an extra."""
    [command] = [command for command in COMMANDS if command.startswith("pip ")]
    assert shlex.split(command) == ["pip", "install", "slimhub"]
    assert STEPS[0] == f"{command} pytest"


def test_json(directory):
    """The report of the page has the fields of a real one, in their order, and the values of that one."""
    shown = json.loads(blocks("json")[0])
    found = signatures.check(directory / FEATURES, like=shown["like"])
    real = json.loads(found.to_json())
    [result] = shown.pop("results")
    [same] = [one for one in real.pop("results") if one["id"] == result["id"]]
    assert list(result) == list(same)
    [figure], [measured] = result.pop("measurements"), same.pop("measurements")
    assert result == same
    assert list(figure) == list(measured)
    assert (figure["bound"], figure["allowed"]) == (measured["bound"], measured["allowed"])
    assert list(shown) == list(real)
    assert shown | {"directory": ""} == real | {"directory": ""}


def test_statuses():
    """The table of statuses has each, and says of those that spoil a report that they do."""
    rows = re.findall(r"^\| `([a-z ]+)` \|.*\| (false)? ?\|$", TEXT, re.MULTILINE)
    spoils = {status: bool(word) for status, word in rows}
    statuses = {value for name, value in vars(report).items() if name.isupper()} - {report.RUNNING}
    assert spoils.keys() == {value for value in statuses if isinstance(value, str)}
    for status, spoiled in spoils.items():
        result = report.Result(id="labels", description="", status=status)
        one = report.Report(directory="", handle=None, weights=None, results=(result,))
        assert one.ok is not spoiled


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("handles", readme.handle_table),
        ("versions", readme.version_table),
        ("unavailable", readme.unavailable_table),
    ],
)
def test_handles(name, table):
    """The tables of handles are what the catalog and the contract have."""
    text = (readme.ROOT / "docs" / "handles.md").read_text()
    [found] = re.findall(f"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found == table()
