"""Pages of modules: they are true of the modules, and what is in a module stays text."""

import dataclasses
import re
import subprocess
import sys

import html5lib
import pytest
import requests
from stem import KNOWING_STEMS

import hub
from hub import STEM
from slimhub.hub import documentation, markup
from slimhub.hub.index import ModuleIndex
from slimhub.models import catalog
from slimhub.signatures.contract import contract
from slimhub.signatures.module.provenance import PUBLISHED, STATUSES, File

pytestmark = pytest.mark.xdist_group("hub")

URL = "https://hub.example:8443"
WEIGHTS = "https://storage.example/inception_v1.tar.gz"


@pytest.fixture(scope="module")
def root(stem, tmp_path_factory):
    return hub.root_with(stem, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def entry(root):
    """A function that returns the small module of a version, with any changes to its record."""

    def get(version=3, **changes):
        module = ModuleIndex(root).entry(f"{STEM}/{version}")
        record = dataclasses.replace(module.record, **changes)
        promise = record.promise()
        # The catalog has no stem.
        record = dataclasses.replace(record, model="inception_v1")
        return dataclasses.replace(module, record=record, promise=promise)

    return get


def page(entry, **how) -> str:
    return documentation.markdown(entry, url=URL, **{"preview": "not drawn", **how})


def parsed(markdown: str):
    """Return the document of a page; any error in its markup raises."""
    html = f"<!DOCTYPE html><title>x</title>{markup.to_html(markdown).body}"
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)


def text_of(element) -> str:
    return "".join(element.itertext()).strip()


def tables(markdown: str) -> dict[str, list[list[str]]]:
    """Return the rows of a page's tables, by the heading above each."""
    found, heading = {}, ""
    for element in parsed(markdown).iter():
        if element.tag == "tbody":
            found[heading] = [[text_of(cell) for cell in row] for row in element]
        elif element.tag in ("h2", "h3"):
            heading = text_of(element)
    return found


def types(specs) -> dict[str, str]:
    return {key: spec.type for key, spec in specs.items()}


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_facts(entry, version):
    """A page has the signatures that the module promises, and the files, sizes and sums on disk."""
    module = entry(version)
    text = page(module)
    shown = tables(text)
    inputs = {
        name: dict(re.findall(r"(\w+) (float32 \[.*?\])", takes))
        for name, _, takes in shown.get("Signatures", ())
    }
    outputs = {
        name: dict(rows)
        for heading, rows in shown.items()
        for name in re.findall(r"\w+", heading.partition("Outputs of ")[2])
    }
    assert {name: (inputs[name], outputs[name]) for name in inputs} == {
        signature.name: (types(signature.inputs), types(signature.outputs))
        for mode in module.promise.modes
        for signature in mode.signatures
    }
    files = [path for path in module.directory.rglob("*") if path.is_file()]
    names = [path.relative_to(module.directory).as_posix() for path in files]
    on_disk = [File.read(path, name=name) for path, name in zip(files, names, strict=True)]
    for heading, recorded in (("Files", on_disk), ("Weights", module.record.checkpoint)):
        rows = [[file.name, f"{file.num_bytes:,}", file.sha256] for file in recorded]
        assert sorted(shown[heading]) == sorted(rows)
    assert f"{module.promise.network.num_parameters:,} parameters" in text
    assert [row[0] for row in shown["Versions"]] == [str(number) for number in contract.VERSIONS]
    assert f"| **{version}** |" in text


@pytest.mark.parametrize("is_sum_known", [True, False])
@pytest.mark.parametrize("status", STATUSES)
def test_weights(entry, monkeypatch, status, is_sum_known):
    """Weights that are not verified to be the published ones are marked in large letters."""
    model = catalog.get("inception_v1")
    if not is_sum_known:
        archive = dataclasses.replace(model.archive, sha256=None)
        unknown = dataclasses.replace(model, archive=archive)
        monkeypatch.setattr(catalog, "get", lambda name: unknown)
    text = page(entry(status=status, url=WEIGHTS if status == "downloaded" else None))
    large = {"synthetic": ["UNTRAINED"], "unverified": ["UNVERIFIED"], "pinned": ["PINNED"]}
    assert re.findall("^> ## (.*)$", text, re.MULTILINE) == large.get(status, [])
    assert ("69.8 %" in text) == (status in PUBLISHED)
    assert (WEIGHTS in text.replace("\\", "")) == (status == "downloaded")
    names_archive = status not in (*PUBLISHED, "own")
    assert (model.archive.sha256 in text) == (names_archive and is_sum_known)
    assert (f"`{model.archive.name}`, whose" in text) == (names_archive and not is_sum_known)
    assert "`None`" not in text


def test_optional_facts(entry):
    """A page says if weights are moving averages, and if the module is not where it was exported for."""
    handle = "google/a/stem/feature_vector/3"
    for change, part in (
        ({"moving_averages": True}, "They are the moving averages that the training kept"),
        ({"handle": handle}, f"was exported as `{handle}`"),
    ):
        assert part in page(entry(**change))
        assert part not in page(entry())


