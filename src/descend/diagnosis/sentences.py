"""The sentences of a diagnosis: why a cause is not the one, and what limits the answer.

They are fields of the stored record, so they are made below the reports that show them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from descend.diagnosis.metric_text import format_metric
from descend.diagnosis.ranking import RankedCause, contrary_evidence
from descend.metrics.measurement import Measurements
from descend.runs.events import Rollback
from descend.units import format_duration, format_part_read, quoted

if TYPE_CHECKING:  # numpy is not loaded for a page of the handbook
    from descend.diagnosis.effects import TreatmentEffect

BUSY_WARNING = (
    "other programs kept the processor busy, so some trials are missing: diagnose the run again to "
    "add them"
)
EARLIER_DIAGNOSIS_WARNING = (
    "an earlier diagnosis of this run rests on trials, and this one does not, so diagnosis.json "
    "keeps the earlier one for --apply-fix and the report"
)
COMBINATIONS_UNTESTED = "combinations of changes were not tested: the trial budget is used up"
NOT_SIGNIFICANT = "it lowers the loss, but not significantly"
TRIAL_ON_COPIES = "its trial says nothing: it was judged by text that was trained on"
NOTHING_PREVENTS_DIVERGENCE = "no tested change prevents it"
MEMORIZATION_DIVERGED = "the loss diverged in the memorization check"
NO_TRIALS_WITHOUT_TEXT = (
    "no trials were made: they need the text as the run read it, in its old place"
)
NO_TRIALS_ON_COPIES = (
    "no trials were made: they would be judged by validation text that also occurs in the training "
    "text, so the changes that memorize most would win"
)
NO_TRIALS_BY_FLAG = (
    "no trials were made because of --no-trials, so this verdict rests on measurements alone"
)


def describe_effect(
    change: str, loss_reduction: float, ci95: tuple[float, float] | None, is_ablation: bool = False
) -> str:
    """`twice the width ends 0.020 nats better (95 % CI -0.010 to 0.050)`.

    `loss_reduction` and its interval in nats per token, above 0: the loss fell. With `is_ablation`
    the gain is what the run loses by a change that made it worse on purpose, such as half the text.
    The interval is reported in the direction of the word before it.
    """
    if is_ablation and loss_reduction < 0:  # the change made it better after all
        is_ablation, loss_reduction = False, -loss_reduction
        ci95 = ci95 and (-ci95[1], -ci95[0])
    sign = 1.0 if is_ablation or loss_reduction >= 0 else -1.0
    nats = f"{sign * loss_reduction:.3f} nats"
    text = f"costs {nats}" if is_ablation else f"ends {nats} {'better' if sign > 0 else 'worse'}"
    if ci95 is None:
        return f"{change} {text}"
    low, high = sorted(sign * bound for bound in ci95)
    return f"{change} {text} (95 % CI {low:.3f} to {high:.3f})"


MIN_COST_FACTOR = 1.05
"""Of the training time, from which a costly change is called longer."""


def explain_other_cause(
    ranked_cause: RankedCause,
    measurements: Measurements,
    effect: TreatmentEffect | None,
    is_tested: bool,
    best: TreatmentEffect | None = None,
) -> str:
    """Return why a cause is not among the findings, as a sentence."""
    if ranked_cause.exclusion_reason is not None:
        return ranked_cause.exclusion_reason
    if effect is not None:
        change = effect.treatment.change
        effect_text = describe_effect(
            change.label, effect.mean_reduction, (effect.low, effect.high), change.is_ablation
        )
        if change.is_ablation:
            if effect.low <= 0:
                return effect_text
            return (
                f"{effect_text}; the opposite change is expected to lower the loss by"
                f" {effect.full_length_reduction:.3f}"
            )
        also = _beside_the_best(effect, best) if effect.is_significant else ""
        if effect.is_inconclusive and effect.low > 0:
            also = f": not significant (Holm-adjusted p = {effect.p_holm:.2f})"
        if effect.is_doubtful and effect.low > 0:
            also = ": so early a lead often does not last"
        if effect.low > 0 and effect.reduction_at_equal_time is not None:
            also += f"; {_at_equal_time(effect.reduction_at_equal_time)}"
        if effect.low > 0 and effect.full_length_reduction < effect.min_effect:
            also = f", below the minimum effect of interest ({effect.min_effect:.3f})"
            if effect.treatment.is_costly and effect.cost_factor > MIN_COST_FACTOR:
                also = (
                    f", too little for {effect.cost_factor:.1f} times the training time (from"
                    f" {effect.min_effect:.3f})"
                )
            measured = effect.measured_full_length_reduction
            at_end = effect.expected_reduction if measured is None else measured
            if at_end < effect.mean_reduction:
                about = "about " if measured is None else ""
                also = f" in the short trial and {about}{at_end:.3f} at full length{also}"
        return effect_text + also
    contrary = contrary_evidence(ranked_cause.cause, measurements)
    if contrary:
        e = contrary[0]
        return format_metric(e.metric, e.value, e.unit)
    if ranked_cause.cause.name == "diverged":
        return "training stayed finite"
    if is_tested:
        return "less likely than those that were tested"
    return "the measurements say little about it"


def _beside_the_best(gain: TreatmentEffect, best: TreatmentEffect | None) -> str:
    """How a proved effect compares with that of the cause that is named."""
    if best is None or gain.mean_reduction < best.mean_reduction:
        return ": it helps, but another change helps more"
    if gain.cost_adjusted_reduction < best.cost_adjusted_reduction:
        return f": it helps, and costs {gain.cost_factor:.1f} times the training time"
    return ": it helps about as much as the change above"


def _at_equal_time(loss_reduction: float) -> str:
    """Against more steps in the time that the change takes more."""
    more = "less" if loss_reduction >= 0 else "more"
    return f"more steps in the same time lower the loss by {abs(loss_reduction):.3f} nats {more}"


def describe_missing_parent(parent: str) -> str:
    """Return why no trials were made of a run whose parent is gone."""
    return (
        f"no trials were made: the model that the run continued is not at {parent}"
        " (as seen from this folder)"
    )


def describe_few_tokens(tokens: float, min_tokens: int) -> str:
    """Return why no trials were made on so few validation tokens."""
    return (
        f"no trials were made: {tokens:.0f} validation tokens are too few to compare two runs;"
        " train on more text, or with a larger --validation-fraction, so that there are"
        f" {min_tokens:,}"
    )


def describe_too_short(change: str, min_run_fraction: float) -> str:
    """Return why a change was not tried in trials as short as these."""
    return (
        f"the effect of {change} shows only in trials of at least {min_run_fraction:.0%} of the run"
    )


def describe_gap(gap: float, is_tested: bool) -> str:
    """Describe a large generalization gap (nats per token) of a run with nothing wrong."""
    fault = "no setting is at fault, and " if is_tested else ""
    return (
        f"the loss is {gap:.2f} nats lower on training text than on validation text: {fault}"
        "more text of the same kind is the most likely to help"
    )


def describe_gap_to_counting(loss: float, ngram_loss: float, folder: Path) -> str:
    """Say that counting predicts the text better than the model, though no tested change helps."""
    return (
        f"the best n-gram baseline predicts this text better ({ngram_loss:.2f} nats against "
        f"{loss:.2f}), and no single change closes the gap; `descend improve {quoted(folder)} "
        "--minutes 10` tries whole configurations"
    )


def describe_falling_loss(fell: float, folder: Path) -> str:
    """Describe a validation loss that fell by so many nats in the last epoch."""
    return (
        f"the validation loss still fell by {fell:.2f} nats in the last epoch, so more epochs "
        f"may help: descend forecast {quoted(folder)}"
    )


def describe_unread_text(num_epochs: float, folder: Path, *, has_fix: bool) -> str:
    """Say that the run read only a part of its text, and how to read all of it; `has_fix`: another
    change is recommended, which comes first."""
    read = f"the run read only {format_part_read(num_epochs)} of its text"
    if has_fix:
        return (
            f"{read}; `descend train --from-run {quoted(folder)} --apply-fix --epoch 1` applies "
            "the fix and reads all of it"
        )
    return f"{read}; `descend continue {quoted(folder)} --epoch 1` reads all of it"


def describe_better_parent(parent_loss: float, loss: float) -> str:
    """Say that a run did not improve the model that it continued."""
    return (
        f"the model that this run continued has the lower validation loss ({parent_loss:.3f}, this "
        f"run {loss:.3f}): a trial is an improvement only if it ends below {parent_loss:.3f}"
    )


def describe_slow_check(seconds: float) -> str:
    """Say that the memorization check did not end in time."""
    return (
        f"the memorization check did not finish in {format_duration(seconds)}; use a larger "
        "--trial-budget"
    )


def describe_trials(
    tokens: int, run_fraction: float, evaluation_tokens: int, validation_tokens: int
) -> list[str]:
    """Say how long the trials were, what both sides had in common, and what judged them.

    `evaluation_tokens`: at most so many of the `validation_tokens`.
    """
    warnings = [
        f"the control of a trial trained on {tokens:,} tokens ({run_fraction:.0%} of the run); "
        "both sides had the same seed, data order, and validation tokens"
    ]
    if evaluation_tokens < validation_tokens:
        warnings.append(
            f"trials are evaluated on a sample of {evaluation_tokens:,} of the "
            f"{validation_tokens:,} validation tokens, so their losses are not those of the run"
        )
    if run_fraction < 1:
        warnings.append(
            "trials are shorter than the run, so the effect on a run of full length is extrapolated"
        )
    return warnings


def describe_stop(num_steps: int, num_rollbacks: int) -> str:
    """Say when a run that diverged stopped."""
    times = f" and {num_rollbacks} rollbacks" if num_rollbacks else ""
    return f"training stopped after {num_steps} steps{times}"


def describe_unexamined_cause(*, rolled_back: bool) -> str:
    """Return why no other cause of a diverged run is looked into."""
    if rolled_back:
        return "the run diverged and was rolled back: fix that first"
    return "the run diverged before it could show"


def describe_bad_step(problem: str, explosion_vocab_size: int | None) -> str:
    """Say what was wrong at the first bad step: `problem`, or an explosion over a vocabulary."""
    if explosion_vocab_size is not None:
        guessing = math.log(explosion_vocab_size)
        return f"a loss far above random guessing, which is {guessing:.1f}"
    return problem or "a loss or gradient that is not a finite number"


def describe_last_rollback(rollback: Rollback) -> str:
    """Say what the last rollback changed."""
    done = {
        "skip": f"{rollback.value:.0f} batches skipped",
        "clip": f"clipping at {rollback.value:g}",
        "rate": f"the learning rate times {rollback.value:.2g}",
    }[rollback.adjustment]
    return f"the last time with {done}"


def describe_untested_changes(num_untested: int, num_changes: int) -> str:
    """Say that the budget ended before all changes were tested."""
    return f"{num_untested} of {num_changes} changes were not tested: the --trial-budget is used up"


def describe_vanished_divergence(num_steps: int) -> str:
    """Say that the same settings did not diverge again."""
    return (
        f"the same settings did not diverge again within {num_steps} steps of a schedule of "
        "that length: divergence depends on the length, or on chance"
    )
