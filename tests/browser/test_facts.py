"""The page of each version tells what is true of the module on disk."""

import dataclasses
import hashlib
import re
import tarfile
from pathlib import Path

import pytest
from browser import facts, places, scripts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shown:
    """A module on disk, and its page: text and tables."""

    handle: str
    directory: Path
    text: str
    tables: list[dict]

    @property
    def version(self) -> int:
        return int(self.handle[-1])

    @property
    def classifies(self) -> bool:
        return "/classification/" in self.handle

    def table(self, section: str, heading: str | None = None) -> list[list[str]]:
        [rows] = [
            one["rows"]
            for one in self.tables
            if (one["section"], one["heading"]) == (section, heading or section)
        ]
        return rows

    def part(self, heading: str) -> str:
        """Text from one second heading to the next."""
        return self.text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.fixture(params=places.MODULES)
def page(request, visit):
    """The page of each module."""
    return visit(request.param)


@pytest.fixture
def shown(page, url, root) -> Shown:
    """What the page of each module tells."""
    handle = page.url.removeprefix(f"{url}/")
    return Shown(
        handle=handle,
        directory=root / handle,
        text=page.evaluate(scripts.TEXT),
        tables=page.evaluate(scripts.TABLES),
    )


def test_what_it_is(shown, url):
    """The page names handle, task, format, size and URL of its module."""
    task = "image classification" if shown.classifies else "feature vectors of images"
    form = "TF2 SavedModel" if shown.version == 5 else "TF1 Hub"
    size = sum(path.stat().st_size for path in shown.directory.rglob("*") if path.is_file())
    assert (shown.directory / "tfhub_module.pb").exists() == (form == "TF1 Hub")
    assert shown.text.startswith(f"{shown.handle}\nUNTRAINED")
    what = f"version {shown.version} of its modules for {task}: {form}, {size / 1e6:.1f} MB."
    assert what in shown.text
    assert f"\n{url}/{shown.handle}\n" in shown.text


def test_archive(page, shown):
    """The link to the archive leads to one."""
    with page.expect_download() as download:
        page.get_by_role("link", name="an archive").click()
    assert download.value.suggested_filename == shown.handle.replace("/", "_") + ".tar.gz"
    with tarfile.open(download.value.path()) as archive:
        names = {one.name.removeprefix("./") for one in archive if one.isfile()}
    assert names == set(facts.files(shown.directory))


def test_siblings(page, shown):
    """The page lists all other modules of the same network, and links them."""
    links = page.locator("article li a")
    siblings = [handle for handle in places.MODULES if handle != shown.handle]
    assert links.all_text_contents() == siblings
    for link, sibling in zip(links.all(), siblings, strict=True):
        assert link.evaluate("link => link.pathname") == f"/{sibling}"


def test_parameters(shown):
    """The page tells how many numbers are in the variables."""
    assert f"It has {facts.num_parameters(shown.directory):,} parameters" in shown.part("Overview")


def test_weights(shown, synthetic_archive):
    """The page tells that the weights are untrained, and the size and SHA-256 of what they were read from."""
    assert shown.part("Weights").startswith("UNTRAINED: synthetic weights")
    recorded = facts.provenance(shown.directory)["checkpoint"]
    rows = shown.table("Weights")
    assert rows == [[one["name"], f"{one['num_bytes']:,}", one["sha256"]] for one in recorded]
    assert rows[0] == [synthetic_archive.name, *facts.of_file(synthetic_archive)]


def test_images(shown):
    """Version 1 takes images of one size, later ones of any; the shapes are those of the SavedModel."""
    part = shown.part("Images")
    [images] = {
        type
        for signature in facts.signatures(shown.directory).values()
        for key, type in signature.inputs.items()
        if key in ("images", "inputs")
    }
    assert images == f"float32 {'[?, 224, 224, 3]' if shown.version == 1 else '[?, ?, ?, 3]'}"
    assert f"Input: {images}, RGB, with values in [0, 1]" in part
    assert ("Size: 224 x 224, and no other." in part) == (shown.version == 1)
    assert ("Size: any from 1 x 1 on" in part) == (shown.version != 1)
    assert ("Output: float32 [?, 1001], logits." in part) == shown.classifies
    assert ("Output: float32 [?, 1024], feature vectors" in part) == (not shown.classifies)


def test_order_of_labels(shown):
    """A classification tells the order of its classes, and where their names are."""
    part = shown.part("Images")
    assert ("Class 0 is" in part) == ("ImageNetLabels.txt" in part) == shown.classifies


