"""Refresh the vendored drawing script of reports: Apache ECharts, cut to what charts.py draws.

    python tools/refresh_echarts.py [VERSION]

It needs npm. It installs the packages `echarts` and `esbuild` into a temporary folder, bundles the
parts named in `ENTRY` (esbuild drops the rest), and writes the script, the licenses and the table
`vendored.toml` into src/descend/report/html/vendor/. Run the browser tests afterward.
"""

from __future__ import annotations

import sys

from script_bundle import PACKAGE, Bundle, refresh

ECHARTS_VERSION = "6.1.0"

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


def main() -> int:
    version = sys.argv[1] if len(sys.argv) > 1 else ECHARTS_VERSION
    return refresh(
        Bundle(
            tool="refresh_echarts.py",
            vendor=PACKAGE / "report" / "html" / "vendor",
            script_file="echarts.min.js",
            entry=ENTRY,
            options=("--format=iife", "--global-name=echarts"),
            versions={"echarts": version},
            listed=("echarts", "zrender", "tslib", "esbuild"),
            licenses=LICENSES,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
