"""Every kind of page, on a phone that prefers light pages and on a desk that prefers dark ones."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import places

PAGES = {
    "index": "",
    "listing": places.NETWORK,
    "module": places.MODULES[0],
    "undrawn": places.UNDRAWN,
    "damaged": places.DAMAGED,
    "missing": places.MISSING,
    "empty": "",
}
EVERY_SCREEN = pytest.mark.parametrize("screen", places.SCREENS, ids=str)
# So that all pictures are there, whether or not they were scrolled to.
LOAD_ALL = """async () => {
  for (const image of document.images) image.loading = "eager";
  await Promise.all([...document.images].map((image) => image.decode()));
}"""
# What begins or ends beside the screen, and can't be scrolled to; the skip link waits there.
OUTSIDE = """() => [...document.querySelectorAll("body *:not(.skip)")].filter((element) => {
  const box = element.getBoundingClientRect();
  const scrolls = element.closest(".scroll, pre");
  return box.width && (box.left < 0 || box.right > innerWidth) && !scrolls;
}).map((element) => element.outerHTML.slice(0, 200))"""


@pytest.mark.parametrize("kind", PAGES)
@EVERY_SCREEN
def test_page(visit, empty, kind, screen, pytestconfig):
    """A page fits its screen, axe-core finds nothing wrong with it, and a screenshot of it is kept."""
    page = visit(PAGES[kind], screen=screen, **({"server": empty} if kind == "empty" else {}))
    page.evaluate(LOAD_ALL)
    path = pytestconfig.rootpath / "build/screenshots" / f"{kind}-{screen}.png"
    page.screenshot(path=path, full_page=True, scale="css")
    assert page.evaluate("document.documentElement.scrollWidth") == screen.width
    assert page.evaluate(OUTSIDE) == []
    results = Axe().run(page)
    assert [one["id"] for one in results.response["violations"]] == [], results.generate_report()
    # Else nothing was looked at.
    assert len(results.response["passes"]) > 10


@EVERY_SCREEN
def test_colours(visit, screen):
    """Who prefers dark pages gets light text on a dark ground, others dark text on a light one."""
    style = visit("", screen=screen).evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    ground, text = (sum(map(int, colour[4:-1].split(","))) for colour in style)
    assert (ground < text) == (screen.scheme == "dark")


@EVERY_SCREEN
def test_warning(visit, screen):
    """UNTRAINED stands in large letters above everything else on a module's page."""
    warning = visit(places.MODULES[0], screen=screen).locator("article h2").first
    assert warning.inner_text() == "UNTRAINED"
    assert float(warning.evaluate("e => getComputedStyle(e).fontSize").removesuffix("px")) >= 32
    assert warning.bounding_box()["y"] < 400


def test_without_pictures(visit):
    """The page of a module that may not be run tells why, and has all end points."""
    page = visit(places.UNDRAWN)
    assert page.locator("article img").count() == 0
    assert "WriteFile" in page.locator("article").text_content()
    assert page.locator("td").filter(has_text="InceptionV1/Mixed_5c").count() > 0
