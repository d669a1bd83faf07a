"""The one place where numbers become sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from descend.handbook.checklist import Checklist
from descend.runs.epochs_read import (
    count_epochs_read,
    count_tokens_read,
    format_epochs_read,
    reads_whole_text,
)
from descend.runs.events import Epoch, Overfitting, Rollback, Sample, Step
from descend.runs.run_files import RunSummary
from descend.units import (
    format_duration,
    format_epochs,
    format_part_read,
    quoted,
)

MIN_LOSS_DIFFERENCE_NATS = 0.02
"""Nats by which two validation losses must differ before we call one lower: the spread between
seeds of a small run is about 0.006 (three seeds, tiny Shakespeare), so this is three of it."""

MIN_ACCURACY_DIFFERENCE = 0.01
"""Accuracy above the bigram baseline's that is worth a word: what whole percents show."""


def format_epoch(epoch: Epoch, of: int, num_epochs: float | None = None) -> str:
    """Format an epoch in 80 columns: training loss, validation loss, validation accuracy.

    `num_epochs`: how often the text was read by then. Below `epoch.epoch`, that is the number.
    """
    number = f"{epoch.epoch}/{of}"
    if num_epochs is not None and num_epochs < epoch.epoch:
        number = format_epochs(num_epochs).removesuffix(" epochs")
    return (
        f"epoch {number}  "
        f"training loss {epoch.loss_start:.2f} → {epoch.loss_end:.2f}  "
        f"validation loss {epoch.validation_loss:.3f}  "
        f"accuracy {epoch.validation_accuracy:.1%}"
    )


def step_line(step: Step, of: int, remaining_seconds: float | None) -> str:
    """Return where a long epoch stands; how long is left only where that is known."""
    suffix = "" if remaining_seconds is None else f"  {format_duration(remaining_seconds)} left"
    return f"step {step.step:,}/{of:,}  loss {step.loss:.3f}{suffix}"


def format_rollback(rollback: Rollback) -> str:
    """Say what diverged, where, and what was changed."""
    change = {
        "skip": f"skipped {rollback.value:.0f} batch{'es' if rollback.value != 1 else ''}",
        "clip": f"clipped gradients at {rollback.value:g}",
        "rate": f"lowered the learning rate to {rollback.value:.2g} of its value",
    }[rollback.adjustment]
    return (
        f"Step {rollback.failed_step:,}: {rollback.problem}. Rolled back to step "
        f"{rollback.step:,} and {change}."
    )


def overfitting_line(overfitting: Overfitting) -> str:
    """Say that the run overfits, and what is done about it."""
    rise = (
        f"Overfitting: the validation loss rose from {overfitting.best_loss:.3f} (epoch "
        f"{overfitting.best_epoch}) to {overfitting.loss:.3f} (epoch {overfitting.epoch})"
    )
    if overfitting.decay_steps:
        return (
            f"{rise}. Training rolls back to epoch {overfitting.best_epoch} and ends with"
            f" {overfitting.decay_steps:,} steps in which the learning rate falls to zero."
        )
    return (
        f"{rise}. The weights of epoch {overfitting.best_epoch} are kept unless a later"
        " epoch is better. Training continues, since its length is set (--epoch, --max-steps, or"
        " --minutes). More text would help."
    )


def format_sample(sample: Sample, max_length: int) -> str:
    """Return a sample on one line, shortened to `max_length` characters."""
    text = " ".join(f"{sample.prompt}▸{sample.text}".split())
    return text if len(text) <= max_length else f"{text[: max_length - 2].rstrip()} …"


def format_ngram_baselines(baselines: dict[str, float]) -> str:
    """Format the n-gram baselines, on the same validation tokens."""
    return (
        f"baseline loss (lower is better): random guess {baselines['uniform']:.2f}, unigram"
        f" {baselines['unigram']:.2f}, bigram {baselines['bigram']:.2f}"
    )


