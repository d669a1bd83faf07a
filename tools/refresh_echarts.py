"""Refresh the vendored drawing script of reports: Apache ECharts, cut to what charts.py draws.

    python tools/refresh_echarts.py [VERSION]

It needs npm. It installs the packages `echarts` and `esbuild` into a temporary folder, bundles the
parts named in `ENTRY` (esbuild drops the rest), and writes the script, the licenses and the table
`vendored.toml` into src/descend/report/html/vendor/. Run the browser tests afterward.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "src" / "descend" / "report" / "html" / "vendor"
SCRIPT_FILE = "echarts.min.js"
ECHARTS_VERSION, ESBUILD_VERSION = "6.1.0", "0.28.2"

CHARTS = ("BarChart", "HeatmapChart", "LineChart", "ScatterChart")
COMPONENTS = ("GridComponent", "LegendComponent", "MarkAreaComponent", "MarkLineComponent",
              "TooltipComponent", "VisualMapContinuousComponent")  # fmt: skip
FEATURES = ("LegacyGridContainLabel",)
RENDERERS = ("SVGRenderer",)

ENTRY = f"""
import {{ use }} from "echarts/core";
import {{ {", ".join(CHARTS)} }} from "echarts/charts";
import {{ {", ".join(COMPONENTS)} }} from "echarts/components";
import {{ {", ".join(FEATURES)} }} from "echarts/features";
import {{ {", ".join(RENDERERS)} }} from "echarts/renderers";
use([{", ".join((*CHARTS, *COMPONENTS, *FEATURES, *RENDERERS))}]);
export {{ dispose, getInstanceByDom, init, version }} from "echarts/core";
"""

LICENSES = {
    "LICENSE": "echarts/LICENSE",
    "NOTICE": "echarts/NOTICE",
    "LICENSE-d3": "echarts/licenses/LICENSE-d3",
    "LICENSE-zrender": "zrender/LICENSE",
}
"""Name here, and path below `node_modules`."""


def main() -> int:
    version = sys.argv[1] if len(sys.argv) > 1 else ECHARTS_VERSION
    npm = shutil.which("npm")
    if npm is None:
        print("npm: found none, expected it on the PATH; install Node.js.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        build(npm, version, Path(name))
    return 0


def build(npm: str, version: str, folder: Path) -> None:
    """Bundle ECharts `version` in `folder` and write what the package ships."""
    packages = (f"echarts@{version}", f"esbuild@{ESBUILD_VERSION}")
    (folder / "package.json").write_text('{"private": true}')
    subprocess.run([npm, "install", "--no-audit", "--no-fund", *packages], cwd=folder, check=True)
    (folder / "entry.js").write_text(ENTRY)
    subprocess.run(
        [folder / "node_modules" / ".bin" / "esbuild", "entry.js", "--bundle", "--minify",
         "--format=iife", "--global-name=echarts", "--target=es2020", "--legal-comments=none",
         f"--outfile={SCRIPT_FILE}"],
        cwd=folder, check=True,
    )  # fmt: skip
    VENDOR.mkdir(parents=True, exist_ok=True)
    code = (folder / SCRIPT_FILE).read_bytes()
    (VENDOR / SCRIPT_FILE).write_bytes(code)
    for target, source in LICENSES.items():
        shutil.copyfile(folder / "node_modules" / source, VENDOR / target)
    lock = json.loads((folder / "package-lock.json").read_text())["packages"]
    (VENDOR / "vendored.toml").write_text(format_table(lock, code))


def format_table(lock: dict[str, dict[str, str]], code: bytes) -> str:
    """The table of what was taken, from the lock file of npm."""
    rows = [
        "# Written by tools/refresh_echarts.py.", f'file = "{SCRIPT_FILE}"',
        f'sha256 = "{hashlib.sha256(code).hexdigest()}"', f"bytes = {len(code)}",
    ]  # fmt: skip
    for name in ("echarts", "zrender", "tslib", "esbuild"):
        package = lock[f"node_modules/{name}"]
        rows += ["", f"[packages.{name}]", f'version = "{package["version"]}"',
                 f'license = "{package["license"]}"',
                 f'integrity = "{package["integrity"]}"']  # fmt: skip
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
