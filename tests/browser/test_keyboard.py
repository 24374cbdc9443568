"""Pages are of use without a mouse, and without scripts."""

import pytest
from browser import places
from playwright.sync_api import expect

# What is wider than its place, and can be scrolled.
SCROLLING = """() => [...document.querySelectorAll("main *")].filter((element) =>
  element.scrollWidth > element.clientWidth && getComputedStyle(element).overflowX === "auto")"""


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
        number, outline = page.evaluate(
            "[Number(document.activeElement.dataset.number),"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
        reached.append(number)
    assert reached == list(range(wanted))


def test_skip_link(visit, url):
    """The first Tab shows a link that leads past the path at the top, to the content."""
    page = visit(places.MODULES[0])
    link = page.get_by_role("link", name="Skip to the content")
    assert link.bounding_box()["x"] < 0
    page.keyboard.press("Tab")
    expect(link).to_be_focused()
    assert link.bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{url}/{places.MODULES[0]}#content")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_what_scrolls_takes_the_focus(visit):
    """On a phone, arrow keys scroll programs and tables, as those that are wider can be focused."""
    page = visit(places.MODULES[2], screen=places.PHONE)
    wide = page.evaluate_handle(SCROLLING)
    number = wide.evaluate("wide => wide.length")
    assert number >= 3
    for index in range(number):
        # Chromium focuses whatever scrolls; other browsers only what says that it can be.
        assert wide.evaluate("(wide, index) => wide[index].getAttribute('tabindex')", index) == "0"
        wide.evaluate("(wide, index) => wide[index].focus()", index)
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => document.activeElement.scrollLeft > 0")


def test_contents(visit):
    """The list of contents leads to every part of a page."""
    page = visit(places.MODULES[2])
    links = page.get_by_role("navigation", name="On this page").get_by_role("link")
    headings = page.locator("article > h2").all_text_contents()
    assert links.all_text_contents() == headings
    for name in headings:
        links.get_by_text(name, exact=True).press("Enter")
        assert page.locator(":target").text_content() == name


@pytest.mark.parametrize("screen", places.SCREENS, ids=str)
def test_without_scripts(visit, url, screen):
    """Without scripts, the index can be read and its links work; nothing is shown that does nothing."""
    page = visit("", screen=screen, java_script_enabled=False)
    links = page.locator("#modules tbody th a")
    assert links.all_text_contents() == list(places.HANDLES)
    assert page.locator(".status").first.is_visible()
    assert page.get_by_role("searchbox").count() == page.get_by_role("button").count() == 0
    links.nth(1).click()
    expect(page).to_have_url(f"{url}/{places.MODULES[0]}")
    assert page.get_by_role("button").count() == 0
    page.get_by_role("link", name="Files", exact=True).click()
    expect(page).to_have_url(f"{url}/{places.MODULES[0]}#files")
