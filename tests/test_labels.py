"""Names of classes: read from a file, in modules, checked there, and on pages."""

import dataclasses
import functools
import json
import re
import shutil
from pathlib import Path

import html5lib
import pytest
import tensorflow as tf
from stem import STEM, STEMS, broken_copy, export_stem, node, sign, stem_in_catalog
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from slimhub.export import exporter, labels, module_archive
from slimhub.export.errors import UsageError
from slimhub.export.hub import pages, rendering
from slimhub.export.hub.shelf import Shelf
from slimhub.export.request import ExportRequest
from slimhub.models import catalog
from slimhub.signatures import conformance, contract, formats
from slimhub.signatures import labels as label_file
from slimhub.signatures.provenance import files_in, from_json

# One worker exports them, once.
pytestmark = pytest.mark.xdist_group("labels")

# Three classes: the head is small then.
FLOWERS = dataclasses.replace(STEM, num_classes=3)
NAMES = ("background", "<b>daisy</b> & ```rose```", "Gänseblümchen")
PLACES = {1: "assets.extra/labels.txt", 3: "assets.extra/labels.txt", 5: "assets/labels.txt"}


@pytest.fixture(scope="module", autouse=True)
def flowers():
    """Has the small network have three classes, here only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STEMS, FLOWERS.name, FLOWERS)
        yield


@pytest.fixture(scope="module")
def root(flowers, tmp_path_factory):
    """A root with a classification of every version that names its classes."""
    output = tmp_path_factory.mktemp("labels")
    export_stem(output, versions=PLACES, task="classification", labels=NAMES)
    return output


@pytest.fixture(scope="module")
def labelled(root):
    """The directory of all versions."""
    return root / "google/imagenet/stem/classification"


def read(tmp_path, content: bytes):
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    return labels.read(str(path))


GOOD = {
    "plain": "a\nb b\nc\n",
    "without_end": "a\nb b\nc",
    "numbered": "0:a\n1:b b\n2:c\n",
    "in_any_order": "2:c\n0:a\n1: b b\n",
    "with_mark": "\ufeffa\nb b\nc\n",
    "of_windows": "\ufeff0:a\r\n1:b b\r\n2:c\r\n",
    "with_blanks": "  a\nb b  \nc \n",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_read(tmp_path, text):
    """A file has a class a line, or each line its class's number, as Slim writes it."""
    assert read(tmp_path, text.encode()) == ("a", "b b", "c")


BAD = {
    "empty": (b"", "it names no class"),
    "newline": (b"\n", "line 1: it is empty"),
    "empty_line": (b"a\n\nb\n", "line 2: it is empty"),
    "blank_line": (b"a\nb\n  \n", "line 3: it is empty"),
    "empty_last_line": (b"a\nb\n\n", "line 3: it is empty"),
    "tab": (b"a\nb\tc\n", "line 2: the control character U+0009"),
    "carriage_return": (b"a\rb\n", "line 1: the control character U+000D"),
    "nul": (b"a\n\0\n", "line 2: the control character U+0000"),
    "line_separator": ("a\nb\u2028c\n".encode(), "line 2: the control character U+2028"),
    "second_mark": ("a\n\ufeffb\n".encode(), "line 2: the control character U+FEFF"),
    "not_utf8": (b"a\nb\n\xe4\n", "line 3: expected UTF-8, got 0xe4"),
    "utf16": ("a\nb\n".encode("utf-16"), "line 1: expected UTF-8"),
    "too_long": (b"a" * (1 << 20) + b"\n", "it has more than 1048576 bytes"),
    "mixed": (b"0:a\nb\n2:c\n", "line 2: no number, which other lines have"),
    "twice": (b"0:a\n1:b\n1:c\n", "line 3: 1 stands in line 2 already; there is no line of 2"),
    "from_one": (b"1:a\n2:b\n", "line 2: 2, of 2 classes; there is no line of 0"),
    "gap": (b"0:a\n2:b\n", "line 2: 2, of 2 classes; there is no line of 1"),
    "no_name": (b"0:a\n1: \n", "line 2: no name behind 1"),
    "many": (
        b"\n" * 7 + b"a\n",
        "; ".join(f"line {n}: it is empty" for n in range(1, 6)) + "; and 2 more",
    ),
    "endless_number": (b"0:a\n" + b"1" * 9999 + b":b\n", "line 2: no number, which other lines"),
}


