"""Command lines of a user who is only a number, as in containers: no HOME, no entry in the password file."""

import sys

_PROGRAM = """
import os, pwd, runpy, sys

def no_entry(uid):
    raise KeyError(uid)

pwd.getpwuid = no_entry
for name in ("HOME", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def without_home(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module as such a user."""
    return [sys.executable, "-c", _PROGRAM, module, *arguments]
