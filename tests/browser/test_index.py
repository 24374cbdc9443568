"""The index, and the listings below it."""

import re

import pytest
import requests
from browser import places
from playwright.sync_api import expect

ROWS = "#modules tbody tr"


@pytest.fixture(scope="module")
def listed(url) -> list[dict]:
    """What the server tells machines of its modules."""
    return requests.get(f"{url}/index.json", timeout=300).json()["modules"]


def shown(page) -> list[str]:
    """Handles of the rows that can be seen."""
    return [
        row.locator("th a").text_content() for row in page.locator(ROWS).all() if row.is_visible()
    ]


def test_lists_what_is_there(visit, listed):
    """The index has a row for each module of index.json, in that order, and each leads to its page."""
    links = visit("").locator(f"{ROWS} th a").all()
    assert [link.text_content() for link in links] == [module["handle"] for module in listed]
    assert [link.get_attribute("href") for link in links] == [f"/{one}" for one in places.HANDLES]


@pytest.mark.parametrize("screen", [places.PHONE, places.DESK], ids=str)
@pytest.mark.parametrize("handle", places.MODULES)
def test_facts_of_a_module(visit, root, handle, screen):
    """A row tells version, format, size and parameters, and that the weights are untrained."""
    row = visit("", screen=screen).locator(ROWS).filter(has_text=handle)
    files = [path for path in (root / handle).rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    is_tf1 = (root / handle / "tfhub_module.pb").exists()
    parameters = 5_607_184 if "feature_vector" in handle else 6_633_209
    assert [cell.inner_text() for cell in row.locator("td").all()] == [
        handle[-1],
        "TF1 Hub" if is_tf1 else "TF2 SavedModel",
        f"{size / 1e6:.1f} MB",
        f"{parameters:,}",
        "UNTRAINED",
    ]
    assert row.locator("td").last.is_visible()


def test_damaged_module(visit, listed):
    """The row of a damaged module tells, instead of facts, that it is not served, and why."""
    row = visit("").locator(ROWS).filter(has_text=places.DAMAGED)
    [problem] = [one["problem"] for one in listed if one["handle"] == places.DAMAGED]
    assert "variables/variables.data-00000-of-00001: expected" in problem
    assert row.locator("td").all_text_contents() == [f"Not served: {problem}"]


def test_page_of_a_damaged_module(visit, listed):
    """The page of a damaged module says that it is not served, and why."""
    page = visit(places.DAMAGED)
    [problem] = [one["problem"] for one in listed if one["handle"] == places.DAMAGED]
    expect(page.get_by_role("heading", level=1)).to_have_text("Not served")
    expect(page.locator("main")).to_contain_text(problem)


def test_example_is_a_module_that_is_served(visit, url):
    """The example at the top loads a module that is served, although a damaged one comes first."""
    expect(visit("").locator("pre")).to_have_text(
        f'layer = hub.KerasLayer("{url}/{places.MODULES[0]}")'
    )


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("classification", places.MODULES[:3]),
        ("  Feature_Vector   SAVEDMODEL ", [places.MODULES[5]]),
        ("5 classification inception", [places.MODULES[2]]),
        ("untrained", [*places.MODULES, places.UNDRAWN]),
        ("not served", [places.DAMAGED]),
        ("classification feature_vector", []),
    ],
)
def test_filter(visit, typed, found):
    """What is typed leaves, letter by letter, the rows that have all of its words, and counts them."""
    page = visit("")
    for _ in range(20):
        if page.evaluate("document.activeElement.id") == "filter":
            break
        page.keyboard.press("Tab")
    counts = []
    for letter in typed:
        page.keyboard.type(letter)
        counts.append(len(shown(page)))
        expect(page.locator("output")).to_have_text(
            f"{counts[-1]} of {len(places.HANDLES)} modules"
        )
    assert counts == sorted(counts, reverse=True)
    assert shown(page) == list(found)
    assert page.get_by_text("No handle has that in it.").is_visible() == (not found)
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.press("Delete")
    assert shown(page) == list(places.HANDLES)
    expect(page.get_by_text("No handle has that in it.")).to_be_hidden()


def test_filter_is_announced(visit):
    """A screen reader knows the filter by its label, and reads the count when it changes."""
    page = visit("")
    expect(page.get_by_role("searchbox", name="Filter", exact=True)).to_have_id("filter")
    # That is what <output> is.
    expect(page.get_by_role("status").filter(has_text="modules")).to_have_id("count")


def test_listing(visit):
    """A beginning of handles lists those below it, and no others."""
    page = visit(places.NETWORK)
    expect(page.get_by_role("heading", level=1)).to_have_text(places.NETWORK)
    assert shown(page) == list(places.MODULES)
    expect(page.locator("output")).to_have_text("6 of 6 modules")


def test_breadcrumbs(visit, url):
    """From a module, the path at the top leads to every listing above it, and to the index."""
    page = visit(places.MODULES[0])
    crumbs = page.get_by_role("navigation", name="Path")
    names = ["Modules", *places.MODULES[0].split("/")]
    assert crumbs.locator("li").all_inner_texts() == names
    expect(crumbs.locator("[aria-current=page]")).to_have_text("1")
    for above in range(1, len(names) - 1):
        crumbs.get_by_role("link", name=names[-1 - above], exact=True).click()
        path = "/".join(names[1:-above])
        expect(page).to_have_url(f"{url}/{path}")
        assert shown(page) == [one for one in places.HANDLES if one.startswith(f"{path}/")]
    crumbs.get_by_role("link", name="Modules").click()
    expect(page).to_have_url(f"{url}/")


def test_missing_module(visit, url):
    """A page for what is not there names the nearest handles, whose links lead to their pages."""
    page = visit(places.MISSING)
    expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    expect(page.locator("main")).to_contain_text(f"There is no module '{places.MISSING}' here.")
    nearest = page.locator("main li a")
    assert sorted(nearest.all_text_contents()) == list(places.MODULES[3:])
    first = nearest.first.text_content()
    nearest.first.click()
    expect(page).to_have_url(re.compile(re.escape(f"{url}/{first}") + "$"))
    expect(page.get_by_role("heading", level=1)).to_have_text(first)


def test_empty_root(visit, empty):
    """A server without modules says how to make some."""
    page = visit("", server=empty)
    expect(page.locator("main")).to_contain_text("There are no modules here yet.")
    expect(page.locator("main code")).to_have_text("make export VERSION=3")
