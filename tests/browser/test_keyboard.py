"""Pages are of use without a mouse, and without scripts."""

import pytest
from browser import places, scripts
from playwright.sync_api import expect


@pytest.mark.parametrize("path", ["", places.MODULES[0], places.MISSING])
def test_skip_link(visit, url, path):
    """The first Tab shows a link that leads past the path at the top, to the content."""
    page = visit(path)
    link = page.get_by_role("link", name="Skip to the content")
    assert link.bounding_box()["x"] < 0
    page.keyboard.press("Tab")
    expect(link).to_be_focused()
    box = link.bounding_box()
    assert box["x"] >= 0
    assert box["y"] >= 0
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{url}/{path}#content")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.parametrize("path", ["", places.MODULES[0]])
def test_tab_reaches_everything(visit, path):
    """Tab goes through all links, buttons and fields, and what scrolls, in their order, each outlined."""
    page = visit(path, screen=places.PHONE)
    wanted = page.evaluate(
        """() => {
          const all = [...document.querySelectorAll("a, button, input, [tabindex]")];
          all.forEach((element, index) => element.dataset.number = index);
          return all.length;
        }"""
    )
    reached = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("Number(document.activeElement.dataset.number)"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
    assert reached == list(range(wanted))


@pytest.mark.parametrize("handle", places.MODULES[:3])
def test_what_scrolls_takes_the_focus(visit, handle):
    """On a phone, arrow keys scroll programs and tables, as those that are wider can be focused."""
    page = visit(handle, screen=places.PHONE)
    wide = page.evaluate_handle(scripts.SCROLLING)
    number = wide.evaluate("wide => wide.length")
    assert number >= 3
    for index in range(number):
        # Chromium focuses whatever scrolls; other browsers only what says that it can be.
        assert wide.evaluate("(wide, index) => wide[index].getAttribute('tabindex')", index) == "0"
        wide.evaluate("(wide, index) => wide[index].focus()", index)
        assert wide.evaluate("(wide, index) => document.activeElement === wide[index]", index)
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => document.activeElement.scrollLeft > 0")


def test_contents(visit, url):
    """The list of contents leads to every part of a page."""
    page = visit(places.MODULES[2])
    links = page.get_by_role("navigation", name="On this page").get_by_role("link")
    headings = page.locator("article > h2").all_text_contents()
    assert links.all_text_contents() == headings
    for name in headings:
        links.get_by_text(name, exact=True).press("Enter")
        assert page.locator(":target").text_content() == name


@pytest.mark.parametrize("screen", [places.PHONE, places.DESK], ids=str)
def test_without_scripts(visit, url, screen):
    """Without scripts, the index can be read and its links work; nothing is shown that does nothing."""
    page = visit("", screen=screen, java_script_enabled=False)
    links = page.locator("#modules tbody th a")
    assert links.all_text_contents() == list(places.HANDLES)
    assert page.locator(".status").first.is_visible()
    assert page.get_by_role("button").count() == 0
    assert page.get_by_role("searchbox").count() == 0
    links.nth(1).click()
    expect(page).to_have_url(f"{url}/{places.MODULES[0]}")
    expect(page.get_by_role("heading", level=1)).to_have_text(places.MODULES[0])
    assert page.get_by_role("button").count() == 0
    expect(page.locator("pre").first).to_have_text(f"{url}/{places.MODULES[0]}")
    page.get_by_role("link", name="Files", exact=True).click()
    expect(page).to_have_url(f"{url}/{places.MODULES[0]}#files")
