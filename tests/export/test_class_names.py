"""Class names: read from a file, in modules, checked there, and on pages."""

import dataclasses
import functools
import re
import shutil
from pathlib import Path

import html5lib
import pytest
import tensorflow as tf
from stem import STEM, STEMS, broken_copy, export_stem, node, sign, stem_in_catalog
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from slimhub.export import class_names, pipeline
from slimhub.export.errors import UsageError
from slimhub.export.request import ExportRequest
from slimhub.hub import documentation, markup
from slimhub.hub.index import ModuleIndex
from slimhub.models import catalog
from slimhub.signatures.checks import conformance
from slimhub.signatures.contract import contract, formats
from slimhub.signatures.module import class_names as label_file
from slimhub.signatures.module.provenance import from_json

# One worker exports them, once.
pytestmark = pytest.mark.xdist_group("labels")

# Three classes: the head is small then.
FLOWERS = dataclasses.replace(STEM, num_classes=3)
NAMES = ("background", "<b>daisy</b> & ```rose```", "Gänseblümchen")
PLACES = {1: "assets.extra/labels.txt", 3: "assets.extra/labels.txt", 5: "assets/labels.txt"}


@pytest.fixture(scope="module", autouse=True)
def flowers():
    """Give the small network three classes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STEMS, FLOWERS.name, FLOWERS)
        yield


@pytest.fixture(scope="module")
def root(flowers, tmp_path_factory):
    """Return the root of classifications of every version that name their classes."""
    output = tmp_path_factory.mktemp("labels")
    export_stem(output, versions=PLACES, task="classification", labels=NAMES)
    return output


@pytest.fixture(scope="module")
def labelled(root):
    """Return the directory of all versions."""
    return root / "google/imagenet/stem/classification"


def read(tmp_path, content: bytes):
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    return class_names.read(str(path))


GOOD = {
    "plain": "a\nb b\nc\n",
    "without_end": "a\nb b\nc",
    "numbered": "0:a\n1:b b\n2:c\n",
    "in_any_order": "2:c\n0:a\n1: b b\n",
    "of_windows": "\ufeff0:a\r\n1:b b\r\n2:c\r\n",
    "with_blanks": "  a\nb b  \nc \n",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_read(tmp_path, text):
    """A file has a class a line, or each line its class's number, as Slim writes it."""
    assert read(tmp_path, text.encode()) == ("a", "b b", "c")


BAD = {
    # The content, and the numbers of the lines that are wrong.
    "empty": (b"", []),
    "empty_line": (b"a\n\nb\n", [2]),
    "blank_line": (b"a\nb\n  \n", [3]),
    "tab": (b"a\nb\tc\n", [2]),
    "line_separator": ("a\nb\u2028c\n".encode(), [2]),
    "second_mark": ("a\n\ufeffb\n".encode(), [2]),
    "not_utf8": (b"a\nb\n\xe4\n", [3]),
    "too_long": (b"a" * (1 << 20) + b"\n", []),
    "mixed": (b"0:a\nb\n2:c\n", [2]),
    "twice": (b"0:a\n1:b\n1:c\n", [3]),
    "from_one": (b"1:a\n2:b\n", [2]),
    "no_name": (b"0:a\n1: \n", [2]),
    "many": (b"\n" * 7 + b"a\n", [1, 2, 3, 4, 5]),
    "endless_number": (b"0:a\n" + b"1" * 9999 + b":b\n", [2]),
}


@pytest.mark.parametrize(("content", "lines"), BAD.values(), ids=BAD)
def test_refused_file(tmp_path, content, lines):
    """A file that is no list of classes is refused, with the first lines that are wrong."""
    with pytest.raises(UsageError) as caught:
        read(tmp_path, content)
    found = re.findall(r"(?:: |; )line (\d+): ", str(caught.value))
    assert [int(number) for number in found] == lines


@pytest.mark.parametrize("path", ["", "absent", "/dev/zero", "/", "a\0b"])
def test_no_file_of_names(path):
    """A path that is no file is refused, and not opened."""
    with pytest.raises(UsageError):
        class_names.read(path)


HINTS = {
    2: " Does the first one, the background class of many of Slim's data sets, lack a line?",
    4: " Is one of the lines for a background class, which this checkpoint does not have?",
    9: "",
}


@pytest.mark.parametrize(("number", "hint"), HINTS.items())
def test_other_number(number, hint):
    """Names for another number of classes than the head has are refused, with both numbers."""
    names = [str(index) for index in range(number)]
    with pytest.raises(UsageError) as caught:
        class_names.check_number(names, model=FLOWERS, checkpoint="stem.ckpt", num_classes=3)
    assert str(caught.value) == (
        f"--labels names {number} classes, and stem.ckpt has 3: expected a line for each class of the "
        f"head, InceptionV1/Logits/Conv2d_0c_1x1.{hint}"
    )


