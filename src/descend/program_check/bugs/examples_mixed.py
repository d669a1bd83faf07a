"""Examples of a batch act on each other.

What it is:
    What the network says of one example depends on the other examples of its batch: attention, a
    recurrence, or a softmax runs along the batch in place of the positions. Or inputs and targets
    are shuffled apart: each in a random order of its own.

How it shows:
    The loss stops early, near what single tokens tell, and predictions change with the size of the
    batch. Shapes fit, so nothing fails: `nn.TransformerEncoderLayer`, `nn.MultiheadAttention`, and
    `nn.LSTM` expect positions first, (T, B, D), unless `batch_first=True`.

Not to be confused:
    Positions of the same text that see each other are what a mask is for.

Proof:
    One example of a batch is changed, in evaluation mode. The outputs of the others must not
    move by more than rounding explains. In the source, the prediction and the target of a loss
    must not come from two random orders.

How to fix:
    `batch_first=True` where batches are (B, T, D). `transpose` swaps axes, `view` and `reshape` do
    not. Draw one order, and index inputs and targets with it.

When it is not this:
    A batch norm in training mode, one graph as a batch, a loss that compares the examples.

Source:
    torch.nn documentation: `batch_first` is False where it is not set; Karpathy, "A Recipe for
    Training Neural Networks", "use backprop to chart dependencies".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.example_influence import (
    ExampleInfluence,
    output_influence,
    text_influence,
)
from descend.program_check.probes.network import ask_once
from descend.program_check.probes.shuffled_apart import shuffled_apart
from descend.program_check.program import Program
from descend.program_check.results import (
    BugAbsent,
    BugPresent,
    CheckResult,
    Remark,
    UndeterminedError,
)
from descend.units import list_names


def look(program: Program) -> CheckResult:
    """Read how inputs and targets are shuffled, then change one example and watch the others."""
    apart = shuffled_apart(program.file)
    if apart is not None:
        inputs, targets = apart
        return BugPresent(
            f"`{inputs.of}` (line {inputs.line}) and `{targets.of}` (line {targets.line}) are "
            "shuffled in two different orders, so that targets do not belong to their inputs",
            program.where_is_line(targets.line),
            "draw one order, and index inputs and targets with it",
        )
    influence = _measure(program)
    if not influence.change:
        return BugAbsent(f"{influence.num_examples} examples: no output moves with another example")
    evidence = (
        f"the outputs of one example change by up to {influence.change:.2g} of their size when "
        f"another of the {influence.num_examples} examples of the batch changes"
    )
    if influence.are_texts:
        where = program.where_is_attention(influence.parts, partial(ask_once, program))
        return BugPresent(evidence, where, _fix(program, influence.parts))
    if not influence.parts:  # such a network may be meant to compare them
        return Remark(evidence, program.source_location("model"))
    where = list_names([f"model.{name}" for name in influence.parts])
    return BugPresent(evidence, where, _fix(program, influence.parts))


def _measure(program: Program) -> ExampleInfluence:
    try:
        return program.run_probe_once(text_influence)
    except UndeterminedError as reason:
        try:
            return program.run_probe_once(output_influence)
        except UndeterminedError as other:
            raise UndeterminedError(f"{reason}; {other}") from None


def _fix(program: Program, parts: Sequence[str]) -> str:
    modules = [program.model.get_submodule(name) for name in parts]
    if any(getattr(m, "batch_first", True) is False for m in modules):
        return "set `batch_first=True`, or give these layers the positions first: (T, B, D)"
    return BUG.fix


BUG = Bug(
    name_of(__name__),
    look,
    "let attention, recurrences, softmax, and norms run along the positions of one example",
)
