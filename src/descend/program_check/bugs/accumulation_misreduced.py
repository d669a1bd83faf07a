"""Accumulated gradients are reduced wrongly.

What it is:
    A batch is taken in parts and their gradients are added without dividing by the number of
    parts, or parts of unequal length count alike. Or gradients are cleared before each part, so
    that the last part alone counts.

How it shows:
    More accumulation acts as a higher learning rate or a lower clip; results differ from those of
    the same batch taken at once.

Not to be confused:
    A loss that is summed over tokens in a single forward.

Proof:
    The weight of every token, read from the gradients at the logits of all forwards between two
    steps of the optimizer: they must add up to 1, and be the same for each part. The gradient that
    the optimizer is given must be that of all parts, which are different texts.

How to fix:
    Divide each part's summed loss by the number of tokens of all parts, and clear gradients once
    for each step of the optimizer.

When it is not this:
    Several forwards for other reasons, such as two views of one batch, or the two gradients of
    one batch that sharpness-aware minimization takes. Below a ratio of 10 it is a warning.

Source:
    transformers issue 24725 and pull request 34191, and unsloth's note on gradient accumulation
    (October 2024).
"""

from __future__ import annotations

from descend.program_check.bug import Bug, name_of
from descend.program_check.instrumentation.call_recorder import ModelCall
from descend.program_check.probes.dry_run import (
    OptimizerStepRecord,
    dry_run,
    where_gradients_are_cleared,
)
from descend.program_check.probes.loss_scale import effective_token_weight, loss_scale
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Remark, Undetermined

MAX_OFF = 1.5
"""Factor by which the weights of a step may miss 1: two parts that are not divided make 2."""

UNEQUAL = 1.1
"""Ratio of the weight of a token in one part to that in another: 1 if all count alike."""

MUCH = 10.0
"""The same from which it is a bug. First guess: transformers issue 24725 reports it of rows of 11
and 101 tokens, and in pull request 34191 blocks of one length trained nearly alike without the fix
and with it."""


def look(program: Program) -> CheckResult:
    """Add up the weights of all tokens between two steps."""
    dry_run_result = program.run_probe_once(dry_run)
    updates = [u for u in dry_run_result.updates if 1 < len(u.model_calls) <= u.num_backward]
    if not updates:
        if any(1 < u.plain_calls <= u.num_backward for u in dry_run_result.updates):
            return Undetermined("the parts of a step hold no token ids")
        return Undetermined("no step splits its batch into micro-batches", applies=False)
    if not _are_different_texts(updates):
        return Undetermined("the parts of a step are the same text: two views of one batch")
    discarded = sorted(u.discarded_parts for u in updates)[len(updates) // 2]
    parts = len(updates[0].model_calls)
    where = program.source_location("step")
    optimizers = {id(o) for o in program.optimizers} | {id(u.optimizer) for u in updates}
    if discarded and len(optimizers) == 1:
        return BugPresent(
            f"the gradients of {discarded} of {parts} parts are cleared before the optimizer steps,"
            " so the last part alone counts",
            where_gradients_are_cleared(program, dry_run_result),
            "call `optimizer.zero_grad()` once for each `optimizer.step()`, not each micro-batch",
        )
    scale = loss_scale(program)
    totals = sorted(effective_token_weight(u, scale) for u in updates)
    total = totals[len(totals) // 2]
    if not 1 / MAX_OFF < total < MAX_OFF:
        return BugPresent(
            f"the token weights of {parts} micro-batches sum to {total:.3g}, expected 1", where
        )
    worst = max(_ratio(u) for u in updates)
    if worst > UNEQUAL:
        evidence = f"a token of one micro-batch weighs {worst:.2f} times as much as one of another"
        if worst < MUCH:
            return Remark(
                f"{evidence}, as the means of unequal micro-batches are averaged; usual until "
                "2024, and no error at so small a ratio",
                where,
            )
        return BugPresent(evidence, where)
    return BugAbsent(f"the token weights of {parts} micro-batches sum to {total:.2g}, all alike")


def _are_different_texts(updates: list[OptimizerStepRecord]) -> bool:
    """Return whether the calls of most steps have texts of their own."""
    different = [
        len({c.ids_BT.cpu().numpy().tobytes() for c in u.model_calls}) == len(u.model_calls)
        for u in updates
    ]
    return 2 * sum(different) > len(different)


def _ratio(update: OptimizerStepRecord) -> float:
    means = [m for m in map(_mean_weight, update.model_calls) if m > 0]
    return max(means) / min(means) if means else 1.0


def _mean_weight(call: ModelCall) -> float:
    if call.weights_BT is None:
        return 0.0
    live = call.weights_BT[call.weights_BT > 0]
    if not len(live) or float(live.std(correction=0)) > 0.05 * float(live.mean()):
        return 0.0  # tokens are weighed on purpose
    return float(live.mean())


BUG = Bug(
    name_of(__name__), look,
    "divide the summed loss of each micro-batch by the number of tokens of the whole batch",
)  # fmt: skip
