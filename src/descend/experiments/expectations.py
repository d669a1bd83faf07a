"""What an hour more, or more text, would bring to the best model of an improvement."""

from __future__ import annotations

import msgspec

from descend.experiments.improvement import Expectation, Improvement
from descend.experiments.text_fractions import more_text_gain
from descend.planner.make_plan import CorpusPlan
from descend.planner.plan import choose_config, law_input
from descend.planner.scaling_law import load_scaling_law

LATER_MINUTES, MORE_TEXT = 60.0, 10


def expectations(improvement: Improvement, planned: CorpusPlan) -> list[Expectation]:
    """Return what more time and more text would bring, by the scaling law, or by trials on
    fractions of the text where they were made.

    The ratio is applied to what the planned recipe reached. Where no gain is expected, that is
    reported as 1. The law knows no models that learn from others, so it says nothing of an hour
    more of those.
    """
    plan, best = planned.plan, improvement.best
    if best is None:
        return []
    taught = best.origin == "distilled"
    alone = [c for c in improvement.candidates if c.origin != "distilled"]
    reached = min((c.bits_per_byte for c in alone), default=best.bits_per_byte)
    law, now = load_scaling_law(), law_input(plan)
    more_text = msgspec.structs.replace(
        plan.sample, train_bytes=MORE_TEXT * plan.sample.train_bytes
    )
    later = plan.minutes + LATER_MINUTES
    measured = more_text_gain(improvement.text_fractions)
    lines = []
    for more, sample, minutes in (
        ("an hour more", plan.sample, later),
        (f"{MORE_TEXT} times the text, in the same time", more_text, plan.minutes),
        (f"{MORE_TEXT} times the text, and an hour more", more_text, later),
    ):
        if taught and sample is plan.sample:
            continue
        if measured is not None and sample is more_text and minutes == plan.minutes:
            low, high = (ratio * reached for ratio in measured.interval)
            lines.append(Expectation(
                more=more, bits_per_byte=measured.ratio * reached,
                interval=(low, high), measured_by="text fractions",
            ))  # fmt: skip
            continue
        then = law_input(choose_config(sample, plan.rates, law, minutes))
        ratio, low, high = (min(r, 1.0) for r in law.ratio(now, then))
        lines.append(Expectation(
            more=more, bits_per_byte=ratio * reached, interval=(low * reached, high * reached)
        ))  # fmt: skip
    return lines
