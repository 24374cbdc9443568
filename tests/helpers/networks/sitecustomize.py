"""What Python imports before a program if this folder is in PYTHONPATH: the program then knows its networks.

The server's pages say of them what they say of Inception V1.
"""

import dataclasses
from pathlib import Path

from slimhub.models import catalog
from slimhub.signatures.contract import network

_HERE = Path(__file__).parent

network.FOLDERS.append(_HERE)
catalog.MODELS += tuple(
    dataclasses.replace(catalog.get("inception_v1"), name=path.stem)
    for path in sorted(_HERE.glob("*.json"))
)
