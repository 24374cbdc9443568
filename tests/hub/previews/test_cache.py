"""The cache of previews: whose they are, and which are not kept."""

import asyncio
import json
from pathlib import Path

import pytest

import hub
from slimhub.hub.index import ModuleIndex
from slimhub.hub.previews import cache
from slimhub.hub.previews.cache import PreviewCache

HANDLE = "a/stem/3"
RENDERED = {"image_size": [1, 1], "filters_shape": [1, 1, 3, 1], "end_points": []}


@pytest.fixture
def record(stem):
    return hub.record_of(stem / "3")


@pytest.fixture
def root(record, tmp_path):
    hub.put(record, tmp_path / "root" / HANDLE, content=b"first")
    return tmp_path / "root"


@pytest.fixture
def entry(root):
    return ModuleIndex(root).entry(HANDLE)


@pytest.fixture
def directory(tmp_path):
    """The directory of the cache."""
    return tmp_path / "previews"


async def render(module: Path, into: Path) -> tuple[int, str]:
    """Stand for the process that renders, without a module that can be run."""
    (into / "preview.json").write_text(json.dumps(RENDERED))
    return 0, ""


def get(previews: PreviewCache, entry):
    return asyncio.run(previews.get(entry))


def test_kept(directory, entry):
    """A preview is rendered once, also for a server that is started later, and anew if it is damaged."""
    rendered = []

    async def count(module, into):
        rendered.append(module)
        return await render(module, into)

    previews = PreviewCache(directory, render=count)
    assert get(previews, entry) == get(previews, entry) == RENDERED
    assert get(PreviewCache(directory, render=count), entry) == RENDERED
    assert rendered == [entry.directory]
    (directory / cache.name_of(entry) / "preview.json").write_text("")
    assert get(previews, entry) == RENDERED
    assert len(rendered) == 2


def test_module_replaced_meanwhile(directory, entry, root, record):
    """A preview of a module that is replaced meanwhile is not kept as another's."""

    async def replace(module, into):
        hub.put(record, root / HANDLE, content=b"second")
        return await render(module, into)

    assert "replaced" in get(PreviewCache(directory, render=replace), entry)
    assert list(directory.iterdir()) == []
    hub.put(record, root / HANDLE, content=b"first")
    assert get(PreviewCache(directory, render=render), entry) == RENDERED


def test_module_that_cannot_be_run(directory, entry, root, caplog):
    """The reason why a module can't be run has no folders of the machine, and it is not tried again."""
    previews = PreviewCache(directory)
    reason = get(previews, entry)
    assert "saved_model.pb is no SavedModel" in reason
    assert str(root) not in reason
    assert get(previews, entry) == reason
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("code", [-9, 5])
def test_trouble_of_the_machine(directory, entry, code):
    """A failure that is not the module's fault is tried again."""
    results = [(code, "no memory, say")]

    async def fail_once(module, into):
        return results.pop() if results else await render(module, into)

    previews = PreviewCache(directory, render=fail_once)
    assert isinstance(get(previews, entry), str)
    assert get(previews, entry) == RENDERED


def test_no_room(directory, entry):
    """A preview that can't be kept is rendered when it can be."""
    directory.write_text("no directory")
    previews = PreviewCache(directory, render=render)
    assert get(previews, entry) == "They can't be kept now."
    directory.unlink()
    assert get(previews, entry) == RENDERED


def test_timeout(directory, entry):
    """A request with a timeout gets a reason instead, and later ones the preview."""

    async def story():
        go = asyncio.Event()

        async def wait(module, into):
            await go.wait()
            return await render(module, into)

        previews = PreviewCache(directory, render=wait)
        impatient = await previews.get(entry, timeout=0.01)
        go.set()
        return impatient, await previews.get(entry)

    impatient, later = asyncio.run(story())
    assert "being drawn" in impatient
    assert later == RENDERED
