"""Binary records of runs: TensorBoard's event files and Weights & Biases' `.wandb` files.

Both hold protocol buffers in frames; the few fields needed are read here, so that neither package
has to be installed.
Sources: tensorflow, core/lib/io/record_writer.h (frames: length, checksum, data, checksum) and
core/util/event.proto, core/framework/summary.proto, tensor.proto; leveldb, doc/log_format.md and
wandb, wandb/proto/wandb_internal.proto.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from descend.guard import is_regular_below
from descend.loss_logs.curve_assembly import CurveAssembly
from descend.loss_logs.number_parsing import number
from descend.loss_logs.parsers.structured import rows_of_scalars

WANDB_MAGIC = b":W&B"
MAX_RECORD_BYTES = 64 * 2**20
_BLOCK, _HEADER = 32768, 7
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
Field = tuple[int, int, int | bytes]


def is_event_file(start: bytes) -> bool:
    """Return whether a file that begins so is TensorBoard's: its first record holds the version."""
    return b"brain.Event:" in start[:64]


def read_events(path: Path, assembly: CurveAssembly) -> bool:
    """Read a TensorBoard event file; False if it holds no loss."""
    assembly.facts.kind = "TensorBoard event file"
    return read_scalars(_event_scalars(path), assembly)


def read_event_folder(folder: Path, assembly: CurveAssembly) -> bool:
    """Read all event files below a run's `folder`; False if they hold no loss.

    Keras writes `train` and `validation` apart, and `add_scalars` a folder a curve: names of
    folders stand before the names in them. Rows are taken in order of steps.
    """
    assembly.facts.kind = "TensorBoard event files"
    rows: list[tuple[float, dict[str, float]]] = []
    files = (path for path in folder.rglob("*tfevents*") if is_regular_below(path, folder))
    for path in sorted(files):
        parent = path.parent.relative_to(folder).as_posix()
        prefix = "" if parent == "." else f"{parent.replace('/', ' ')} "
        rows += [
            (step, {f"{prefix}{name}": value for name, value in values.items()})
            for step, values in _event_scalars(path)
        ]
    rows.sort(key=lambda row: row[0])
    return read_scalars(iter(rows), assembly)


def read_wandb(path: Path, assembly: CurveAssembly) -> bool:
    """Read a `.wandb` file; False if it holds no loss."""
    assembly.facts.kind = "Weights & Biases run file"
    return read_scalars(_wandb_scalars(path), assembly)


def read_scalars(
    scalars: Iterator[tuple[float, dict[str, float]]], assembly: CurveAssembly
) -> bool:
    """Read numbers by name at steps, in the order of the steps; False if none is a loss."""
    rows = _joined(scalars, assembly)
    for count, row in enumerate(rows_of_scalars(rows)):
        assembly.add(row)
        if count % 10_000 == 0:
            assembly.points.thin()
    return assembly.facts.rows > 0


def _joined(
    scalars: Iterator[tuple[float, dict[str, float]]], assembly: CurveAssembly
) -> Iterator[tuple[float, dict[str, float]]]:
    """Neighboring numbers of one step as one row."""
    at: float | None = None
    row: dict[str, float] = {}
    for step, values in scalars:
        if len(assembly.facts.names) < 500:
            assembly.facts.names.update(values)
        if at is not None and (step != at or values.keys() & row.keys()):
            yield at, row
            row = {}
        at = step
        row |= values
    if at is not None and row:
        yield at, row


def fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of a message: number, wire type, value. Ends where the message is
    damaged."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        kind, value = key & 7, 0
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, kind, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
        else:
            return
        if at + size > end:
            return
        yield key >> 3, kind, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return result, at
        shift += 7
    return result, len(data)


def _event_scalars(path: Path) -> Iterator[tuple[float, dict[str, float]]]:
    for record in _event_records(path):
        step, values = 0.0, {}
        for key, kind, value in fields(record):
            if key == 2 and isinstance(value, int):
                step = float(value)
            elif key == 5 and kind == _BYTES and isinstance(value, bytes):
                values = dict(_summary(value))
        if values:
            yield step, values


