"""`descend env`."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path

from descend.cli.config_flags import JsonOption
from descend.cli.json_outputs import Device, EnvironmentFacts
from descend.cli.output import print_report
from descend.units import format_count

PACKAGES = (
    "torch", "numpy", "scipy", "tokenizers", "safetensors", "pyarrow", "pydantic", "typer", "rich",
    "transformers", "optuna", "ray",
)  # fmt: skip
"""Packages whose versions decide a result, and the optional ones."""
COMPILERS = ("c++", "g++", "clang++", "cl")
OUTSIDE_HOME = "a folder outside ~"


def env(as_json: JsonOption = False) -> None:
    """Show versions, cores, devices, and the cache folder, ready to paste into an issue.

    The output names no user, no host, and no path outside of `~`.
    """
    facts = collect_facts()
    print_report("env", facts, lambda: format_facts(facts), as_json)


def collect_facts() -> EnvironmentFacts:
    """Collect the versions, the hardware, and the cache folder of this machine."""
    from descend.data.cache_dir import cache_dir
    from descend.machine import available_cores, available_memory_bytes, cpu_name
    from descend.version import __version__

    folder = cache_dir()
    return EnvironmentFacts(
        descend=__version__,
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        system=platform.platform(),
        processor=cpu_name(),
        cores=available_cores(),
        memory_available_bytes=available_memory_bytes(),
        devices=list_devices(),
        has_cpp_compiler=any(map(shutil.which, COMPILERS)),
        cache_folder=shorten_path(folder),
        cache_is_writable=is_writable(folder),
        packages={name: find_version(name) for name in PACKAGES},
        variables=sorted(name for name in os.environ if name.startswith("DESCEND_")),
    )


def list_devices() -> list[Device]:
    """List the devices that torch can use, the processor first."""
    import torch

    devices = [Device("cpu", None, None)]
    if torch.backends.mps.is_available():
        devices.append(Device("mps", "Apple GPU", None))
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(number)
            devices.append(Device(f"cuda:{number}", card.name, card.total_memory))
    return devices


def shorten_path(path: Path) -> str:
    """Return `path` from `~` on; of a path outside of the home folder nothing is reported."""
    try:
        return str(Path("~") / path.absolute().relative_to(Path.home()))
    except ValueError:
        return OUTSIDE_HOME


def is_writable(folder: Path) -> bool:
    """Return whether files can be written into `folder`, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


def find_version(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def format_facts(facts: EnvironmentFacts) -> str:
    """Format the facts as lines of a name and a value."""
    memory = facts.memory_available_bytes
    rows = [
        ("descend", facts.descend),
        ("Python", facts.python),
        ("system", facts.system),
        ("processor", f"{facts.processor}, {format_count(facts.cores, 'core')}"),
        ("memory", "unknown" if memory is None else f"{memory / 1e9:.1f} GB available"),
        *(("device", format_device(device)) for device in facts.devices),
        ("compiler", "C++ compiler found" if facts.has_cpp_compiler else "no C++ compiler"),
        ("cache", facts.cache_folder + ("" if facts.cache_is_writable else ", not writable")),
        *((name, version or "not installed") for name, version in facts.packages.items()),
        ("variables", ", ".join(facts.variables) or "none"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows)


def format_device(device: Device) -> str:
    """Format a device with its name and its memory."""
    if device.name is None:
        return device.id
    memory = "" if device.memory_bytes is None else f", {device.memory_bytes / 1e9:.0f} GB"
    return f"{device.id}: {device.name}{memory}"