def format_accuracy_baselines(accuracies: Mapping[str, float]) -> str:
    """Format the accuracy of guessing without a network; empty where it is unknown.

    `accuracies`: those of `NgramBaselines.accuracies`.
    """
    if not {"unigram", "bigram"} <= accuracies.keys():
        return ""
    return (
        f"baseline accuracy (higher is better): most common token {accuracies['unigram']:.0%},"
        f" bigram {accuracies['bigram']:.0%}"
    )


def _format_accuracy(summary: RunSummary) -> str:
    """Return how often the model is right, beside guessing without a network."""
    bigram = summary.accuracy_baselines.get("bigram")
    beside = "" if bigram is None else f" (bigram baseline {bigram:.0%})"
    return (
        f"The model predicts {summary.validation_accuracy:.0%} of the next tokens correctly{beside}"
    )


def samples_text(samples: list[Sample]) -> str:
    """Return samples as they are, the prompt set apart by a mark."""
    blocks = [f"{s.prompt}▸{s.text}".strip() for s in samples]
    return "\n\n".join(f"--- sample {n}\n{block}" for n, block in enumerate(blocks, 1))


def format_run_end(summary: RunSummary) -> str:
    """Return the end of a run in two lines, how good it is and what that means."""
    return "\n".join([how_good(summary), what_it_means(summary)])


def format_run_details(summary: RunSummary) -> str:
    """Return what `--verbose` prints at the end of a run."""
    return "\n\n".join(
        [samples_text(summary.samples), summarize_run(summary), f"saved in {summary.model_dir}"]
    )


def how_good(summary: RunSummary) -> str:
    """Return the quality, with one comparison."""
    guessing, pairs = summary.ngram_baselines["uniform"], summary.ngram_baselines["bigram"]
    if has_failed(summary):
        return _failure(summary)
    if summary.continued and summary.parent_validation_loss is not None:
        change = summary.parent_validation_loss - summary.validation_loss
        direction = "lower" if change >= 0 else "higher"
        beside = f"{summary.parent_validation_loss:.3f} before: {abs(change):.3f} {direction}"
    else:
        beside = f"bigram baseline {pairs:.2f}, random guess {guessing:.2f}"
    return f"{_format_accuracy(summary)}. Validation loss {summary.validation_loss:.3f} ({beside})."


def what_it_means(summary: RunSummary) -> str:
    """Return what that quality says of the model, in a sentence or two."""
    if has_failed(summary):
        return "It has learned nothing. The most likely cause is the learning rate."
    if has_learned_little(summary):
        learned = "It has learned almost nothing yet."
    elif not is_below_bigram(summary):
        learned = f"It is {_beside_bigram(summary)}."
    else:
        learned = "It uses more context than the previous token."
    state = _state_of_curve(summary)
    if is_worse_than_parent(summary):
        state = "Further training made it worse: the model that it continued has the lower loss."
    return " ".join([learned, state, *_rollback_lines(summary)])


def is_worse_than_parent(summary: RunSummary) -> bool:
    """Return whether a run ended clearly above the validation loss of the model it continued."""
    before = summary.parent_validation_loss
    return before is not None and summary.validation_loss > before + MIN_LOSS_DIFFERENCE_NATS


def short_remark(summary: RunSummary) -> str:
    """Return what is wrong with a run, in at most three words for a list; empty where nothing is.

    It never says other than `what_it_means`.
    """
    if has_failed(summary):
        return "learned nothing"
    if has_learned_little(summary):
        return "learned almost nothing"
    if _overfits(summary):
        return "overfits"
    return ""


def _overfits(summary: RunSummary) -> bool:
    """Return whether the validation loss rose after the best epoch, by more than chance."""
    last = summary.epochs[-1].validation_loss
    return bool(summary.overfitting) or last > summary.validation_loss + MIN_LOSS_DIFFERENCE_NATS


