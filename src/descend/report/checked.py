"""A preflight in words."""

from __future__ import annotations

from descend.doctor.preflight.check import Checked, FoundBug


def checked_text(found: Checked) -> str:
    """Bugs first, then remarks, then what was and what could not be looked for."""
    lines = [_headline(found)]
    for bug in found.bugs:
        lines += ["", *_entry(bug), f"  mend: {bug.how_to_mend}",
                  f"  more: descend explain {bug.bug}"]  # fmt: skip
    for remark in found.remarks:
        lines += ["", *_entry(remark, "remark: ")]
    if found.checked:
        lines += [
            "",
            f"looked for and not there ({len(found.checked)}): {', '.join(found.checked)}",
        ]
    if found.not_checked:
        lines += ["", f"not checked ({len(found.not_checked)}):"]
        by_reason: dict[str, list[str]] = {}
        for one in found.not_checked:
            by_reason.setdefault(one.why, []).append(one.bug)
        lines += [f"  {', '.join(names)}: {why}" for why, names in by_reason.items()]
    return "\n".join(lines)


def _headline(found: Checked) -> str:
    count = len(found.bugs)
    words = "no bug found" if not count else f"{count} bug{'s' if count > 1 else ''} found"
    return f"{found.program}: {words}"


def _entry(bug: FoundBug, before: str = "") -> list[str]:
    return [f"{before}{bug.bug}", f"  {bug.evidence}", f"  where: {bug.where}"]
