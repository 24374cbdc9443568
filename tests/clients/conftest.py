"""Consumers of modules: each test runs in the environment that its parameter `environment` names.

    @pytest.mark.client("hub.load", "signatures")
    @pytest.mark.parametrize("environment", ["tf-newest"], indirect=True)
    def test_signatures(run, row, slim, network, module, batches):
        result = run("hub_load", module=module(*network, 3), images=batches(3), momentum=0.5)
        row.saw(result)
        row.compare(result.arrays, slim(*network).outputs(3, batches(3)))

It runs `programs/hub_load.py`. The marker tells the consumer and what is exercised, for the table
at the end. A test whose interpreter is missing is skipped, and stands there with the reason.
"""

import dataclasses
import functools
from pathlib import Path

import pictures
import pytest
from clients import consumer, table
from clients.environments import environments
from clients.reference import Slim

import hub

# A model and a task of each kind; versions are up to the tests.
NETWORKS = [
    pytest.param(("inception_v1", "feature_vector")),
    pytest.param(("inception_v2", "classification"), marks=pytest.mark.slow),
]


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if name := _environment(item):
            # One worker an environment, which is made once.
            item.add_marker(pytest.mark.xdist_group(name))
    yield
    # What is about one module comes together: a fixture of it runs its program once.
    items.sort(key=lambda item: (_environment(item), item.path, _parameters(item)))


def _parameters(item) -> list[str]:
    callspec = getattr(item, "callspec", None)
    return sorted(f"{name}={value}" for name, value in callspec.params.items()) if callspec else []


def _environment(item) -> str:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("environment", "") if callspec else ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    # Before any fixture, as one may skip.
    marker = item.get_closest_marker("client")
    if marker is not None:
        row = table.Row(marker.args[0], item.callspec.params["environment"], marker.args[1])
        item.stash[_ROW] = row


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if _ROW in item.stash:
        report.user_properties.append(("client", dataclasses.asdict(item.stash[_ROW])))
    return report


def pytest_terminal_summary(terminalreporter, config):
    if outcomes := list(_outcomes(terminalreporter.stats)):
        shown = table.to_markdown(outcomes)
        terminalreporter.section("clients")
        terminalreporter.write(shown)
        path = config.rootpath / "build" / "clients.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown)


_ROW = pytest.StashKey[table.Row]()


def _outcomes(stats):
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in stats.get(outcome, ()):
            seen = dict(getattr(report, "user_properties", ())).get("client")
            if seen is not None:
                skipped = outcome == "skipped"
                reason = report.longrepr[2].removeprefix("Skipped: ") if skipped else ""
                failed = outcome in ("failed", "error")
                yield table.Outcome(row=table.Row(**seen), failed=failed, reason=reason)


@pytest.fixture
def row(request) -> table.Row:
    """The row of the test in the table of consumers."""
    return request.node.stash[_ROW]


@pytest.fixture(scope="module")
def environment(request) -> environments.Environment:
    """The environment that the parameter names, installed."""
    found = environments.environments()[request.param]
    try:
        found.python()
    except environments.MissingInterpreterError as error:
        pytest.skip(str(error))
    return found


@pytest.fixture(scope="module")
def run(environment, tmp_path_factory):
    """A function that runs a program in the environment; arguments as for `consumer.run`."""

    def run_program(program: str, **job) -> consumer.Result:
        directory = tmp_path_factory.mktemp("program")
        return consumer.run(environment, program, directory=directory, **job)

    return run_program


@pytest.fixture(scope="module")
def fetch(run, tmp_path_factory):
    """Run a program whose `handle` is a URL; however often it loads it, it fetches it once."""

    def run_program(program: str, *, module: Path, **job) -> consumer.Result:
        root, home = module.parents[4], tmp_path_factory.mktemp("home")
        handle = module.relative_to(root)
        with pytest.MonkeyPatch.context() as patch, hub.serving(root, home) as server:
            patch.setenv("TFHUB_CACHE_DIR", str(home / "fetched"))
            result = run(program, module=module, handle=f"{server.url}/{handle}", **job)
        assert server.log.read_text().count(f"GET /{handle}?tf-hub-format=compressed") == 1
        return result

    return run_program


@pytest.fixture(scope="session")
def slim(checkpoint):
    """A function that gives the reference of a model and a task; `training=True` for that mode."""

    @functools.cache
    def get(model: str, task: str, *, training: bool = False) -> Slim:
        return Slim(model, task, training=training, checkpoint=checkpoint(model))

    return get


@pytest.fixture(scope="module", params=NETWORKS, ids="-".join)
def network(request) -> tuple[str, str]:
    """A model and a task."""
    return request.param


@pytest.fixture(scope="session")
def batches():
    """A function of a version that gives batches of pictures by name: of 224 in version 1, else of any size."""

    @functools.cache
    def draw(version: int):
        sizes = {"first": 160, "second": 128} if version > 1 else {"first": 224}
        return {name: pictures.draw(2, size=size, seed=size)[0] for name, size in sizes.items()}

    return draw