@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD)
def test_refused_file(tmp_path, content, says):
    """A file that is no list of classes is refused, with its name and the lines that are wrong."""
    with pytest.raises(UsageError, match=re.escape(f"labels.txt can't be used: {says}")):
        read(tmp_path, content)


def test_no_classes_to_name():
    """Feature vectors alone have no classes to name."""
    with pytest.raises(
        UsageError, match="--labels names classes, which modules of feature vectors"
    ):
        ExportRequest(version=3, tasks=("feature_vector",), labels=NAMES)


OTHERS = {
    2: "names 2 classes, and stem.ckpt has 3: .* Does the first one, the background class",
    4: "names 4 classes, and stem.ckpt has 3: .* Is one of the lines for a background class",
    9: "names 9 classes, and stem.ckpt has 3: expected a line for each class of the head, I.*1x1.$",
}


@pytest.mark.parametrize(("number", "says"), OTHERS.items())
def test_other_number(number, says):
    """Names for other classes than those of the head are refused, with both numbers."""
    names = [str(index) for index in range(number)]
    with pytest.raises(UsageError, match=says):
        labels.refuse_others(names, model=FLOWERS, checkpoint="stem.ckpt", num_classes=3)
    labels.refuse_others(names, model=FLOWERS, checkpoint="stem.ckpt", num_classes=None)


@pytest.mark.parametrize("tasks", [contract.TASKS, contract.TASKS[::-1]])
def test_nothing_is_published(tmp_path, tasks):
    """Where the number of names is wrong, feature vectors are not published either."""
    with stem_in_catalog():
        request = ExportRequest(
            version=3,
            models=(FLOWERS.name,),
            tasks=tasks,
            checkpoint="synthetic",
            labels=NAMES[1:],
            output=tmp_path / "modules",
        )
        outcomes = list(exporter.export(request))
    assert [type(outcome.error) for outcome in outcomes] == [UsageError] * 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", PLACES)
def test_module(labelled, version):
    """The file is where the format has it, one name a line, and recorded; every check passes."""
    directory = labelled / str(version)
    report = conformance.check(directory)
    assert report.failed == ()
    assert (directory / PLACES[version]).read_text() == "".join(f"{name}\n" for name in NAMES)
    record = from_json((directory / formats.PROVENANCE).read_text())
    assert record.labels_file == record.promise().labels == PLACES[version]
    assert record.labels == f"Those that {PLACES[version]} names, a line each, from class 0 on."
    assert PLACES[version] in {file.name for file in record.files}
    assert set(record.promise().files) == {path.name for path in files_in(directory)}


def test_asset(labelled, tmp_path):
    """What TensorFlow 2 loads of version 5 knows where the file is; and so does what is saved of that."""
    loaded = tf.saved_model.load(str(labelled / "5"))
    path = loaded.labels.asset_path.numpy().decode()
    assert path == str(labelled / "5/assets/labels.txt")
    assert loaded(tf.zeros([1, 32, 32, 3])).shape == (1, 3)
    tf.saved_model.save(loaded, str(tmp_path / "saved"))
    again = tf.saved_model.load(str(tmp_path / "saved")).labels.asset_path.numpy().decode()
    assert again == str(tmp_path / "saved/assets/labels.txt")
    assert label_file.parse(Path(again).read_bytes()) == NAMES


