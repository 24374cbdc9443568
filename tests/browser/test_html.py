"""The HTML of every kind of page, as the server sends it."""

import collections
import itertools

import html5lib
import pytest
import requests
from browser import places

# What may stand in a line of text, and what holds nothing else.
PHRASING = {"a", "br", "button", "code", "em", "img", "input", "label", "output", "span", "strong"}
PHRASING |= {"wbr"}
LINES = {"p", "h1", "h2", "h3", "pre", "caption", "label", "output"} | (PHRASING - {"input", "img"})


@pytest.fixture(scope="module", params=[*places.PAGES, "empty"])
def document(request, url, empty):
    """The elements of a page, which was parsed strictly: whatever is malformed is an error."""
    server = empty if request.param == "empty" else url
    path = places.PAGES.get(request.param, "")
    answer = requests.get(f"{server}/{path}", headers={"accept": "text/html"}, timeout=300)
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    tree = parser.parse(answer.content, transport_encoding="utf-8")
    return [element for element in tree.iter() if isinstance(element.tag, str)]


def test_says_what_it_is(document):
    """A page has a language, a title, a description of its screen, one main part and one first heading."""
    found = collections.Counter(element.tag for element in document)
    assert [found[tag] for tag in ("html", "title", "main", "h1")] == [1, 1, 1, 1]
    assert document[0].get("lang") == "en"
    [title] = [element.text for element in document if element.tag == "title"]
    assert title.strip()
    names = {element.get("name") for element in document if element.tag == "meta"}
    assert {"viewport", "color-scheme"} <= names


def test_ids_are_unique(document):
    """No two elements have the same id, and none an empty one."""
    ids = [element.get("id") for element in document if "id" in element.attrib]
    assert sorted(ids) == sorted(set(ids) - {""})


def test_references_lead_somewhere(document):
    """Links within a page, labels and outputs name an id that is there."""
    ids = {element.get("id") for element in document}
    links = {e.get("href")[1:] for e in document if e.get("href", "").startswith("#")}
    attributes = ("for", "aria-controls", "aria-labelledby", "aria-describedby")
    named = {e.get(key) for e in document for key in attributes if e.get(key)}
    assert "content" in links
    assert links | named <= ids


def test_lines_hold_text_only(document):
    """Paragraphs, headings and what is in them hold no blocks, which a parser lets pass."""
    misplaced = [
        (outer.tag, inner.tag)
        for outer in document
        if outer.tag in LINES
        for inner in outer.iter()
        if inner is not outer and inner.tag not in PHRASING
    ]
    assert misplaced == []


def test_pictures_are_described(document):
    """Each picture has a text for those who do not see it."""
    assert all(e.get("alt", "").strip() for e in document if e.tag == "img")


def test_tables_are_told_apart(document):
    """Each table that can be reached by keyboard has a name of its own."""
    names = [e.get("aria-label") for e in document if e.get("role") == "group"]
    assert all(name.startswith("Table: ") for name in names)
    assert sorted(names) == sorted(set(names))


def test_headings_are_in_order(document):
    """No level of headings is left out."""
    levels = [int(e.tag[1]) for e in document if e.tag in {"h1", "h2", "h3", "h4", "h5", "h6"}]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_nothing_from_elsewhere(document, url, empty):
    """All that a page loads is of its own server, and it has no scripts or styles of its own."""
    sources = [e.get("src") for e in document if e.tag in {"img", "script"}]
    sources += [e.get("href") for e in document if e.tag == "link"]
    assert sources
    assert all(one.startswith(("/~/", f"{url}/~/", f"{empty}/~/")) for one in sources)
    assert not [e for e in document if e.tag == "style" or "style" in e.attrib]
    assert not [e for e in document if e.tag == "script" and e.text]
    assert not [key for e in document for key in e.attrib if key.startswith("on")]
