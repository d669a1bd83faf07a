"""Every program of the benchmark: with a bug, healthy, and healthy in ways that look like a bug."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alike import ALIKE
from pieces import source
from planted import PLANTED
from styles import LOSSES, NETWORKS, STEPS, SUPPLIES, Piece


@dataclass(frozen=True)
class ProgramExample:
    """A program and the bug in it, if there is one."""

    name: str
    bug: str | None
    kind: str
    """`planted`, `healthy` or `alike`."""
    pieces: Piece

    @property
    def source(self) -> str:
        """The program's source."""
        return source(self.pieces)


def planted() -> Iterator[ProgramExample]:
    """One bug each."""
    for bug, variants in PLANTED.items():
        for variant, pieces in variants.items():
            yield ProgramExample(f"{bug}: {variant}", bug, "planted", pieces)


def healthy() -> Iterator[ProgramExample]:
    """One style each, and pairs of styles that do not touch the same piece."""
    styles = [NETWORKS, SUPPLIES, LOSSES, STEPS]
    for group in styles:
        for name, pieces in group.items():
            yield ProgramExample(name, None, "healthy", pieces)
    for a, first in NETWORKS.items():
        for n, (b, second) in enumerate((SUPPLIES | LOSSES | STEPS).items()):
            # Every seventh pair, begun elsewhere for each network: all styles meet many others.
            if first and second and not set(first) & set(second) and (n + len(a)) % 7 == 0:
                yield ProgramExample(f"{a} + {b}", None, "healthy", first | second)


def alike() -> Iterator[ProgramExample]:
    """Healthy, with what a careless check would take for a bug."""
    for bug, variants in ALIKE.items():
        for variant, pieces in variants.items():
            yield ProgramExample(f"like {bug}: {variant}", None, "alike", pieces)


def all_cases() -> list[ProgramExample]:
    """Every program."""
    return [*planted(), *healthy(), *alike()]