def _state_of_curve(summary: RunSummary) -> str:
    """Return what the curve suggests, shortly."""
    last = summary.epochs[-1]
    if _overfits(summary):
        return (
            f"It overfits: the validation loss rose after epoch {summary.best_epoch}. The weights "
            "of that epoch are kept. More text would help."
        )
    if len(summary.epochs) > 1:
        before = summary.epochs[-2].validation_loss
        if before - last.validation_loss > MIN_LOSS_DIFFERENCE_NATS:
            return "It was still improving at the end."
        if has_learned_little(summary):
            return "Its loss hardly changed in the last epoch."
        return "The validation loss had leveled off."
    return _after_one_epoch(summary)


def _after_one_epoch(summary: RunSummary) -> str:
    """Say that one evaluation shows no trend, and how little was read if it was less than once."""
    fraction = count_epochs_read(summary)
    if reads_whole_text(fraction):
        return "One epoch is not enough to judge whether more would help."
    of_tokens = ""
    if summary.train_tokens is not None:
        of_tokens = f" ({count_tokens_read(summary):,} of {summary.train_tokens:,} tokens)"
    return (
        f"The run read {format_part_read(fraction)} of the text{of_tokens}. "
        f"`descend continue {quoted(summary.model_dir)} --epoch 1` reads all of it."
    )


def has_failed(summary: RunSummary) -> bool:
    """Return whether the best loss is still far worse than guessing: an explosion."""
    return summary.validation_loss > summary.ngram_baselines["uniform"] + 1.0


def has_learned_little(summary: RunSummary) -> bool:
    """Return whether the loss is not clearly below that of the unigram baseline."""
    return summary.validation_loss >= summary.ngram_baselines["unigram"] - MIN_LOSS_DIFFERENCE_NATS


def is_below_bigram(summary: RunSummary) -> bool:
    """Return whether the loss is clearly below that of the bigram baseline."""
    return summary.validation_loss < summary.ngram_baselines["bigram"] - MIN_LOSS_DIFFERENCE_NATS


def _failure(summary: RunSummary) -> str:
    return (
        f"Training diverged: the validation loss is {summary.validation_loss:.4g} "
        f"(random guess: {summary.ngram_baselines['uniform']:.1f})."
    )


def summarize_run(summary: RunSummary) -> str:
    """Return how a finished run went: its result beside counting, and how the curve ended."""
    if has_failed(summary):
        return _failure(summary)
    return " ".join([
        _describe_result(summary), *_rollback_lines(summary), _against_counting(summary),
        describe_convergence(summary),
    ])  # fmt: skip


def _rollback_lines(summary: RunSummary) -> list[str]:
    """Say that training diverged, and what let it continue."""
    if not summary.rollbacks:
        return []
    first, last = summary.rollbacks[0], summary.rollbacks[-1]
    times = {1: "once", 2: "twice"}.get(len(summary.rollbacks), f"{len(summary.rollbacks)} times")
    what = {"skip": "some batches skipped", "clip": f"gradients clipped at {last.value:g}",
            "rate": f"the learning rate times {last.value:.2g}"}[last.adjustment]  # fmt: skip
    return [
        f"Training diverged {times}, first at step {first.failed_step:,} ({first.problem}). It "
        f"was rolled back and continued with {what}."
    ]


def _describe_result(summary: RunSummary) -> str:
    spent = f"After {format_epochs_read(summary)} and {format_duration(summary.seconds)}"
    right = f"{_format_accuracy(summary)}."
    loss, before = summary.validation_loss, summary.parent_validation_loss
    if before is None:
        return (
            f"{spent}, the validation loss is {loss:.2f} nats per token "
            f"({summary.bits_per_byte:.2f} bits per byte). {right}"
        )
    if loss >= before:
        change = "No improvement: the parent model is still better."
    elif loss >= before - MIN_LOSS_DIFFERENCE_NATS:
        change = "No reliable improvement: the difference is within seed-to-seed variation."
    else:
        change = "This is an improvement."
    return (
        f"{spent} of further training, the validation loss went from {before:.3f} to {loss:.3f} "
        f"nats per token ({summary.bits_per_byte:.2f} bits per byte). {change} {right}"
    )


