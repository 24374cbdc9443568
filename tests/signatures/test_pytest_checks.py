"""The checks as tests: each file of tests is run by a pytest of its own, elsewhere than in the checkout."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from stem import CONTRACTS, broken_copy
from surgery import ids

from slimhub.signatures import parametrize_with_checks
from slimhub.signatures.checks import registry
from slimhub.signatures.checks.report import (
    EXPECTED_FAILURE,
    FAILED,
    NOT_APPLICABLE,
    NOT_RUN,
    PASSED,
    WARNING,
    Result,
)
from slimhub.signatures.contract import formats
from slimhub.signatures.pytest_checks import conclude

LOSSES = "regularization-losses"
CONTRACT = str(CONTRACTS / "stem.json")
# Modules that a fixture makes, in this order: one of each format, one without a loss, and none.
TESTS = """
import shutil
import sys

import pytest
import slimhub.signatures

TF1, TF2, BROKEN, ABSENT = MODULES = ("stem/v/1", "stem/v/5", "broken/1", "absent/1")
KNOWN = {{TF2: {{"dropout": "fixed since"}}, BROKEN: {{"{losses}": "lost"}}, ABSENT: {{"files": "none"}}}}
started = []
sys.addaudithook(lambda event, _: started.append(event) if event == "subprocess.Popen" else None)


@pytest.fixture(scope="session", autouse=True)
def modules():
    assert "tensorflow" not in sys.modules
    for module, source in zip(MODULES, {sources!r}):
        shutil.copytree(source, module)