def _event_records(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while len(head := file.read(12)) == 12:
            (size,) = struct.unpack("<Q", head[:8])
            if not 0 < size <= MAX_RECORD_BYTES:  # 0: what a crash left of a file is zeros
                return
            data = file.read(size)
            if len(data) < size:
                return
            file.read(4)
            yield data


def _summary(data: bytes) -> Iterator[tuple[str, float]]:
    for key, _, value in fields(data):
        if key != 1 or not isinstance(value, bytes):
            continue
        tag, scalar = "", None
        for inner, kind, content in fields(value):
            if inner == 1 and isinstance(content, bytes):
                tag = content.decode("utf-8", "replace")
            elif inner == 2 and kind == _FOUR and isinstance(content, bytes):
                (scalar,) = struct.unpack("<f", content)
            elif inner == 8 and isinstance(content, bytes):
                scalar = _tensor(content)
        if tag and scalar is not None:
            yield tag, float(scalar)


def _tensor(data: bytes) -> float | None:
    """Return the number that a tensor with one element holds."""
    kind, content = 0, None
    for key, wire, value in fields(data):
        if key == 1 and isinstance(value, int):
            kind = value
        elif isinstance(value, bytes) and key == 4 and len(value) in (4, 8):
            content = value
        elif isinstance(value, bytes) and key in (5, 6) and len(value) == (4 if key == 5 else 8):
            content, kind = value, key if wire != _BYTES or kind == 0 else kind
    if content is None:
        return None
    if len(content) == 4 and kind in (0, 1, 5):
        return float(struct.unpack("<f", content)[0])
    if len(content) == 8 and kind in (0, 2, 6):
        return float(struct.unpack("<d", content)[0])
    return None


def _wandb_scalars(path: Path) -> Iterator[tuple[float, dict[str, float]]]:
    for record in _wandb_records(path):
        for key, _, value in fields(record):
            if key == 2 and isinstance(value, bytes):
                yield from _history(value)


def _history(data: bytes) -> Iterator[tuple[float, dict[str, float]]]:
    values: dict[str, float] = {}
    step: float | None = None
    for key, _, value in fields(data):
        if not isinstance(value, bytes):
            continue
        if key == 1:
            name, content = _item(value)
            if (scalar := _number_of(content)) is not None:
                values[name] = scalar
        elif key == 2:
            step = next(
                (float(v) for k, _, v in fields(value) if k == 1 and isinstance(v, int)), 0.0
            )
    at = values.pop("_step", step)
    named = next((values[n] for n in ("train/global_step", "trainer/global_step", "global_step")
                  if n in values), at)  # fmt: skip
    if named is not None:
        yield named, values


def _item(data: bytes) -> tuple[str, str]:
    name, content = "", ""
    for key, _, value in fields(data):
        if isinstance(value, bytes):
            text = value.decode("utf-8", "replace")
            if key == 1:
                name = text
            elif key == 2:
                name = f"{name}/{text}" if name else text
            elif key == 16:
                content = text
    return name, content


def _number_of(content: str) -> float | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, str) and value not in ("NaN", "Infinity", "-Infinity"):
        return None
    return number(value)


def _wandb_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a log of leveldb's format, whose first block begins with a header."""
    parts: list[bytes] = []
    with path.open("rb") as file:
        at = _HEADER
        while block := file.read(_BLOCK):
            while at + _HEADER <= len(block):
                size, kind = struct.unpack_from("<HB", block, at + 4)
                data = block[at + _HEADER : at + _HEADER + size]
                at += _HEADER + size
                if kind == 0 or len(data) < size:
                    break
                if kind in (1, 2):
                    parts = []
                parts.append(data)
                if kind in (1, 4):
                    yield b"".join(parts)
                    parts = []
            at = 0
