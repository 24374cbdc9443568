"""Debian's Chromium, and a server of real modules for it to look at.

No page may load anything from elsewhere or have the browser complain: `visit` sees to that, in
every test.
"""

import shutil
from pathlib import Path

import hub
import pytest
import requests
from browser import places
from browser.watch import Watch
from playwright.sync_api import sync_playwright
from stem import broken_copy

from slimhub.export import exporter, synthetic
from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures import contract

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# As root there is no sandbox; and the browser itself is to keep quiet.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Milliseconds; a page may wait for its pictures to be drawn.
_TIMEOUT, _DRAWING = 20_000, 120_000


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    """Modules of Inception V1, for each task and of each version; a damaged one, one that is unfit."""
    root = tmp_path_factory.mktemp("hub") / "root"
    for version in contract.VERSIONS:
        request = ExportRequest(
            version=version,
            models=("inception_v1",),
            tasks=contract.TASKS,
            checkpoint="synthetic",
            output=root,
        )
        for outcome in exporter.export(request):
            assert outcome.error is None, outcome.error
    good = root / places.NETWORK / "feature_vector/3"
    shutil.copytree(good, root / places.DAMAGED)
    with (root / places.DAMAGED / "variables/variables.data-00000-of-00001").open("r+b") as file:
        file.seek(1000)
        flipped = file.read(1)[0] ^ 1
        file.seek(1000)
        file.write(bytes([flipped]))
    broken_copy(
        good,
        root / places.UNDRAWN,
        lambda m: m.infer.graph_def.node.add(name="x", op="WriteFile"),
    )
    return root


@pytest.fixture(scope="session")
def synthetic_archive(tmp_path_factory) -> Path:
    """The archive that the modules' weights were read from, made once more."""
    into = tmp_path_factory.mktemp("archive")
    model = catalog.get("inception_v1")
    synthetic.write_archive(model, into=into)
    return into / model.archive.name


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """Where the server keeps its cache, its temporary files and its log."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def url(root, home):
    """Of the server, without a slash at the end; all pictures are drawn."""
    with hub.serving(root, home) as server:
        for handle in (*places.MODULES, places.UNDRAWN):
            # A page waits for its pictures, but not for ever.
            while "They are being drawn" in requests.get(f"{server.url}/{handle}").text:
                pass
        yield server.url


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """The URL of a server that has no modules."""
    home = tmp_path_factory.mktemp("empty")
    (home / "root").mkdir()
    with hub.serving(home / "root", home) as server:
        yield server.url


@pytest.fixture(scope="session")
def chromium():
    """The browser, headless."""
    path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    assert path, "There is no Chromium; make browser installs it."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, url):
    """A function that opens a path of the server as someone does who was never there."""
    watches, contexts = [], []

    def visit(
        path: str,
        *,
        screen: places.Screen = places.DESK,
        server: str = url,
        before: str = "",
        permissions: tuple[str, ...] = (),
        **options,
    ):
        """Gives the page; `before` is a script that runs before those of the page."""
        context = chromium.new_context(
            viewport={"width": screen.width, "height": 900}, color_scheme=screen.scheme, **options
        )
        contexts.append(context)
        context.set_default_timeout(_TIMEOUT)
        context.set_default_navigation_timeout(_DRAWING)
        context.grant_permissions(list(permissions), origin=server)
        if before:
            context.add_init_script(before)
        page = context.new_page()
        watches.append(Watch(page, server=server))
        page.goto(f"{server}/{path}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [complaint for watch in watches for complaint in watch.complaints] == []
