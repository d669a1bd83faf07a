"""What is said of validation text that also stands in the training text."""

from __future__ import annotations

CONTAMINATION_WORTH_A_WORD = 0.02
"""Fraction of validation tokens found in training from which the user is warned: below it the
effect on the loss is under about 0.05 nat, since a passage memorized costs nearly nothing of 3."""

MOSTLY_CONTAMINATED = 0.5
"""From here the validation loss is for the greater part that of memorized text."""


def describe_contamination(fraction: float, *, has_phrases: bool = False) -> str | None:
    """Return a warning with its fix; None where so little of the validation text is copied that it
    changes nothing.

    Where a few phrases make up much of the text (`has_phrases`), they are the copies, and their own
    warning has the fix.
    """
    if fraction <= CONTAMINATION_WORTH_A_WORD:
        return None
    copied = f"{fraction:.0%} of the validation text also occurs in the training text, so the"
    fix = "`descend corpus add --deduplicate near`"
    if fraction <= MOSTLY_CONTAMINATED:
        return f"{copied} validation loss is too optimistic" + (
            "" if has_phrases else f". {fix} helps"
        )
    return (
        f"Warning: {copied} validation loss says how much was memorized, not how well new text is "
        f"predicted. Fix: remove the copies with {fix}, and check the result with `descend corpus "
        "stats`. Where versions of one text remain, put them into one document: the split "
        "keeps documents whole where it can"
    )
