"""The drawing script that a report carries: Apache ECharts, from the installed package NiceGUI.

No copy of it stands in this repository. NiceGUI ships ECharts as a module of its own page; here
it becomes a script that stands alone: what it exports is handed to `window.echarts` instead.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from descend.errors import MissingDependencyError

# The entry of the bundle: import{aS as a,…}from"./index-….js";export{a as echarts,…}
_IMPORT = re.compile(r'import\s*\{([^}]*)\}\s*from\s*"\./([\w.-]+\.js)"')
_EXPORT = re.compile(r"export\s*\{([^}]*)\}\s*;?")


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
    """The source expression that lets exactly this script run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


@cache
def load_echarts_script() -> Script:
    """ECharts as one script that sets `window.echarts`; `MissingExtraError` where there is none."""
    spec = find_spec("nicegui")
    if spec is None or not spec.submodule_search_locations:
        raise _missing("no package nicegui, which carries the drawing script")
    folder = Path(next(iter(spec.submodule_search_locations))) / "elements" / "echart" / "dist"
    try:
        return Script(_standing_alone(folder))
    except (OSError, LookupError):
        raise _missing("a nicegui whose drawing script is not where it was") from None


def _standing_alone(folder: Path) -> str:
    entry = (folder / "index.js").read_text(encoding="utf-8")
    imports, file = _first(_IMPORT, entry).groups()
    inner = _names(imports)[_names(_first(_EXPORT, entry)[1])["echarts"]]
    code = (folder / file).read_text(encoding="utf-8").replace("\r\n", "\n")
    export = list(_EXPORT.finditer(code))[-1]
    local = _names(export[1])[inner]
    # What follows the exports is the address of a source map, which a report must not ask for.
    return f"(()=>{{{code[: export.start()]};window.echarts={local}}})();"


def _first(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    match = pattern.search(text)
    if match is None:
        raise LookupError(pattern.pattern)
    return match


def _names(listed: str) -> dict[str, str]:
    """`a as b, c` as {b: a, c: c}."""
    pairs = [part.split(" as ") for part in listed.split(",")]
    return {pair[-1].strip(): pair[0].strip() for pair in pairs}


def _missing(actual: str) -> MissingDependencyError:
    return MissingDependencyError(
        "report", actual, "the extra `report`",
        "install it with `pip install 'descend[report]'`; without it a report has tables alone",
    )  # fmt: skip
