"""Every kind of page, on a phone and on a desk, light and dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import places, scripts

SCREENS = pytest.mark.parametrize("screen", places.SCREENS, ids=str)
PAGES = pytest.mark.parametrize("kind", [*places.PAGES, "empty"])


@pytest.fixture
def show(visit, empty):
    """A function that opens a kind of page on a screen, with all its pictures."""

    def show(kind, screen):
        server = {"server": empty} if kind == "empty" else {}
        page = visit(places.PAGES.get(kind, ""), screen=screen, **server)
        page.evaluate(scripts.LOAD_ALL)
        return page

    return show


@PAGES
@SCREENS
def test_fits(show, kind, screen):
    """No page is wider than its screen, and nothing in it sticks out of it unless it scrolls."""
    page = show(kind, screen)
    width, scroll = page.evaluate(
        "[document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert (width, scroll) == (screen.width, screen.width)
    assert page.evaluate(scripts.OUTSIDE) == []


@PAGES
@SCREENS
def test_is_accessible(show, kind, screen):
    """axe-core finds nothing wrong with any page, its contrasts among the rest."""
    results = Axe().run(show(kind, screen))
    assert [one["id"] for one in results.response["violations"]] == [], results.generate_report()
    # Else nothing was looked at.
    assert len(results.response["passes"]) > 10


@SCREENS
def test_prefers_colours(visit, screen):
    """Whoever prefers dark pages gets light text on a dark ground, the others dark text on a light one."""
    page = visit("", screen=screen)
    style = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    ground, text = (sum(map(int, colour[4:-1].split(","))) for colour in style)
    assert (ground < text) == (screen.scheme == "dark")


@pytest.mark.parametrize("handle", places.MODULES[:1])
@SCREENS
def test_warns_in_large_letters(visit, handle, screen):
    """UNTRAINED stands in large letters above everything else on a module's page."""
    warning = visit(handle, screen=screen).locator("article h2").first
    assert warning.inner_text() == "UNTRAINED"
    assert float(warning.evaluate("e => getComputedStyle(e).fontSize").removesuffix("px")) >= 32
    assert warning.bounding_box()["y"] < 400


@pytest.mark.parametrize("kind", ["index", "version-3", "missing"])
@SCREENS
def test_screenshots(show, kind, screen, pytestconfig):
    """What the pages look like is in build/screenshots/, whole."""
    path = pytestconfig.rootpath / "build/screenshots" / f"{kind}-{screen}.png"
    path.unlink(missing_ok=True)
    page = show(kind, screen)
    page.screenshot(path=path, full_page=True, scale="css")
    assert path.stat().st_size > 5000
