"""The drawing script that a report carries: Apache ECharts, from the folder `vendor`.

tools/refresh_echarts.py made it of the parts that `charts.py` draws with. As a plain script it sets
`window.echarts`. Its version, licenses and checksum stand beside it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

SCRIPT_FILE = "echarts.min.js"


@dataclass(frozen=True)
class Script:
    """A script to be carried by a page."""

    code: str

    @property
    def packed(self) -> str:
        """gzip in base64: what `DecompressionStream` unpacks. The same bytes each time."""
        return base64.b64encode(gzip.compress(self.code.encode(), 9, mtime=0)).decode()

    @property
    def policy(self) -> str:
        """Its source expression in a Content-Security-Policy."""
        return policy_hash(self.code)


def policy_hash(code: str) -> str:
    """Return the source expression that lets exactly this script run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


@cache
def load_echarts_script() -> Script:
    """Read the vendored ECharts."""
    file = files("descend.report.html") / "vendor" / SCRIPT_FILE
    return Script(file.read_bytes().decode())
