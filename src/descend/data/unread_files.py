"""A sentence on the files that are not read."""

from __future__ import annotations

from collections import Counter

MAX_LISTED_KINDS = 8
"""Kinds of files that are named; the rest is one sum."""


def describe_unread(counts: Counter[str], sizes: Counter[str], total: int) -> list[str]:
    """Return a sentence on files that are not read: how many of each kind, and of `total` bytes."""
    if not counts:
        return []
    kinds = sorted(counts.items(), key=lambda kind: (-sizes[kind[0]], -kind[1], kind[0]))
    listing = ", ".join(
        f"{count} {kind}{_share(sizes[kind], total)}" for kind, count in kinds[:MAX_LISTED_KINDS]
    )
    rest = sum(sizes[kind] for kind, _ in kinds[MAX_LISTED_KINDS:])
    return [
        f"not read: {listing}" + (f", …{_share(rest, total)}" if kinds[MAX_LISTED_KINDS:] else "")
    ]


def _share(part: int, total: int) -> str:
    if not part:
        return ""
    percent = 100 * part / total
    return f" ({percent:.0f} % of the bytes)" if percent >= 1 else " (under 1 % of the bytes)"
