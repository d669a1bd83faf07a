"""The child process in which the header of a stranger's safetensors file is checked first."""

from __future__ import annotations

import msgspec

from descend.limited_process import answer_limited
from descend.model.header import check_tensors


class HeaderFacts(msgspec.Struct, frozen=True):
    """What the child says of a header; `problem` where it is not one that is read."""

    problem: str | None = None


def read_facts(content: bytes) -> HeaderFacts:
    """Check the JSON of a header."""
    try:
        check_tensors(content)
    except (ValueError, RecursionError) as problem:  # a DecodeError is a ValueError
        return HeaderFacts((str(problem).splitlines() or ["nested too deep"])[0][:200])
    return HeaderFacts()


def main() -> None:
    """Answer for the header on standard input."""
    answer_limited(read_facts)