def test_siblings(entry):
    """Other modules of the same network are named, and no others."""
    stem = dataclasses.replace(entry(), record=dataclasses.replace(entry().record, model="stem"))
    handles = [f"{STEM}/1", f"{STEM}/3", "google/imagenet/stem/classification/3", "google/b/c/3"]
    siblings = documentation.siblings(stem, handles)
    assert siblings == [f"{STEM}/1", "google/imagenet/stem/classification/3"]
    assert f"]({URL}/{siblings[1]})" in page(entry(), siblings=siblings)
    # A handle that does not name the network says nothing of its siblings.
    flowers = dataclasses.replace(stem, handle="me/flowers/2")
    assert documentation.siblings(flowers, ["me/flowers/2", "me/cats/1"]) == []


HOSTILE = [
    "<script>alert(1)</script>",
    "`</code><script>alert(1)</script>`",
    "a|b|<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](https://elsewhere.example/x.png)",
    "\n\n# Heading\n\n<script>",
    "``` \n``` <b>",
    "\x1b[31m\u202e\0",
    "\\`*_{}[]<>()#+-.!|~&amp;",
    '" onerror="alert(1)',
    "1. a",
    "\ud800",
]


def elements(markdown: str) -> list[str]:
    """Return the names of a page's elements, in order, but those that let lines break."""
    return [element.tag for element in parsed(markdown).iter() if element.tag not in ("wbr", "br")]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_records(entry, text):
    """Any content of a record is shown as text: no markup, no script, no picture, no link."""

    def pages(text):
        record = entry().record
        checkpoint = tuple(dataclasses.replace(file, name=text) for file in record.checkpoint)
        libraries = {**record.libraries, text: text}
        return (
            page(entry(handle=text, checkpoint=checkpoint, libraries=libraries), preview=text),
            page(entry(task="classification", num_classes=3, labels=text)),
            markup.listing(["a", text]),
            f"a {markup.code(text)} b\n\n| a |\n| - |\n| {markup.cell(text)} |",
        )

    for hostile, plain in zip(pages(text), pages("plain"), strict=True):
        assert elements(hostile) == elements(plain)
        assert markup.to_html(hostile).headings == markup.to_html(plain).headings
        assert markup.printable(text).strip() in text_of(parsed(hostile))


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_odd_records(entry, version):
    """A record without libraries, files or checkpoint has a page, and so has a network without end points."""
    assert parsed(page(entry(version, libraries={}, files=(), checkpoint=()))) is not None
    promise = entry(version).promise
    network = dataclasses.replace(promise.network, end_points={})
    promise = dataclasses.replace(promise, network=network)
    assert parsed(page(dataclasses.replace(entry(version), promise=promise))) is not None


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_network_of_no_catalog(root, version):
    """The page of a network that only has a contract says nothing of its origin or its accuracy."""
    module = ModuleIndex(root).entry(f"{STEM}/{version}")
    assert module.record.model == "stem"
    text = page(module)
    assert f"\nstem, version {version} of its modules for feature vectors of images" in text
    assert f"{module.promise.network.num_parameters:,} parameters" in text
    assert "TF-Slim's own" not in text
    published = dataclasses.replace(module.record, status="verified")
    assert "ILSVRC" not in page(dataclasses.replace(module, record=published))


def test_markup():
    """Headings have ids but in quotations, columns of numbers a class, pictures a plain description."""
    html = markup.to_html(
        "# A\\_b\n\n> ## Quoted\n\n## End points\n\n### B-c `d`\n\n### B c d\n\n"
        '| a | b |\n| --- | ---: |\n| 1 | 2 |\n\n![Of A/B\\_c "d"](/x.png "A/B\\_c")\n'
    )
    assert html.headings == (("end-points", "End points"),)
    for part in ('h1 id="a_b"', 'h3 id="b-c-d"', 'h3 id="b-c-d-2"', 'td class="number"'):
        assert f"<{part}>" in html.body
    assert 'alt="Of A/B_c &#34;d&#34;"' in html.body
    assert "style=" not in html.body


def test_served_page(root):
    """The command prints the page that the server shows; its pictures can be fetched, and are drawn once."""
    home = root.parent / "home"
    with hub.serving(root, home) as server:
        shown = requests.get(f"{server.url}/{STEM}/3", timeout=200).text
        sources = re.findall('<img src="([^"]+)"', shown)
        assert len(sources) == 2 + len(
            hub.record_of(root / STEM / "3").promise().network.end_points
        )
        for source in sources:
            answer = requests.get(server.url + source, timeout=60)
            assert answer.headers["content-type"] == "image/png"
            assert "immutable" in answer.headers["cache-control"]
            assert answer.content.startswith(b"\x89PNG")
        absent = sources[0].replace("filters", "absent")
        assert requests.get(server.url + absent, timeout=60).status_code == 404
    assert "<code>[1, 16, 16, 64]</code>" in shown
    [record] = (home / "cache").rglob("preview.json")
    drawn = record.stat().st_mtime_ns
    command = [sys.executable, "-m", "slimhub.hub.page", f"--root={root}", f"--url={server.url}"]
    env = {**KNOWING_STEMS, "PATH": "", "XDG_CACHE_HOME": str(home / "cache")}
    done = subprocess.run([*command, f"{STEM}/3"], capture_output=True, text=True, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    # There, links need no host.
    html = re.sub(f'(src|href)="{server.url}', r'\1="', str(markup.to_html(done.stdout).body))
    assert html in shown
    assert record.stat().st_mtime_ns == drawn
