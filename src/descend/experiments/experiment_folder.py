"""Where an experiment is kept: `comparisons/<unix time>/`, one JSON file that `report` reads."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from descend.artifacts import ATTRIBUTION_FILE, COMPARISON_FILE, SEARCH_FILE
from descend.errors import RunFolderError
from descend.guard import decode_json, read_regular
from descend.runs.atomic_write import write_file_atomic
from descend.runs.record_version import check_version
from descend.runs.run_folder import claim_folder, ensure_writable

T = TypeVar("T", bound=msgspec.Struct)


def create_experiment_folder(save_dir: Path | None = None) -> Path:
    """Return a folder that holds no experiment yet: `save_dir`, which is made when the result is
    written, or a new one."""
    if save_dir is not None:
        for name in (COMPARISON_FILE, ATTRIBUTION_FILE, SEARCH_FILE):
            if (save_dir / name).exists():
                raise RunFolderError(
                    "save_dir", f"{save_dir}, which holds {name}", "a new folder",
                    "choose another save_dir",
                )  # fmt: skip
        ensure_writable(save_dir)
        return save_dir
    return claim_folder(Path("comparisons"))


def write_record(folder: Path, name: str, record: msgspec.Struct) -> None:
    """Write `record` as the file `name` of `folder`."""
    write_file_atomic(folder / name, msgspec.json.format(msgspec.json.encode(record)) + b"\n")


def read_record(folder: Path, name: str, kind: type[T]) -> T:
    """Read it back; `RunFolderError` if it is missing, damaged, or of a newer descend."""
    try:
        content = read_regular(folder / name)
        check_version(folder / name, content, kind)
        return decode_json(content, kind)
    except (OSError, msgspec.DecodeError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise RunFolderError(
            str(folder / name), f"a file that cannot be read ({reason})",
            "what an experiment of descend wrote there", "run the experiment again",
        ) from None  # fmt: skip
