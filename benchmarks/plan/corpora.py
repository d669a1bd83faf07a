"""The texts of this benchmark, made from files that lie elsewhere: nothing of them is kept here."""

from __future__ import annotations

import sysconfig
from pathlib import Path

LIBRARY_BYTES = 20_000_000
AUSTEN_BYTES = 100_000

REPORT_ONLY = ("quijote",)
"""Corpora that no rule was read from."""


def corpus_file(name: str, texts: Path, made: Path) -> Path:
    """The file of a corpus, made if need be."""
    if (plain := texts / f"{name}.txt").exists():
        return plain
    path = made / f"{name}.txt"
    if not path.exists():
        made.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_austen(texts) if name == "austen_100k" else _library())
    return path


def _austen(texts: Path) -> bytes:
    text = (texts / "pride_and_prejudice.txt").read_bytes()[20_000 : 20_000 + AUSTEN_BYTES]
    return text[text.find(b"\n") + 1 : text.rfind(b"\n") + 1]


def _library() -> bytes:
    """Sources of the standard library, one after the other, tests included."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    parts, total = [], 0
    for path in sorted(folder.rglob("*.py")):
        if "site-packages" in path.parts or "dist-packages" in path.parts:
            continue
        parts.append(path.read_bytes())
        total += len(parts[-1])
        if total >= LIBRARY_BYTES:
            break
    return b"\n".join(parts).decode("utf-8", "ignore").encode()