def test_momentum(shown):
    """Batch norm's momentum is the network's in TF-Slim in version 1; later it is 0.99, and can be set."""
    part = shown.part("Fine-tuning")
    fixed = "that of this network in TF-Slim, 0.9997."
    settable = "is 0.99 unless it is given"
    assert (fixed in part, settable in part) == (shown.version == 1, shown.version != 1)
    assert ("_with_bn_hparams" in shown.text) == (shown.version != 1)
    signature = f'signature="{"image_" + shown.handle.split("/")[-2]}_with_bn_hparams"'
    assert (signature in part) == (shown.version == 3)
    assert ("arguments=dict(batch_norm_momentum=" in part) == (shown.version == 5)
    assert ('tags={"train"}' in part) == (shown.version != 5)


def test_signatures(shown):
    """Names, tag sets, inputs and outputs of all signatures are those of the SavedModel."""
    expected = facts.signatures(shown.directory)
    rows = {name: (tags, inputs) for name, tags, inputs in shown.table("Signatures")}
    assert set(rows) == set(expected)
    for name, signature in expected.items():
        training = shown.version == 5 and name.endswith("_with_bn_hparams")
        assert rows[name] == (
            ", ".join(signature.tags) + (" training" if training else ""),
            ", ".join(f"{key} {type}" for key, type in _images_first(signature.inputs)),
        )
        [outputs] = [
            one["rows"]
            for one in shown.tables
            if name in re.findall(r"\w+", one["heading"].partition("Outputs of ")[2])
        ]
        assert dict(outputs) == signature.outputs


def _images_first(inputs: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(inputs.items(), key=lambda item: item[0] == "batch_norm_momentum")


def test_calls(shown):
    """Version 5 tells how it is called, the others do not; each call gives what is said of it."""
    [rows] = [one["rows"] for one in shown.tables if one["heading"] == "Calls"] or [[]]
    calls = [call for call, _ in rows]
    assert (len(calls) > 1) == (shown.version == 5)
    expected = {
        call: "a dictionary of default and all end points" if isinstance(one, dict) else one
        for call, one in facts.calls(shown.directory, calls, size=224).items()
    }
    assert dict(rows) == expected


def test_end_points(shown):
    """End points come in the network's order, with the shapes that they have for one image."""
    rows = shown.table("End points")
    recorded = facts.provenance(shown.directory)["interface"]["end_points"]
    assert [key for key, _ in rows] == list(recorded)
    measured = facts.end_points(shown.directory, size=224)
    assert dict(rows) == {key: str(shape) for key, shape in measured.items()}


def test_files(shown):
    """All files are there with their sizes and sums, as they are on disk."""
    rows = shown.table("Files")
    assert {name: rest for name, *rest in rows} == facts.files(shown.directory)
    assert len(rows) == len({name for name, *_ in rows})


def test_versions(page, shown):
    """The page tells what was new in each version, and marks its own."""
    rows = shown.table("Versions")
    assert [row[:2] for row in rows] == [
        ["1", "TF1 Hub"],
        ["3", "TF1 Hub"],
        ["5", "TF2 SavedModel"],
    ]
    assert "images of one size" in rows[0][2]
    assert "Images of any size; batch norm's momentum is 0.99" in rows[1][2]
    assert "fine-tuned" in rows[2][2]
    assert page.locator("td strong").all_text_contents() == [str(shown.version)]


def test_pictures(page, shown, home):
    """The filters, the picture and what each end point makes of it are there, as they were drawn."""
    page.evaluate(scripts.LOAD_ALL)
    images = page.evaluate("[...document.images].map((i) => [i.src, i.alt, i.naturalWidth])")
    key = hashlib.sha256(
        (shown.directory / "assets.extra/provenance.json").read_bytes()
    ).hexdigest()
    [drawn] = (home / "cache").rglob(f"{key}.*")
    assert {Path(source).name for source, _, _ in images} == {
        one.name for one in drawn.glob("*.png")
    }
    for source, _, width in images:
        assert f"/~/pictures/{key}" in source
        content = page.request.get(source).body()
        assert content == (drawn / Path(source).name).read_bytes()
        # Where a PNG has it.
        assert width == int.from_bytes(content[16:20], "big") > 0
    end_points = [alt.removeprefix("Activations of ") for _, alt, _ in images[2:]]
    assert end_points == list(facts.provenance(shown.directory)["interface"]["end_points"])


def test_without_pictures(visit):
    """Of a module that may not be run, the page tells why, and all that is known without running it."""
    page = visit(places.UNDRAWN)
    assert page.locator("article img").count() == 0
    text = page.evaluate(scripts.TEXT)
    assert "There are no pictures of it here. " in text
    assert "{} has 1 of the operation WriteFile" in text
    [rows] = [
        one["rows"] for one in page.evaluate(scripts.TABLES) if one["section"] == "End points"
    ]
    assert rows[0] == ["InceptionV1/Conv2d_1a_7x7", "float32 [?, ?, ?, 64]"]
