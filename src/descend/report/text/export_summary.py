"""What an export wrote, in words."""

from __future__ import annotations

from descend.interop.export.exported_model import ExportedModel
from descend.units import format_bytes


def describe_export(exported: ExportedModel) -> str:
    """Return the files with their sizes, and what was kept in another type."""
    lines = [f"{file.path}  {format_bytes(file.size_bytes)}" for file in exported.files]
    if exported.float16_tensors:
        lines.append(
            f"{len(exported.float16_tensors)} matrices are float16: {exported.type} needs rows "
            "that divide into blocks of 32."
        )
    return "\n".join(lines)
