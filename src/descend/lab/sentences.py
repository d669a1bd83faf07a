"""The answer of a comparison in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from descend.lab.comparison import ComparedArm

_EQUAL = {
    "tokens": "on equal tokens",
    "seconds": "in equal time",
    "steps": "with equal steps",
    "epoch": "with each its own epochs",
}


def comparison_sentence(arms: Sequence[ComparedArm], unit: str, match: str, seeds: int) -> str:
    """What may be claimed of the arms against the first, and what may not."""
    first, others = arms[0], arms[1:]
    words = f"{_EQUAL[match]}, {seeds} seed{'s' if seeds != 1 else ''} each"
    if seeds == 1:
        words += " (one seed shows no spread, so nothing is claimed)"
    better = sorted((a for a in others if a.verdict == "better"), key=_difference)
    worse = sorted((a for a in others if a.verdict == "worse"), key=_difference)
    unsure = [a.name for a in others if a.verdict == "not told apart"]
    parts = []
    if better:
        parts.append(
            f"better than {first.name} by the held-out loss: "
            + ", ".join(f"{a.name} ({_difference(a):+.3f})" for a in better)
        )
    if worse:
        parts.append(
            f"worse than {first.name}: "
            + ", ".join(f"{a.name} ({_difference(a):+.3f})" for a in worse)
        )
    if unsure:
        parts.append(f"not told apart from {first.name}: {', '.join(unsure)}")
    return f"{words[0].upper()}{words[1:]}, in {unit}: {'; '.join(parts)}."


def _difference(arm: ComparedArm) -> float:
    return arm.difference.value if arm.difference else 0.0
