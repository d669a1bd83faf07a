"""Refresh the vendored scripts of the studio's page: Preact, its signals, and htm in one file.

    python tools/refresh_studio_scripts.py

It needs npm. It installs the packages of `VERSIONS` into a temporary folder, bundles what `ENTRY`
names, and writes the script, the licenses and the table `vendored.toml` into
src/descend/web/studio/static/vendor/. Run the browser tests afterward. ECharts is not here: the
studio serves the file that reports carry (tools/refresh_echarts.py).
"""

from __future__ import annotations

import sys

from script_bundle import PACKAGE, Bundle, refresh

VERSIONS = {
    "preact": "11.2.0",
    "htm": "3.1.1",
    "@preact/signals": "2.11.4",
    "@preact/signals-core": "1.14.5",
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


def main() -> int:
    return refresh(
        Bundle(
            tool="refresh_studio_scripts.py",
            vendor=PACKAGE / "web" / "studio" / "static" / "vendor",
            script_file="preact.min.js",
            entry=ENTRY,
            options=("--format=esm",),
            versions=VERSIONS,
            listed=(*VERSIONS, "esbuild"),
            licenses=LICENSES,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
