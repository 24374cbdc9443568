"""The command lines of the server and of pages: usage, ports, signals, what they leave."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import hub
import pytest
import requests
from hub import STEM

from slimhub.export.hub import portrait

pytestmark = pytest.mark.xdist_group("hub")


@pytest.fixture(scope="module")
def root(stem, tmp_path_factory):
    return hub.root_with(stem, tmp_path_factory.mktemp("main"))


def run(module: str, *arguments, **variables) -> subprocess.CompletedProcess:
    """Runs a command to its end."""
    command = [sys.executable, "-m", f"slimhub.export.{module}", *map(str, arguments)]
    env = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped(root, tmp_path, number):
    """A signal ends the server with one line, while a client hangs, and leaves no archives behind."""
    with hub.serving(root, tmp_path) as server:
        with requests.get(f"{server.url}/{STEM}/3.tar.gz", stream=True, timeout=60):
            assert list((tmp_path / "tmp").rglob("*.tar.gz"))
            server.process.send_signal(number)
            assert server.process.wait(timeout=30) == 128 + number
        assert server.log.read_text().endswith(f"Stopped by {number.name}.\n")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_stopped_while_drawing(root, tmp_path):
    """A server that is stopped while a portrait is drawn leaves a whole one, or none."""
    with hub.serving(root, tmp_path) as server:
        with pytest.raises(requests.Timeout):
            requests.get(f"{server.url}/{STEM}/3", timeout=0.2)
        server.process.terminate()
        assert server.process.wait(timeout=30) == 143
    kept = list((tmp_path / "cache/slimhub/portraits").iterdir())
    assert [path for path in kept if path.name.startswith(".")] == []
    for path in kept:
        drawn = portrait.from_json((path / portrait.RECORD).read_text())
        assert {*drawn.pictures, portrait.RECORD} == {one.name for one in path.iterdir()}


def test_killed(root, tmp_path):
    """What a killed server left is cleared by the next one."""
    with hub.serving(root, tmp_path) as server:
        requests.get(f"{server.url}/{STEM}/3.tar.gz", timeout=60)
        server.process.kill()
        server.process.wait()
    assert list((tmp_path / "tmp").rglob("*.tar.gz"))
    with hub.serving(root, tmp_path):
        assert not list((tmp_path / "tmp").rglob("*.tar.gz"))


def test_root_untouched(root, tmp_path):
    """Nothing below the root is changed, not even by a page; it may be read-only."""

    def state():
        return {path: os.stat(path).st_ctime_ns for path in sorted(root.rglob("*"))}

    before = state()
    with hub.serving(root, tmp_path) as server:
        for path in ("", f"{STEM}/3", f"{STEM}/3.tar.gz", "index.json"):
            assert requests.get(f"{server.url}/{path}", timeout=200).status_code == 200
    assert state() == before


def test_no_tensorflow(root, tmp_path):
    """The server does without TensorFlow, and so with little memory."""
    with hub.serving(root, tmp_path) as server:
        requests.get(f"{server.url}/{STEM}/3.tar.gz", timeout=60)
        assert "tensorflow" not in Path(f"/proc/{server.process.pid}/maps").read_text()
        assert server.memory() < 150 << 20


def test_new_host(root, tmp_path):
    """URLs on pages are those by which the server was reached."""
    with hub.serving(root, tmp_path) as server:
        for host in ("hub.example:8443", "[::1]:1"):
            index = requests.get(f"{server.url}/index.json", headers={"host": host}, timeout=60)
            found = json.loads(index.text)["modules"]
            assert {module["url"].rsplit("/google")[0] for module in found} == {f"http://{host}"}


def test_url(root, tmp_path):
    """Behind a proxy, URLs on pages are those that the server was told, and links stay where one is."""
    with hub.serving(root, tmp_path, "--url=https://hub.example/") as server:
        index = requests.get(f"{server.url}/index.json", timeout=60).json()["modules"]
        page = requests.get(server.url, timeout=60).text
    assert {module["url"] for module in index} == {
        f"https://hub.example/{STEM}/{version}" for version in (1, 3, 5)
    }
    assert f'hub.KerasLayer("https://hub.example/{STEM}/1")' in page
    assert f'href="/{STEM}/1"' in page


USAGE = {
    "argument": (["extra"], "Arguments that no flag takes: extra"),
    "no_root": (["--root=absent"], "--root=absent: expected a directory of modules"),
    "port": (["--port=65536"], "--port=65536"),
    "host": (["--host=256.0.0.1"], "--host=256.0.0.1 --port=8000: "),
}


@pytest.mark.parametrize(("arguments", "says"), USAGE.values(), ids=USAGE)
def test_usage(root, arguments, says):
    """What can't be is one message, and exit code 2."""
    done = run(
        "hub", *(arguments if "no_root" in str(arguments) else [f"--root={root}", *arguments])
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_port_in_use(root):
    """A port that another server has is one message, and exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("hub", f"--root={root}", f"--port={port}")
    assert done.returncode == 2
    assert f"--port={port}: " in done.stderr
    assert "in use" in done.stderr


def test_no_temporary_directory(root, tmp_path):
    """Without a place for archives, there is one message, and exit code 5."""
    done = run("hub", f"--root={root}", "--port=0", TMPDIR=str(tmp_path / "absent"))
    assert done.returncode == 5
    assert "TMPDIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_extra(root):
    """Without what the server needs, there is one message that says how to get it."""
    code = (
        "import sys; sys.modules['starlette'] = None; sys.modules['jinja2'] = None\n"
        "import runpy; sys.argv = ['x', '--root={}', *{}]\n"
        "runpy.run_module('slimhub.export.{}', run_name='__main__', alter_sys=True)"
    )
    for module, arguments in (("hub", []), ("hub.page", [f"{STEM}/3"])):
        program = code.format(root, arguments, module)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 2
        assert "pip install 'slimhub[serve]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_page_of_nothing(root):
    """Without a handle, or of one that there is not, there is no page, and the nearest are named."""
    done = run("hub.page", f"--root={root}")
    assert (done.returncode, done.stdout) == (2, "")
    done = run("hub.page", f"--root={root}", f"{STEM}/4")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"\n  {STEM}/3\n" in done.stderr


def test_page_of_a_damaged_module(stem, tmp_path):
    """A damaged module has no page, and exit code 1."""
    shutil.copytree(stem / "3", tmp_path / "a/3")
    (tmp_path / "a/3/saved_model.pb").write_bytes(b"")
    done = run("hub.page", f"--root={tmp_path}", "a/3")
    assert (done.returncode, done.stdout) == (1, "")
    assert "saved_model.pb: expected " in done.stderr
