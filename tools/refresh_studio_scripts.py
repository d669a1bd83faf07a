"""Refresh the vendored scripts of the studio's page: Preact, its signals, and htm in one file.

    python tools/refresh_studio_scripts.py

It needs npm. It installs the packages of `VERSIONS` into a temporary folder, bundles what `ENTRY`
names, and writes the script, the licenses and the table `vendored.toml` into
src/descend/web/studio/static/vendor/. Run the browser tests afterward. ECharts is not here: the
studio serves the file that reports carry (tools/refresh_echarts.py).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "src" / "descend" / "web" / "studio" / "static" / "vendor"
SCRIPT_FILE = "preact.min.js"
VERSIONS = {
    "preact": "11.2.0",
    "htm": "3.1.1",
    "@preact/signals": "2.11.4",
    "@preact/signals-core": "1.14.5",
    "esbuild": "0.28.2",
}

ENTRY = """
import { h } from "preact";
import htm from "htm";
export { render } from "preact";
export { useEffect, useMemo, useRef, useState } from "preact/hooks";
export { batch, computed, effect, signal } from "@preact/signals";
export const html = htm.bind(h);
"""

LICENSES = {
    "LICENSE-preact": "preact/LICENSE",
    "LICENSE-htm": "htm/LICENSE",
    "LICENSE-signals": "@preact/signals/LICENSE",
}
"""Name here, and path below `node_modules`."""


def main() -> int:
    npm = shutil.which("npm")
    if npm is None:
        print("npm: found none, expected it on the PATH; install Node.js.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        build(npm, Path(name))
    return 0


def build(npm: str, folder: Path) -> None:
    """Bundle the packages in `folder` and write what the package ships."""
    packages = [f"{name}@{version}" for name, version in VERSIONS.items()]
    (folder / "package.json").write_text('{"private": true}')
    subprocess.run([npm, "install", "--no-audit", "--no-fund", *packages], cwd=folder, check=True)
    (folder / "entry.js").write_text(ENTRY)
    subprocess.run(
        [folder / "node_modules" / ".bin" / "esbuild", "entry.js", "--bundle", "--minify",
         "--format=esm", "--target=es2020", "--legal-comments=none", f"--outfile={SCRIPT_FILE}"],
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
        "# Written by tools/refresh_studio_scripts.py.", f'file = "{SCRIPT_FILE}"',
        f'sha256 = "{hashlib.sha256(code).hexdigest()}"', f"bytes = {len(code)}",
    ]  # fmt: skip
    for name in VERSIONS:
        package = lock[f"node_modules/{name}"]
        rows += ["", f'[packages."{name}"]', f'version = "{package["version"]}"',
                 f'license = "{package["license"]}"',
                 f'integrity = "{package["integrity"]}"']  # fmt: skip
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
