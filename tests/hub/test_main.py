"""The command lines of the server and of pages: usage, ports, signals, and leftovers."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from homeless import without_home
from stem import KNOWING_STEMS

import hub
from hub import STEM
from slimhub.signatures.contract import contract

pytestmark = pytest.mark.xdist_group("hub")


@pytest.fixture(scope="module")
def root(stem, tmp_path_factory):
    return hub.root_with(stem, tmp_path_factory.mktemp("main"))


def run(module: str, *arguments, **variables) -> subprocess.CompletedProcess:
    """Run a command to its end."""
    command = [sys.executable, "-m", f"slimhub.{module}", *map(str, arguments)]
    env = {**os.environ, **KNOWING_STEMS, **variables}
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


def test_stopped_while_rendering(root, tmp_path):
    """A server that is stopped while a preview is rendered leaves a whole one, or none."""
    with hub.serving(root, tmp_path) as server:
        with pytest.raises(requests.Timeout):
            requests.get(f"{server.url}/{STEM}/3", timeout=0.2)
        server.process.terminate()
        assert server.process.wait(timeout=30) == 143
    previews = list((tmp_path / "cache/slimhub/previews").iterdir())
    assert [path for path in previews if path.name.startswith(".")] == []
    for path in previews:
        record = json.loads((path / "preview.json").read_text())
        assert {point["picture"] for point in record["end_points"]} <= set(os.listdir(path))


def test_killed(root, tmp_path):
    """The next server removes what a killed one left."""
    with hub.serving(root, tmp_path) as server:
        requests.get(f"{server.url}/{STEM}/3.tar.gz", timeout=60)
        server.process.kill()
        server.process.wait()
    assert list((tmp_path / "tmp").rglob("*.tar.gz"))
    with hub.serving(root, tmp_path):
        assert not list((tmp_path / "tmp").rglob("*.tar.gz"))


def test_light_on_its_machine(root, tmp_path):
    """The server changes nothing below the root, not even for a page, and does not load TensorFlow."""

    def state():
        return {path: os.stat(path).st_ctime_ns for path in sorted(root.rglob("*"))}

    before = state()
    with hub.serving(root, tmp_path) as server:
        for path in ("", f"{STEM}/3", f"{STEM}/3.tar.gz", "index.json"):
            assert requests.get(f"{server.url}/{path}", timeout=200).status_code == 200
        assert "tensorflow" not in Path(f"/proc/{server.process.pid}/maps").read_text()
        assert server.memory() < 150 << 20
    assert state() == before


def test_url(root, tmp_path):
    """With `--url`, as behind a proxy, URLs on pages begin with it, and links stay on the same host."""
    with hub.serving(root, tmp_path, "--url=https://hub.example/") as server:
        index = requests.get(f"{server.url}/index.json", timeout=60).json()["modules"]
        page = requests.get(server.url, timeout=60).text
    assert {module["url"] for module in index} == {
        f"https://hub.example/{STEM}/{version}" for version in contract.VERSIONS
    }
    assert f'hub.KerasLayer("https://hub.example/{STEM}/1")' in page
    assert f'href="/{STEM}/1"' in page


ERRORS = {
    "argument": ("hub", ["--root={root}", "extra"], 2, "extra"),
    "no_root": ("hub", ["--root=absent"], 2, "--root=absent: "),
    "port": ("hub", ["--root={root}", "--port=65536"], 2, "--port=65536"),
    "port_in_use": ("hub", ["--root={root}", "--port={used}"], 2, "--port={used}: "),
    "host": ("hub", ["--root={root}", "--host=256.0.0.1"], 2, "--host=256.0.0.1 --port=8000: "),
    "page_of_nothing": ("hub.page", ["--root={root}"], 2, "one handle"),
    "page_of_a_damaged_module": ("hub.page", ["--root={home}", "a/3"], 1, "saved_model.pb"),
}


@pytest.mark.parametrize(("module", "arguments", "code", "says"), ERRORS.values(), ids=ERRORS)
def test_errors(root, stem, tmp_path, module, arguments, code, says):
    """An error is one message that says what is wrong, and an exit code."""
    shutil.copytree(stem / "3", tmp_path / "a/3")
    (tmp_path / "a/3/saved_model.pb").write_bytes(b"")
    with socket.create_server(("127.0.0.1", 0)) as other:
        places = {"root": root, "home": tmp_path, "used": other.getsockname()[1]}
        arguments = [argument.format(**places) for argument in arguments]
        done = run(module, *arguments, HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (code, "")
    assert says.format(**places) in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_no_temporary_directory(root, tmp_path):
    """Without a place for archives, there is one message, and exit code 5."""
    done = run("hub", f"--root={root}", "--port=0", TMPDIR=str(tmp_path / "absent"))
    assert (done.returncode, len(done.stderr.splitlines())) == (5, 1)
    assert "TMPDIR" in done.stderr


def test_without_the_extra(root, tmp_path):
    """Without the packages of the extra `serve`, there is one message that says how to get them."""
    code = (
        "import runpy, sys; sys.modules.update(starlette=None, jinja2=None, PIL=None)\n"
        "sys.argv = ['x', *{}]\n"
        "runpy.run_module('slimhub.{}', run_name='__main__', alter_sys=True)"
    )
    for module, arguments in (
        ("hub", [f"--root={root}"]),
        ("hub.page", [f"--root={root}", f"{STEM}/3"]),
        ("hub.previews", [f"{root}/{STEM}/3", str(tmp_path)]),
    ):
        program = code.format(arguments, module)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 2
        assert "pip install 'slimhub[serve]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_unknown_page(root):
    """The page of an unknown handle is a usage error that names the nearest; a root may begin with ~."""
    done = run("hub.page", "--root=~/root", f"{STEM}/2", HOME=str(root.parent))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"\n  {STEM}/3\n" in done.stderr


def test_hub_without_home(root, tmp_path):
    """Without a home directory, a page has no pictures, and the server keeps them with its archives."""
    done = subprocess.run(
        without_home("slimhub.hub.page", f"--root={root}", f"{STEM}/3"),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | KNOWING_STEMS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "There is no cache to keep them in" in done.stdout
    assert list(tmp_path.iterdir()) == []
    with subprocess.Popen(
        without_home("slimhub.hub", f"--root={root}", "--port=0"),
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | KNOWING_STEMS | {"TMPDIR": str(tmp_path)},
    ) as server:
        url = server.stdout.readline().split()[-1]
        try:
            end = time.monotonic() + 120
            while "being drawn" in requests.get(f"{url}{STEM}/3", timeout=120).text:
                assert time.monotonic() < end
            assert len(list(tmp_path.rglob("preview.json"))) == 1
        finally:
            server.terminate()
    assert list(tmp_path.iterdir()) == []