def test_session(labelled):
    """TensorFlow 1's loader finds the asset, and nothing in the graph that reads it."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(labelled / "5"))
        [asset] = loaded.asset_file_def
        assert asset.filename == "labels.txt"
        assert session.run(asset.tensor_info.name) == b""
        assert session.graph.get_tensor_by_name(asset.tensor_info.name).consumers() == []


@pytest.mark.slow
def test_same_bytes(labelled, tmp_path):
    """Exported in another directory, files are the same."""
    output = tmp_path / "another/place"
    found = export_stem(output, versions=(5,), task="classification", labels=NAMES)
    assert files_in(found / "5") == files_in(labelled / "5")


def test_no_string_variable(labelled):
    """For the asset there are neither a path nor a variable: those of the graph are the network's."""
    content = (labelled / "5/saved_model.pb").read_bytes()
    # Nor the directory's that it was written into, beside this one.
    assert str(labelled.parents[3]).encode() not in content
    [meta_graph] = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    handles = [one for one in meta_graph.graph_def.node if one.op == "VarHandleOp"]
    assert {one.attr["dtype"].type for one in handles} == {types_pb2.DT_FLOAT}
    assert {one.op for one in meta_graph.graph_def.node if "asset" in one.name} == {"Const"}


def test_archive(labelled, tmp_path):
    """The archive of a module has the file, and passes the checks that a directory does."""
    for version, name in PLACES.items():
        archive = tmp_path / f"{version}.tar.gz"
        module_archive.pack(labelled / str(version), into=archive)
        shutil.unpack_archive(archive, tmp_path / str(version))
        assert (tmp_path / str(version) / name).read_text().splitlines() == list(NAMES)
        assert files_in(tmp_path / str(version)) == files_in(labelled / str(version))


def rewrite(content: bytes):
    def change(m):
        place = PLACES[5 if (m.directory / "fingerprint.pb").exists() else 3]
        (m.directory / place).write_bytes(content)

    return change


def asset_node(m):
    return node(m.infer, "asset_path_initializer")


def set_path(m):
    asset_node(m).attr["value"].tensor.string_val[0] = b"some/where/labels.txt"


def escape(m):
    m.infer.asset_file_def[0].filename = "../../../../etc/passwd"


def another_asset(m):
    m.infer.asset_file_def.add(filename="labels.txt").tensor_info.name = "x:0"


def another_tensor(m):
    m.infer.asset_file_def[0].tensor_info.name = "saver_filename:0"


def asset_object(m):
    return next(one for one in m.infer.object_graph_def.nodes if one.HasField("asset"))


def forget(m):
    """Without a name, the object stays."""
    children = m.infer.object_graph_def.nodes[0].children
    [child] = [child for child in children if child.local_name == "labels"]
    child.local_name = "x"


def out_of_range(m):
    asset_object(m).asset.asset_file_def_index = 7


def no_file(m):
    (m.directory / PLACES[5]).unlink()


BREAKAGES = {
    "too_few": (3, rewrite(b"a\nb\n"), "labels", "expected 3 classes, a line each, got 2"),
    "too_many": (5, rewrite(b"a\n" * 4), "labels", "assets/labels.txt: expected 3 classes"),
    "numbered_lines": (5, rewrite(b"a\n\nb\n"), "labels", "assets/labels.txt: line 2: it is empty"),
    "not_utf8": (3, rewrite(b"\xff\n"), "labels", "line 1: expected UTF-8, got 0xff"),
    "no_end": (3, rewrite(b"a\nb\nc"), "labels", "the last line has no end"),
    "huge": (3, rewrite(b"a\n" * (1 << 20)), "labels", "has more than 1048576 bytes"),
    "path": (
        5,
        set_path,
        "devices-and-paths",
        "expected an empty constant for the asset labels.txt",
    ),
    "escape": (5, escape, "devices-and-paths", "the asset ../../../../etc/passwd"),
    "another_asset": (5, another_asset, "devices-and-paths", "{serve} x:0: the asset labels.txt"),
    "another_tensor": (5, another_tensor, "devices-and-paths", "expected an empty constant for"),
    "forgotten": (5, forget, "assets", "to be the asset labels.txt, got None"),
    "out_of_range": (5, out_of_range, "assets", "to be the asset labels.txt, got something else"),
}


