"""Debian's Chromium, and a server of real modules for it to look at.

No page may load anything from elsewhere or have the browser complain: `visit` sees to that, in
every test.
"""

import shutil
from pathlib import Path

import pytest
import requests
from browser import places
from made_once import make_once
from playwright.sync_api import sync_playwright
from stem import broken_copy

import hub
from slimhub.export import pipeline
from slimhub.export.request import ExportRequest

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
# Milliseconds.
_TIMEOUT = 20_000


@pytest.fixture(scope="session")
def root(shared) -> Path:
    """Return a root with modules of Inception V1, a damaged one, and one that may not be run."""
    return make_once(shared / "browser", _make_root)


def _make_root(root: Path) -> Path:
    for handle in places.MODULES:
        _, _, model, task, version = handle.split("/")
        request = ExportRequest(
            version=int(version),
            models=(model,),
            tasks=(task,),
            checkpoint="synthetic",
            output=root,
        )
        [outcome] = pipeline.export(request)
        assert outcome.error is None, outcome.error
    good = root / places.MODULES[0]
    shutil.copytree(good, root / places.DAMAGED)
    with (root / places.DAMAGED / "saved_model.pb").open("ab") as file:
        file.write(b"\0")
    broken_copy(
        good,
        root / places.UNDRAWN,
        lambda m: m.infer.graph_def.node.add(name="x", op="WriteFile"),
    )
    return root


@pytest.fixture(scope="session")
def url(root, tmp_path_factory):
    """Return the URL of a server, without a slash at the end; all pictures are drawn."""
    with hub.serving(root, tmp_path_factory.mktemp("home")) as server:
        for handle in (*places.MODULES, places.UNDRAWN):
            # A page waits for its pictures, but not for ever.
            while "They are being drawn" in requests.get(f"{server.url}/{handle}").text:
                pass
        yield server.url


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """Return the URL of a server that has no modules."""
    home = tmp_path_factory.mktemp("empty")
    (home / "root").mkdir()
    with hub.serving(home / "root", home) as server:
        yield server.url


@pytest.fixture(scope="session")
def chromium():
    """Return the browser, headless."""
    path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    assert path, "There is no Chromium; make browser installs it."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, url):
    """Return a function that opens a path of the server as someone does who was never there."""
    contexts, complaints = [], []

    def visit(
        path: str,
        *,
        screen: places.Screen = places.DESK,
        server: str = url,
        before: str = "",
        permissions: tuple[str, ...] = (),
        **options,
    ):
        """Return the page; `before` is a script that runs before those of the page."""
        context = chromium.new_context(
            viewport={"width": screen.width, "height": 900}, color_scheme=screen.scheme, **options
        )
        contexts.append(context)
        context.set_default_timeout(_TIMEOUT)
        context.grant_permissions(list(permissions), origin=server)
        if before:
            context.add_init_script(before)
        page = context.new_page()
        _watch(page, server, complaints)
        page.goto(f"{server}/{path}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


def _watch(page, server: str, complaints: list[str]) -> None:
    """Note requests to elsewhere or without success, errors, and messages in the console."""

    def on_request(request):
        if not request.url.startswith(f"{server}/"):
            complaints.append(f"elsewhere: {request.url}")

    def on_failed(request):
        # A download ends the visit that it began as.
        if not request.is_navigation_request():
            complaints.append(f"failed: {request.url}")

    def on_message(message):
        # The page of an error has the status of an error, which Chromium reports, too.
        is_status = message.text.startswith("Failed to load resource: the server responded with")
        if message.type in ("error", "warning", "assert") and not is_status:
            complaints.append(f"{message.type}: {message.text}")

    def on_response(response):
        if response.status >= 400 and not response.request.is_navigation_request():
            complaints.append(f"{response.status}: {response.url}")

    page.on("request", on_request)
    page.on("requestfailed", on_failed)
    page.on("response", on_response)
    page.on("pageerror", lambda error: complaints.append(f"raised: {error}"))
    page.on("console", on_message)
