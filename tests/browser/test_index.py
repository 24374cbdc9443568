"""The index, the listings below it, and the pages that they lead to."""

import tarfile

import pytest
import requests
from browser import places
from playwright.sync_api import expect

import hub

ROWS = "#modules tbody tr"


@pytest.fixture(scope="module")
def listed(url) -> dict[str, dict]:
    """Return what the server tells machines of its modules, by handle."""
    modules = requests.get(f"{url}/index.json", timeout=300).json()["modules"]
    return {module["handle"]: module for module in modules}


def shown(page) -> list[str]:
    """Return the handles of the rows that can be seen."""
    return page.locator(f"{ROWS}:visible th a").all_text_contents()


@pytest.mark.parametrize("screen", places.SCREENS, ids=str)
def test_rows(visit, root, listed, screen):
    """Each module has a row with its version, format, size, parameters and weights, or what is wrong with it."""
    page = visit("", screen=screen)
    assert shown(page) == list(places.HANDLES) == list(listed)
    for row, (handle, module) in zip(page.locator(ROWS).all(), listed.items(), strict=True):
        assert row.locator("th a").get_attribute("href") == f"/{handle}"
        cells = row.locator("td").all_inner_texts()
        assert row.locator("td").last.is_visible()
        if handle == places.DAMAGED:
            assert cells == [f"Not served: {module['problem']}"]
            continue
        size = sum(path.stat().st_size for path in (root / handle).rglob("*") if path.is_file())
        promise = hub.record_of(root / handle).promise()
        assert cells == [
            handle[-1],
            promise.format.name,
            f"{size / 1e6:.1f} MB",
            f"{promise.network.num_parameters:,}",
            "UNTRAINED",
        ]


def test_example(visit, url):
    """The example at the top loads a module that is served, although a damaged one comes first."""
    expect(visit("").locator("pre")).to_have_text(
        f'layer = hub.KerasLayer("{url}/{places.MODULES[0]}")'
    )


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("  Feature_Vector   SAVEDMODEL ", [places.MODULES[2]]),
        ("untrained", [*places.MODULES, places.UNDRAWN]),
        ("not served", [places.DAMAGED]),
        ("classification feature_vector", []),
    ],
)
def test_filter(visit, typed, found):
    """The letters typed leave the rows that have all of the words, and the count of them is announced."""
    page = visit("")
    page.get_by_role("searchbox", name="Filter", exact=True).focus()
    counts = []
    for letter in typed:
        page.keyboard.type(letter)
        counts.append(len(shown(page)))
        expect(page.get_by_role("status").and_(page.locator("output"))).to_have_text(
            f"{counts[-1]} of {len(places.HANDLES)} modules"
        )
    assert counts == sorted(counts, reverse=True)
    assert shown(page) == list(found)
    assert page.locator("#none").is_visible() == (not found)
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.press("Delete")
    assert shown(page) == list(places.HANDLES)
    expect(page.locator("#none")).to_be_hidden()


def test_breadcrumbs(visit, url):
    """From a module, the path at the top leads to every listing above it, and to the index."""
    page = visit(places.MODULES[0])
    crumbs = page.get_by_role("navigation", name="Path")
    names = ["Modules", *places.MODULES[0].split("/")]
    assert crumbs.locator("li").all_inner_texts() == names
    expect(crumbs.locator("[aria-current=page]")).to_have_text(names[-1])
    for above in range(1, len(names) - 1):
        crumbs.get_by_role("link", name=names[-1 - above], exact=True).click()
        path = "/".join(names[1:-above])
        expect(page).to_have_url(f"{url}/{path}")
        expect(page.get_by_role("heading", level=1)).to_have_text(path)
        assert shown(page) == [one for one in places.HANDLES if one.startswith(f"{path}/")]
    crumbs.get_by_role("link", name="Modules").click()
    expect(page).to_have_url(f"{url}/")


def test_links_of_a_module(visit, url, root):
    """A page links the module's archive, and all other modules of the same network."""
    handle, *siblings = places.MODULES
    page = visit(handle)
    assert page.locator("article li a").all_text_contents() == siblings
    with page.expect_download() as download:
        page.get_by_role("link", name="an archive").click()
    assert download.value.suggested_filename == handle.replace("/", "_") + ".tar.gz"
    with tarfile.open(download.value.path()) as archive:
        assert "./saved_model.pb" in archive.getnames()
    page.get_by_role("link", name=siblings[1]).click()
    expect(page).to_have_url(f"{url}/{siblings[1]}")


def test_missing_module(visit, url):
    """A page for what is not there names the nearest handles, whose links lead to their pages."""
    page = visit(places.MISSING)
    expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    nearest = page.locator("main li a")
    assert set(places.MODULES[1:]) <= set(nearest.all_text_contents())
    first = nearest.first.text_content()
    nearest.first.click()
    expect(page).to_have_url(f"{url}/{first}")
    expect(page.get_by_role("heading", level=1)).to_have_text(first)