@slimhub.signatures.parametrize_with_checks(MODULES, contract={contract!r}, expected_failures=lambda one: KNOWN.get(one, {{}}))
def test_module(check, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    check()


def test_once():
    assert len(started) == len(MODULES)
"""


def run(file: Path, text: str, *flags: str) -> dict[str, tuple[str, str]]:
    """Run a file of tests; return the outcome of each, and what is said of it, by what follows `test_`."""
    file.write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "--junit-xml=junit.xml"]
    # Not those of this checkout.
    command += ["-c", "/dev/null", "--rootdir=.", "-p", "no:cacheprovider", *flags, file.name]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    cases = ElementTree.parse(file.parent / "junit.xml").iter("testcase")
    return dict(map(_outcome, cases))


def _outcome(case: ElementTree.Element) -> tuple[str, tuple[str, str]]:
    name = case.attrib["name"].removeprefix("test_")
    if not len(case):
        return name, ("passed", "")
    [child] = case
    # Those that are skipped have a type: pytest.skip or pytest.xfail.
    kind = child.get("type", child.tag).removeprefix("pytest.")
    return name, (kind, child.attrib["message"])


@pytest.fixture(scope="module")
def outcomes(stem, tmp_path_factory):
    """The outcomes of `TESTS`."""

    def change(m):
        m.train.collection_def["regularization_losses"].node_list.value.pop()

    directory = tmp_path_factory.mktemp("outcomes")
    broken = broken_copy(stem / "1", tmp_path_factory.mktemp("broken") / "1", change)
    sources = [str(path) for path in (stem / "1", stem / "5", broken)]
    return run(
        directory / "test_ci.py", TESTS.format(losses=LOSSES, contract=CONTRACT, sources=sources)
    )


def of_module(outcomes, name: str) -> dict[str, tuple[str, str]]:
    """Return the outcomes of the tests of a module, by check."""
    start = f"module[{name}-"
    return {id[len(start) : -1]: outcomes[id] for id in outcomes if id.startswith(start)}


def passed(format: formats.Format) -> dict[str, tuple[str, str]]:
    """Return the outcomes of the tests of a good module of this format, which has no classes."""
    other = ({formats.TF1_HUB.name, formats.TF2_SAVED_MODEL.name} - {format.name}).pop()
    skipped = ("skip", f"for {other} only")
    return {
        **{id: ("passed", "") if id in ids(format) else skipped for id in registry.IDS},
        "labels": ("skip", "the module names no classes"),
        "logits": ("skip", "the module does not classify"),
    }


def test_good_module(outcomes):
    """Every check of a good module is a test that passes; those of another format are skipped, and say so."""
    assert of_module(outcomes, "stem/v/1") == passed(formats.TF1_HUB)


def test_known_failure(outcomes):
    """A failure that is expected is an xfail with its reason."""
    assert of_module(outcomes, "broken/1") == {
        **passed(formats.TF1_HUB),
        LOSSES: ("xfail", "lost"),
    }


def test_unexpected_pass(outcomes):
    """A known failure that no longer happens is a failure, which gives its reason."""
    found = of_module(outcomes, "stem/v/5")
    kind, message = found.pop("dropout")
    assert kind == "failure"
    assert "fixed since" in message
    assert passed(formats.TF2_SAVED_MODEL) == {**found, "dropout": ("passed", "")}


def test_not_run(outcomes):
    """Checks that can't be run fail, be they expected to or not, and name the one that failed before."""
    found = of_module(outcomes, "absent/1")
    assert tuple(found) == registry.IDS
    assert {kind for kind, _ in found.values()} == {"failure"}
    readable = found.pop("readable")
    assert readable[1].startswith("AssertionError: ")
    assert {message for _, message in found.values()} == {
        "Failed: not run: failed before: readable"
    }


def test_checked_once(outcomes):
    """A module is checked once, when its first test runs."""
    assert outcomes["once"] == ("passed", "")


def test_selected_test(stem, tmp_path):
    """One check of one module is selected by name; in several processes, each checks for itself."""
    text = (
        "from slimhub.signatures import parametrize_with_checks\n"
        f"@parametrize_with_checks([{str(stem / '1')!r}, {str(stem / '3')!r}], contract={CONTRACT!r})\n"
        "def test_module(check):\n"
        "    check()\n"
    )
    flags = ("-n2", "-k", "feature_vector/3-loss-values or feature_vector/3-files")
    assert run(tmp_path / "test_ci.py", text, *flags) == {
        "module[stem/feature_vector/3-files]": ("passed", ""),
        "module[stem/feature_vector/3-loss-values]": ("passed", ""),
    }


def names(modules) -> list[str]:
    """Return the names of modules in the ids of tests."""
    parameters = parametrize_with_checks(modules).args[1]
    return [one.id.removesuffix("-readable") for one in parameters if one.id.endswith("-readable")]


def test_names():
    """Modules are named by the last parts of their paths, as many as tell them apart."""
    assert names(["build/modules/me/a/task/1", Path("b.tar.gz")]) == ["a/task/1", "b.tar.gz"]
    assert names(["x/me/a/task/1", "x/you/a/task/1"]) == ["me/a/task/1", "you/a/task/1"]
    assert names(["one/b/a/task/1", "two/b/a/task/1"]) == ["one/b/a/task/1", "two/b/a/task/1"]


@pytest.mark.parametrize(
    ("modules", "arguments"),
    [
        ([], {}),
        ("1", {}),
        (["1"], dict(like="inception_v1")),
        (["1"], dict(expected_failures={"no-such-check": "?"})),
        (["1"], dict(expected_failures=lambda module: {"no-such-check": "?"})),
    ],
    ids=["none", "no_list", "like", "unknown_check", "unknown_check_of_module"],
)
def test_bad_arguments(modules, arguments):
    """Arguments that make no sense are an error where the tests are collected."""
    with pytest.raises(ValueError, match=r"."):
        parametrize_with_checks(modules, **arguments)


def result(status: str) -> Result:
    return Result(id="labels", description="named", status=status, reason="why", problems=("bad",))


@pytest.mark.parametrize(
    ("status", "raised", "says"),
    [
        (FAILED, AssertionError, "named\nbad"),
        (NOT_RUN, pytest.fail.Exception, "not run: why"),
        (NOT_APPLICABLE, pytest.skip.Exception, "why"),
        (WARNING, UserWarning, "named\nbad"),
    ],
)
def test_conclude(status, raised, says):
    """Each status of a check has an outcome of its test."""
    with pytest.raises(raised) as caught:
        conclude(result(status))
    assert str(caught.value) == says


@pytest.mark.parametrize("status", [PASSED, EXPECTED_FAILURE])
def test_pass(status):
    """A check that passed raises nothing; nor does one whose failure was expected before."""
    conclude(result(status))
