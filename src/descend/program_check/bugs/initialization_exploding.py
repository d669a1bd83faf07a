"""Weights start too large.

What it is:
    What flows through the network grows from layer to layer, or the logits are far too large.

How it shows:
    The first loss is several times ln(vocabulary), or not a number.

Not to be confused:
    A summed loss, which is as many times too large as there are tokens. A token embedding of
    deviation 1 that is also the head, torch's own default: the first loss is high, and training
    fixes it; that is a remark.

Proof:
    Mean loss of the untouched network on the first batch against ln(vocabulary), and the root mean
    square of what each part puts out.

How to fix:
    Deviations of 0.02, or 1 / sqrt(inputs); 0.02 / sqrt(2 layers) where a block writes its result.

When it is not this:
    A trained network on text that it does not know.

Source:
    Karpathy, A Recipe for Training Neural Networks (2019), "verify loss at init"; GPT-2.
"""

from __future__ import annotations

from torch import nn

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.initial_loss import measure_initial_state
from descend.program_check.probes.network import vocabulary_of
from descend.program_check.probes.weight_usage import looks_untrained
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Remark, Undetermined

TIMES_TOO_HIGH = 3.0
MIN_EXCESS_NATS = 5.0
"""The first loss must exceed ln V by this factor and by this many nats. Logits of deviation s cost
about s^2 / 2 nats while s is small: 5 nats are a deviation above 3; torch's linear layers give
0.6."""

HIGHER = 1.0
LARGE = 30.0
"""Or by this many nats while some part puts out numbers of this size: norms put out 1."""

DEFAULT_TABLE = (0.8, 1.2)
"""Deviation of an embedding as torch draws it."""


def look(program: Program) -> CheckResult:
    """Compare the first loss with ln V."""
    initial_state = program.run_probe_once(measure_initial_state)
    where = (
        f"model.{initial_state.where}" if initial_state.where else program.source_location("model")
    )
    fresh = looks_untrained(program.model)
    if not initial_state.from_program and not fresh:
        return Undetermined("the program gave no text, and the network is already trained")
    evidence = (
        f"the first loss is {initial_state.loss:.1f} nats per token, ln(vocabulary) is"
        f" {initial_state.uniform:.1f}"
    )
    if not initial_state.finite:
        return BugPresent("the outputs of the untouched network are not finite", where)
    if initial_state.loss > initial_state.uniform + HIGHER and initial_state.max_rms > LARGE:
        return BugPresent(
            f"{evidence}; {where} puts out numbers of size {initial_state.max_rms:.2g}", where
        )
    if initial_state.loss > max(
        TIMES_TOO_HIGH * initial_state.uniform, initial_state.uniform + MIN_EXCESS_NATS
    ):
        if _default_tied(program):
            return Remark(f"{evidence}: the head is a token embedding of deviation 1", where)
        return BugPresent(evidence, program.source_location("model"))
    return BugAbsent(evidence)


def _default_tied(program: Program) -> bool:
    """Return whether the head is a token embedding as torch draws it."""
    size = vocabulary_of(program.model)
    modules = list(program.model.modules())
    tables = [m.weight for m in modules if isinstance(m, nn.Embedding) and m.num_embeddings == size]
    heads = [m.weight for m in modules if isinstance(m, nn.Linear) and m.out_features == size]
    low, high = DEFAULT_TABLE
    return any(
        low < float(table.detach().float().std()) < high
        and (not heads or any(head is table for head in heads))
        for table in tables
    )


BUG = Bug(name_of(__name__), look, "draw weights with a deviation of 0.02 or 1 / sqrt(inputs)")
