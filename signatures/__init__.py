"""slimhub.signatures: the contract of a module, and whether modules keep it. Knows nothing of Slim.

For programs: `check(module)` returns a `Report`; `parametrize_with_checks([module, ...])` decorates a
test of pytest. They are imported when they are asked for, so that pytest need not be there.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slimhub.signatures.api import check as check
    from slimhub.signatures.checks.report import Report as Report
    from slimhub.signatures.checks.report import Result as Result
    from slimhub.signatures.pytest_checks import parametrize_with_checks as parametrize_with_checks

_PUBLIC = {
    "check": "api",
    "parametrize_with_checks": "pytest_checks",
    "Report": "checks.report",
    "Result": "checks.report",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
