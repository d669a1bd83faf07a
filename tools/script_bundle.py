"""Bundle packages of npm into one script, and write what the package ships of them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ESBUILD_VERSION = "0.28.2"
PACKAGE = Path(__file__).parents[1] / "src" / "descend"


@dataclass(frozen=True)
class Bundle:
    """What is bundled, and where it goes."""

    tool: str
    """The script that asks for it."""
    vendor: Path
    script_file: str
    entry: str
    """The JavaScript that esbuild starts from; it drops whatever that does not reach."""
    options: Sequence[str]
    """Further options of esbuild, such as the format."""
    versions: dict[str, str]
    """Packages of npm to install, with their versions; esbuild comes besides."""
    listed: Sequence[str]
    """Packages that `vendored.toml` lists."""
    licenses: dict[str, str]
    """Name in the vendor folder, and path below `node_modules`."""


def refresh(bundle: Bundle) -> int:
    """Build `bundle` in a temporary folder; returns the exit code of the script."""
    npm = shutil.which("npm")
    if npm is None:
        print("npm: found none, expected it on the PATH; install Node.js.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        build(npm, bundle, Path(name))
    return 0


def build(npm: str, bundle: Bundle, folder: Path) -> None:
    """Bundle the packages in `folder`; write the script, the licenses and `vendored.toml`."""
    versions = bundle.versions | {"esbuild": ESBUILD_VERSION}
    packages = [f"{name}@{version}" for name, version in versions.items()]
    (folder / "package.json").write_text('{"private": true}')
    subprocess.run([npm, "install", "--no-audit", "--no-fund", *packages], cwd=folder, check=True)
    (folder / "entry.js").write_text(bundle.entry)
    subprocess.run(
        [folder / "node_modules" / ".bin" / "esbuild", "entry.js", "--bundle", "--minify",
         *bundle.options, "--target=es2020", "--legal-comments=none",
         f"--outfile={bundle.script_file}"],
        cwd=folder, check=True,
    )  # fmt: skip
    bundle.vendor.mkdir(parents=True, exist_ok=True)
    code = (folder / bundle.script_file).read_bytes()
    (bundle.vendor / bundle.script_file).write_bytes(code)
    for target, source in bundle.licenses.items():
        shutil.copyfile(folder / "node_modules" / source, bundle.vendor / target)
    lock = json.loads((folder / "package-lock.json").read_text())["packages"]
    (bundle.vendor / "vendored.toml").write_text(format_table(bundle, lock, code))


def format_table(bundle: Bundle, lock: dict[str, dict[str, str]], code: bytes) -> str:
    """The table of what was taken, from the lock file of npm."""
    rows = [
        f"# Written by tools/{bundle.tool}.", f'file = "{bundle.script_file}"',
        f'sha256 = "{hashlib.sha256(code).hexdigest()}"', f"bytes = {len(code)}",
    ]  # fmt: skip
    for name in bundle.listed:
        package = lock[f"node_modules/{name}"]
        key = name if name.isalnum() else f'"{name}"'
        rows += ["", f"[packages.{key}]", f'version = "{package["version"]}"',
                 f'license = "{package["license"]}"',
                 f'integrity = "{package["integrity"]}"']  # fmt: skip
    return "\n".join(rows) + "\n"