def _against_counting(summary: RunSummary) -> str:
    unigram, bigram = summary.ngram_baselines["unigram"], summary.ngram_baselines["bigram"]
    loss = summary.validation_loss
    if is_below_bigram(summary):
        return (
            f"That is {bigram - loss:.2f} below the bigram baseline ({bigram:.2f}), so the model "
            "uses more context than the previous token."
        )
    if loss < unigram - MIN_LOSS_DIFFERENCE_NATS:
        return f"The bigram baseline reaches {bigram:.2f}. The model is {_beside_bigram(summary)}."
    return (
        f"The unigram baseline reaches {unigram:.2f} too. The model has learned almost nothing. "
        f"Run `descend diagnose {quoted(summary.model_dir)}` to find out why."
    )


def _beside_bigram(summary: RunSummary) -> str:
    """Return how a loss that is not below the bigram baseline compares with it.

    A loss says little about context where the accuracy is above that baseline's: few wrong,
    overconfident tokens may make it.
    """
    excess = summary.validation_loss - summary.ngram_baselines["bigram"]
    beside = "worse than" if excess > MIN_LOSS_DIFFERENCE_NATS else "no better than"
    text = f"{beside} the bigram baseline on this validation text"
    accuracy, bigram = summary.validation_accuracy, summary.accuracy_baselines.get("bigram", 0.0)
    if accuracy < bigram + MIN_ACCURACY_DIFFERENCE:
        return text
    if bigram:
        return f"{text}, although its accuracy is higher"
    return f"{text}, though it guesses {accuracy:.0%} of the tokens right"


def describe_convergence(summary: RunSummary) -> str:
    """Say whether the validation loss was falling, had leveled off, or rose again."""
    first, last = summary.epochs[0], summary.epochs[-1]
    best = min(summary.epochs, key=lambda e: e.validation_loss)
    if summary.overfitting and summary.overfitting.decay_steps:
        overfitting = summary.overfitting
        return (
            f"After epoch {overfitting.best_epoch} the validation loss rose from"
            f" {overfitting.best_loss:.2f} to {overfitting.loss:.2f} (epoch {overfitting.epoch}):"
            f" overfitting. Training rolled back to epoch {overfitting.best_epoch} and ended with"
            f" {overfitting.decay_steps:,} steps at a falling learning rate. The weights of epoch"
            f" {best.epoch} are kept. More text would help."
        )
    if last.validation_loss > best.validation_loss + MIN_LOSS_DIFFERENCE_NATS:
        return (
            f"The best epoch was {best.epoch}. After it the training loss fell to "
            f"{last.loss_end:.2f} while the validation loss rose to {last.validation_loss:.2f}: "
            "overfitting. The weights of the best epoch are kept."
        )
    if last is first:
        return _after_one_epoch(summary)
    before = summary.epochs[-2].validation_loss
    if before - last.validation_loss > MIN_LOSS_DIFFERENCE_NATS:
        return "The validation loss was still falling in the last epoch."
    return "The validation loss had leveled off by the last epoch."


def trained_on_warning(corpus: Mapping[str, Any]) -> str:
    """Return what a judgment on its own text, as run.json describes it, says of a model."""
    known = corpus["train_bytes"] / (corpus["train_bytes"] + corpus["validation_bytes"])
    return (
        f"The model was trained on {known:.0%} of this text, so this loss is optimistic. "
        "See its validation loss instead."
    )


def checklist_text(checklist: Checklist) -> str:
    """Return `descend checklist`: a question, its answer, whether that is proved, and why."""
    marks = {"yes": "✓", "no": "✗", "open": "?"}
    lines = [
        f"{marks[a.answer]} {a.question} {a.answer}"
        + ("" if a.answer == "open" else ", tested" if a.is_tested else ", not all tested")
        + f"\n    {a.reason}"
        for a in checklist.answers
    ]
    return "\n".join([*lines, checklist.sentence])
