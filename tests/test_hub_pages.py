"""The pages of modules: what they say is what the modules are; what is in those stays text."""

import dataclasses
import re
import subprocess
import sys

import html5lib
import hub
import pytest
import requests
from hub import STEM

from slimhub.export.hub import pages, rendering
from slimhub.export.hub.shelf import Shelf
from slimhub.models import catalog
from slimhub.signatures import contract, formats
from slimhub.signatures.interface import TensorSpec
from slimhub.signatures.provenance import STATUSES

pytestmark = pytest.mark.xdist_group("hub")

URL = "https://hub.example:8443"


@pytest.fixture(scope="module")
def root(stem, tmp_path_factory):
    return hub.root_with(stem, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def entry(root):
    """A function that gives the small module of a version, as whatever network and with whatever record."""

    def get(version=3, **changes):
        found = Shelf(root).entry(f"{STEM}/{version}")
        record = dataclasses.replace(found.record, model="inception_v1", **changes)
        return dataclasses.replace(found, record=record)

    return get


def page(entry, **how) -> str:
    return pages.markdown(entry, url=URL, **{"portrait": "not drawn", **how})


@pytest.mark.parametrize("version", contract.VERSIONS)
def test_facts(entry, version):
    """A page tells of its module's signatures, files, sizes and sums."""
    found = entry(version)
    text, promise = page(found), found.record.promise()
    assert text.startswith(f"# {STEM.replace('_', chr(92) + '_')}/{version}\n")
    assert f"{URL}/{found.handle}.tar.gz" in text
    assert f"{found.record.interface.num_parameters:,} parameters" in text
    for mode in promise.modes:
        for signature in mode.signatures:
            assert f"`{signature.name}`" in text
            for key, spec in {**signature.inputs, **signature.outputs}.items():
                assert re.search(rf"`{re.escape(key)}`( \|)? `{re.escape(spec.type)}`", text)
        for call in mode.calls:
            assert f"| `{call.name}` |" in text
    for file in (*found.record.files, *found.record.checkpoint):
        assert f"| `{file.name}` | {file.num_bytes:,} | `{file.sha256}` |" in text
    assert f"| `{formats.PROVENANCE}` | " in text
    assert f"| `{found.key}` |" in text
    for number, rules in contract.VERSIONS.items():
        assert rules.changes in text
        assert (f"| **{number}** |" in text) == (number == version)


@pytest.mark.parametrize(
    ("version", "has", "lacks"),
    [
        (
            1,
            ["32 x 32, and no other", 'tags={"train"}', "0.9997"],
            ["_with_bn_hparams", "tf_keras"],
        ),
        (3, ["from 1 x 1 on", "_with_bn_hparams", "0.997}"], ["tf_keras", "arguments="]),
        (5, ["from 1 x 1 on", "batch_norm_momentum=0.997", "tf_keras"], ["hub.Module(", "{train}"]),
    ],
)
def test_versions(entry, version, has, lacks):
    """A page tells what its version can do, and how to fine-tune it."""
    text = page(entry(version))
    for part in has:
        assert part in text
    for part in lacks:
        assert part not in text.split("## Versions")[0].replace("`..._with_bn_hparams`", "")


@pytest.mark.parametrize("status", STATUSES)
def test_weights(entry, status):
    """Weights that are not the published ones are called so in large letters, and have no accuracy."""
    text = page(entry(status=status))
    large = re.findall("^> ## (.*)$", text, re.MULTILINE)
    assert (
        large
        == {
            "synthetic": ["UNTRAINED"],
            "unverified": ["UNVERIFIED"],
            "pinned": ["PINNED"],
            "verified": [],
        }[status]
    )
    assert ("69.8 %" in text) == (status == "verified")
    assert (catalog.get("inception_v1").archive.sha256 in text) == (status != "verified")
    assert catalog.get("inception_v1").papers[0] in text


@pytest.mark.parametrize("status", STATUSES)
def test_sum_that_nobody_published(entry, monkeypatch, status):
    """Of an archive whose SHA-256 nobody published, a page has its name only."""
    model = catalog.get("inception_v1")
    archive = dataclasses.replace(model.archive, sha256=None)
    monkeypatch.setattr(catalog, "get", lambda name: dataclasses.replace(model, archive=archive))
    text = page(entry(status=status))
    assert "`None`" not in text
    assert (f"`{archive.name}`, whose SHA-256 is not known" in text) == (status != "verified")


def test_moving_averages(entry):
    """A page says if the weights are the moving averages of a training."""
    assert "moving averages that the training kept" not in page(entry())
    assert "They are the moving averages that the training kept" in page(
        entry(moving_averages=True)
    )


def test_unknown_network(root):
    """A module of a network that the catalog does not have has a page, too."""
    text = pages.markdown(Shelf(root).entry(f"{STEM}/3"), url=URL, portrait="not drawn")
    assert text.count("stem, version 3") == 1
    assert "not drawn" in text


def test_moved(entry):
    """A module that is not where it was exported for says so."""
    assert "was exported as" not in page(entry())
    assert "was exported as `google/a/stem/feature_vector/3`" in page(
        entry(handle="google/a/stem/feature_vector/3")
    )


def test_siblings(entry):
    """Other modules of the same network are named, and no others."""
    stem = dataclasses.replace(entry(), record=dataclasses.replace(entry().record, model="stem"))
    handles = [f"{STEM}/1", f"{STEM}/3", "google/imagenet/stem/classification/3", "google/b/c/3"]
    found = pages.siblings(stem, handles)
    assert found == [f"{STEM}/1", "google/imagenet/stem/classification/3"]
    assert f"]({URL}/{found[1]})" in page(stem, siblings=found)
    # Of a handle that does not name the network, there is no telling.
    flowers = dataclasses.replace(stem, handle="me/flowers/2")
    assert pages.siblings(flowers, ["me/flowers/2", "me/cats/1"]) == []


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


def parsed(html: str):
    """The document, whose markup is without an error."""
    return html5lib.HTMLParser(strict=True).parse(html)


def elements(document, name: str):
    return [one for one in document.iter() if str(one.tag).endswith("}" + name)]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_records(entry, text):
    """Whatever stands in a record comes out as text: no markup, no script, no picture, no link."""
    good = entry()
    checkpoint = tuple(dataclasses.replace(one, name=text) for one in good.record.checkpoint)
    libraries = {**good.record.libraries, text: text}
    bad = entry(handle=text, checkpoint=checkpoint, libraries=libraries)
    pairs = []
    for one in (good, bad):
        html = rendering.to_html(page(one, portrait=text if one is bad else "not drawn"))
        pairs.append((parsed(f"<!DOCTYPE html><title>x</title>{html.body}"), html.headings))
    (expected, headings), (document, found) = pairs
    for name in ("script", "img", "b", "h1", "h2", "h3", "td", "a", "pre"):
        assert len(elements(document, name)) == len(elements(expected, name)), name
    assert found == headings
    shown = "".join(document.itertext())
    assert rendering.printable(text) in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_labels(entry, text):
    """So does what a record says of classes, and what a file names them."""
    logits = TensorSpec(name="x:0", shape=(None, 3))
    interface = dataclasses.replace(entry().record.interface, logits=logits, predictions=logits)
    bad = entry(task="classification", interface=interface, labels=text)
    good = entry(task="classification", interface=interface, labels="plain")
    for hostile, plain in (
        (page(bad), page(good)),
        (rendering.listing(["a", text]), rendering.listing(["a", "b"])),
    ):
        document, expected = (
            parsed(f"<!DOCTYPE html><title>x</title>{rendering.to_html(one).body}")
            for one in (hostile, plain)
        )
        for name in ("script", "img", "b", "h1", "h2", "td", "a", "pre", "li"):
            assert len(elements(document, name)) == len(elements(expected, name)), name
        assert rendering.printable(text) in "".join(document.itertext())


def test_odd_records(entry):
    """Whatever a record may lack, there is a page."""
    record = entry().record
    last = [*record.interface.end_points.items()][-1:]
    for change in (
        {"libraries": {}},
        {"checkpoint": ()},
        {"files": ()},
        {"interface": dataclasses.replace(record.interface, end_points={})},
        {"interface": dataclasses.replace(record.interface, end_points=dict(last))},
        {"interface": dataclasses.replace(record.interface, num_batch_norms=0)},
    ):
        for version in contract.VERSIONS:
            found = entry(version, **change)
            html = rendering.to_html(page(found)).body
            parsed(f"<!DOCTYPE html><title>x</title>{html}")


def test_alternative_texts(entry):
    """What stands for a picture is plain text, as keys are written."""
    html = rendering.to_html(r'![Of A/B\_c "d"](/x.png "A/B\_c")').body
    assert 'alt="Of A/B_c &#34;d&#34;"' in html


@pytest.mark.parametrize("text", [*HOSTILE, "", " a ", "a`", "`", "plain"])
def test_code(text):
    """Whatever is to be shown as code is, in a paragraph and in a table."""
    for markdown in (f"a {rendering.code(text)} b", f"| a |\n| - |\n| {rendering.cell(text)} |"):
        html = rendering.to_html(markdown).body
        [code] = elements(parsed(f"<!DOCTYPE html><title>x</title>{html}"), "code")
        assert "".join(code.itertext()).strip() == rendering.printable(text).strip()


def test_headings():
    """Headings have ids, by which the page's contents lead to them, but those in quotations."""
    html = rendering.to_html(
        r"# A\_b" "\n\n> ## Quoted\n\n## End points\n\n### B-c `d`\n\n### B c d\n"
    )
    assert html.headings == (("end-points", "End points"),)
    for heading in ('h1 id="a_b"', 'h3 id="b-c-d"', 'h3 id="b-c-d-2"'):
        assert f"<{heading}>" in html.body


def test_no_styles():
    """Columns of numbers are marked for the style sheet, as pages allow no styles of their own."""
    html = rendering.to_html("| a | b |\n| --- | ---: |\n| 1 | 2 |\n").body
    assert "style=" not in html
    assert '<td class="number">2</td>' in html


@pytest.fixture(scope="module")
def server(root):
    with hub.serving(root, root.parent / "home") as server:
        yield server


def test_html(server):
    """Every page is HTML without an error."""
    for path in ("", "google", f"{STEM}/1", f"{STEM}/3", f"{STEM}/5", "absent"):
        answer = requests.get(f"{server.url}/{path}", headers={"accept": "text/html"}, timeout=200)
        document = parsed(answer.text)
        ids = [one.get("id") for one in document.iter() if one.get("id")]
        assert len(ids) == len(set(ids))


def test_pictures(server, root, stem):
    """A page has pictures that the server has, and shapes as the module gives them; made only once."""
    text = requests.get(f"{server.url}/{STEM}/3", timeout=200).text
    sources = re.findall('<img src="([^"]+)"', text)
    record = hub.record_of(stem / "3")
    assert len(sources) == 2 + len(record.interface.end_points)
    for source in sources:
        assert source.startswith("/~/pictures/")
        answer = requests.get(server.url + source, timeout=60)
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")
    assert "<code>[1, 16, 16, 64]</code>" in text
    drawn = sorted((root.parent / "home/cache").rglob("portrait.json"))
    times = [path.stat().st_mtime_ns for path in drawn]
    requests.get(f"{server.url}/{STEM}/3", timeout=60)
    assert [path.stat().st_mtime_ns for path in drawn] == times
    assert (
        requests.get(server.url + sources[0].replace("filters", "absent"), timeout=60).status_code
        == 404
    )


def test_command(server, root):
    """The command prints the page that the server shows, in Markdown."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "slimhub.export.hub.page",
            f"--root={root}",
            f"--url={server.url}",
            f"{STEM}/3",
        ],
        capture_output=True,
        text=True,
        env={"PATH": "", "XDG_CACHE_HOME": str(root.parent / "home/cache")},
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = requests.get(f"{server.url}/{STEM}/3", timeout=200).text
    # There, links need no host.
    html = re.sub(f'(src|href)="{server.url}', r'\1="', str(rendering.to_html(done.stdout).body))
    assert html in shown