def test_nothing_is_published(tmp_path):
    """Where the number of names is wrong, feature vectors are not published either."""
    with stem_in_catalog():
        request = ExportRequest(
            version=3,
            models=(FLOWERS.name,),
            tasks=contract.TASKS[::-1],
            checkpoint="synthetic",
            labels=NAMES[1:],
            output=tmp_path / "modules",
        )
        outcomes = list(pipeline.export(request))
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


def test_asset(labelled, tmp_path):
    """An object that TensorFlow 2 loads of version 5 knows where the file is, and keeps it when saved."""
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


def test_no_string_variable(labelled):
    """The graph has neither a path nor a variable for the asset."""
    content = (labelled / "5/saved_model.pb").read_bytes()
    # Nor the directory's that it was written into, beside this one.
    assert str(labelled.parents[3]).encode() not in content
    [meta_graph] = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    handles = [one for one in meta_graph.graph_def.node if one.op == "VarHandleOp"]
    assert {one.attr["dtype"].type for one in handles} == {types_pb2.DT_FLOAT}
    assert {one.op for one in meta_graph.graph_def.node if "asset" in one.name} == {"Const"}


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


BREAKAGES = {
    "missing": (5, lambda m: (m.directory / PLACES[5]).unlink(), "files labels"),
    "too_few": (3, rewrite(b"a\nb\n"), "labels"),
    "too_many": (5, rewrite(b"a\n" * 4), "labels"),
    "not_utf8": (3, rewrite(b"\xff\n"), "labels"),
    "no_end": (3, rewrite(b"a\nb\nc"), "labels"),
    "huge": (3, rewrite(b"a\n" * (1 << 20)), "labels"),
    "path": (5, set_path, "devices-and-paths"),
    "escape": (5, escape, "devices-and-paths assets"),
    "another_asset": (5, another_asset, "devices-and-paths"),
    "another_tensor": (5, another_tensor, "devices-and-paths"),
    "forgotten": (5, forget, "assets"),
    "out_of_range": (5, out_of_range, "assets"),
}


@pytest.mark.parametrize(("version", "change", "failed"), BREAKAGES.values(), ids=BREAKAGES)
def test_breakage(labelled, tmp_path, version, change, failed):
    """A module whose class names are wrong in one way fails exactly the checks of that."""
    bad = broken_copy(labelled / str(version), tmp_path / str(version), change)
    report = conformance.check_static(conformance.Module(bad))
    assert [result.id for result in report.failed] == failed.split()


def test_asset_without_promise(labelled, tmp_path):
    """An asset is refused where none is promised: as a file, in the graph, and as an object."""
    bad = tmp_path / "5"
    shutil.copytree(labelled / "5", bad)
    sign(bad, labels_file=None)
    failed = {result.id for result in conformance.check(bad).failed}
    assert {"files", "operations", "devices-and-paths", "assets"} <= failed


def test_record(labelled):
    """A record that has class names for a feature vector is refused."""
    record = from_json((labelled / "5" / formats.PROVENANCE).read_text())
    headless = dataclasses.replace(record, task="feature_vector", num_classes=None)
    with pytest.raises(ValueError, match="labels_file"):
        from_json(headless.to_json())


def test_describe():
    """Without a file, the published order is told of as many classes as the published checkpoint has."""
    model = catalog.get("inception_v1")
    describe = functools.partial(class_names.describe, model, file=None)
    assert describe(num_classes=1001, published=True) == model.labels
    of_others = describe(num_classes=1001, published=False)
    assert of_others == f"Those of the published weights. {model.labels}"
    assert describe(num_classes=1000, published=True) is None
    assert describe(num_classes=None, published=True) is None


def page(entry) -> str:
    return documentation.markdown(entry, url="https://hub.example", preview="not drawn")


@pytest.mark.parametrize("version", PLACES)
def test_page(root, version):
    """A page names the classes by their numbers, and whatever is in a name is text."""
    text = page(ModuleIndex(root).entry(f"google/imagenet/stem/classification/{version}"))
    assert "- Classes: Those that" in text
    html = markup.to_html(text).body
    document = html5lib.HTMLParser(strict=True).parse(f"<!DOCTYPE html><title>x</title>{html}")
    assert "\n".join(f"{index}  {name}" for index, name in enumerate(NAMES)) in "".join(
        document.itertext()
    )
    assert "<b>" not in html


def test_page_of_damaged_names(root):
    """Names that are not what was recorded are not on a page."""
    entry = ModuleIndex(root).entry("google/imagenet/stem/classification/3")
    files = tuple(dataclasses.replace(file, sha256="") for file in entry.record.files)
    changed = dataclasses.replace(entry, record=dataclasses.replace(entry.record, files=files))
    assert "### Classes" in page(entry)
    assert "### Classes" not in page(changed)


def test_page_of_many_names():
    """A long list scrolls by itself, and is marked for that."""
    long = markup.to_html(markup.listing(str(index) for index in range(1001))).body
    assert '<pre tabindex="0" class="long"><code class="language-text">0\n' in long
    assert 'class="long"' not in markup.to_html(markup.listing(["a"])).body