@pytest.mark.parametrize(("version", "change", "id", "says"), BREAKAGES.values(), ids=BREAKAGES)
def test_breakage(labelled, tmp_path, version, change, id, says):
    """A module whose labels are wrong in one way fails the check of that, which says how."""
    bad = broken_copy(labelled / str(version), tmp_path / str(version), change)
    with conformance.Subject(conformance.Module(bad)) as subject:
        results = conformance.check_graphs(subject)
    failed = {one.id: "\n".join(one.problems) for one in results if one.status == "failed"}
    assert says in failed[id]


def test_missing_labels(labelled, tmp_path):
    """A module that lacks the file that it promises fails the check of its files, and is not run."""
    report = conformance.check(broken_copy(labelled / "5", tmp_path / "5", no_file))
    assert "file missing: assets/labels.txt" in report.failed[0].problems
    assert report.results[-1].status == "not run"


def test_asset_without_promise(labelled, tmp_path):
    """An asset is refused where none is promised: as a file, in the graph, and as an object."""
    bad = tmp_path / "5"
    shutil.copytree(labelled / "5", bad)
    sign(bad, labels_file=None)
    failed = {result.id for result in conformance.check(bad).failed}
    assert {"files", "operations", "devices-and-paths", "assets"} <= failed


def test_record(labelled):
    """A record that has the file elsewhere, or in a feature vector, is refused."""
    text = (labelled / "5" / formats.PROVENANCE).read_text()
    with pytest.raises(
        ValueError, match=r"labels_file: expected 'assets/labels\.txt', got '/etc/p"
    ):
        from_json(json.dumps({**json.loads(text), "labels_file": "/etc/passwd"}))
    record = from_json(text)
    headless = dataclasses.replace(record.interface, logits=None, predictions=None)
    with pytest.raises(ValueError, match="labels_file: expected it in modules for classification"):
        dataclasses.replace(record, task="feature_vector", interface=headless).promise()


def test_in_words():
    """Without a file, the published order is told of as many classes as the published checkpoint has."""
    model = catalog.get("inception_v1")
    in_words = functools.partial(labels.in_words, model, file=None)
    assert in_words(num_classes=1001, published=True) == model.labels
    of_others = in_words(num_classes=1001, published=False)
    assert of_others == f"Those of the published weights. {model.labels}"
    assert in_words(num_classes=1000, published=True) is None
    assert in_words(num_classes=None, published=True) is None


def page(entry) -> str:
    return pages.markdown(entry, url="https://hub.example", portrait="not drawn")


@pytest.mark.parametrize("version", PLACES)
def test_page(root, version):
    """A page names the classes by their numbers, and whatever is in a name is text."""
    text = page(Shelf(root).entry(f"google/imagenet/stem/classification/{version}"))
    assert "- Classes: Those that" in text
    html = rendering.to_html(text).body
    document = html5lib.HTMLParser(strict=True).parse(f"<!DOCTYPE html><title>x</title>{html}")
    assert "\n".join(f"{index}  {name}" for index, name in enumerate(NAMES)) in "".join(
        document.itertext()
    )
    assert "<b>" not in html


def test_page_of_damaged_names(root):
    """Names that are not what was recorded are not on a page."""
    entry = Shelf(root).entry("google/imagenet/stem/classification/3")
    files = tuple(dataclasses.replace(file, sha256="") for file in entry.record.files)
    changed = dataclasses.replace(entry, record=dataclasses.replace(entry.record, files=files))
    assert "### Classes" in page(entry)
    assert "### Classes" not in page(changed)


def test_page_of_many_names():
    """A long list scrolls by itself, and is marked for that."""
    long = rendering.to_html(rendering.listing(str(index) for index in range(1001))).body
    assert '<pre tabindex="0" class="long"><code class="language-text">0\n' in long
    assert 'class="long"' not in rendering.to_html(rendering.listing(["a"])).body


def test_file_of_names():
    """What is written is what is read."""
    assert label_file.parse(label_file.to_bytes(NAMES)) == NAMES
