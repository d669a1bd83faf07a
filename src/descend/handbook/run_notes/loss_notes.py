"""What a run says of what it learned: losses, accuracy, epochs, validation text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from descend.handbook.run_notes.wording import (
    Change,
    alternative_learning_rates,
    comparison_baseline_text,
    format_percent,
    suggest_comparison,
    suggest_flags,
)
from descend.runs.epochs_read import count_epochs_read
from descend.runs.events import CheckpointSaved, Epoch
from descend.runs.recorded_run import RecordedRun
from descend.units import describe_split_method, quoted
from descend.units import perplexity as words_of_perplexity

MAX_LISTED_EPOCHS = 12
"""Of a longer run, so many are picked evenly, with the first, the best and the last."""


def loss(run: RecordedRun) -> str:
    """Return the losses of the run beside the n-gram baselines."""
    return (
        f"The first step had a training loss of {run.steps[0].loss:.3f} nats per token,"
        f" the last steps one of {run.epochs[-1].loss_end:.3f}. {_format_baselines(run)}"
        f" {_suggest_improvement(run)}"
    )


def _suggest_improvement(run: RecordedRun) -> str:
    """Suggest other learning rates, or a diagnosis where guessing at them is not enough."""
    if run.summary.validation_loss >= run.ngram_baselines["unigram"]:
        return (
            "It has learned almost nothing. To find out why, try "
            f"`descend diagnose {quoted(run.folder)}`."
        )
    return f"To bring it down, {_lower_loss(run)}."


def _lower_loss(run: RecordedRun) -> str:
    """Suggest what the diagnosis recommends, whatever key it is, or other learning rates."""
    return suggest_comparison(run, *alternative_learning_rates(run), any_key=True)


def describe_ngram_baselines(run: RecordedRun) -> str:
    """Return where the run stands between the n-gram baselines."""
    return (
        f"{_format_baselines(run)} To lower the loss further,"
        f" {suggest_flags(run, *alternative_learning_rates(run), _more_epochs(run), any_key=True)}."
    )


def _format_baselines(run: RecordedRun) -> str:
    reached = run.summary.validation_loss
    baseline_text = ", ".join(
        f"{name} {run.ngram_baselines[key]:.3f}"
        for name, key in (
            ("random guessing", "uniform"),
            ("unigram", "unigram"),
            ("bigram", "bigram"),
        )
    )
    bigram = run.ngram_baselines["bigram"] - reached
    side = "below" if bigram >= 0 else "above"
    return (
        f"Baselines on the same validation text, in nats per token: {baseline_text}. Your model"
        f" reached {reached:.3f}, which is {abs(bigram):.3f} {side} the bigram baseline."
    )


def perplexity(run: RecordedRun) -> str:
    """Return the n-gram baselines and the run as perplexities."""
    reached = words_of_perplexity(run.summary.validation_loss)
    baseline_perplexities = {
        key: words_of_perplexity(value) for key, value in run.ngram_baselines.items()
    }
    return (
        f"On validation text your model has a perplexity of {reached}. The bigram baseline has"
        f" {baseline_perplexities['bigram']}, the unigram baseline"
        f" {baseline_perplexities['unigram']}, and random guessing"
        f" {baseline_perplexities['uniform']}. To lower it, {_lower_loss(run)}."
    )


def accuracy(run: RecordedRun) -> str:
    """Accuracies beside the losses they belong to."""
    last, right = run.epochs[-1], run.best_epoch.validation_accuracy
    return (
        f"On validation text your model's likeliest token was right {right:.1%} of the time, and on"
        f" training batches at the end of the last epoch {last.accuracy_end:.1%}."
        f"{_accuracy_baselines(run)} {_format_baselines(run)} Accuracy follows the loss: to bring"
        " that down,"
        f" {suggest_flags(run, *alternative_learning_rates(run), _more_epochs(run), any_key=True)}."
    )


def _accuracy_baselines(run: RecordedRun) -> str:
    """Return how often counting is right on the same text; empty for older runs."""
    baselines = run.summary.accuracy_baselines
    if not baselines:
        return ""
    return (
        f" Always guessing the most common token is right {baselines['unigram']:.1%} of the time,"
        f" and the most common one after the last token {baselines['bigram']:.1%}."
    )


def entropy(run: RecordedRun) -> str:
    """Return the bound that the run gives."""
    return (
        "The loss of your model is an upper bound of the entropy of this text: at most "
        f"{run.summary.validation_loss:.3f} nats per token, {run.summary.bits_per_byte:.3f} bits "
        f"per byte. This run cannot tell how far below it is. And {_overlap(run)}. If that is "
        "much, the bound is too low. To tighten it, "
        f"{suggest_flags(run, _more_epochs(run), *alternative_learning_rates(run), any_key=True)}."
    )


def text_bits(run: RecordedRun) -> str:
    """Return bytes per token and bits per byte."""
    size = run.config.vocab_size
    baseline_bits = {
        k: v / math.log(2) / run.bytes_per_token for k, v in run.ngram_baselines.items()
    }
    trials: list[Change] = [{"tokenizer": kind} for kind in ("bpe", "char")]
    if run.config.tokenizer == "bpe" and size:
        trials = [{"vocab_size": max(257, size // 2)}, {"vocab_size": 2 * size}]
    bits = run.summary.bits_per_byte
    return (
        f"Your tokenizer (`{run.config.tokenizer}`, {size:,} tokens) cuts the validation text into "
        f"tokens of {run.bytes_per_token:.2f} bytes. The model needs {bits:.3f} bits per byte; "
        f"the bigram baseline needs {baseline_bits['bigram']:.3f}, the unigram baseline "
        f"{baseline_bits['unigram']:.3f}. To see whether other tokens serve this text better, "
        f"{suggest_flags(run, *trials)} and compare the bits per byte, not the loss per token."
    )


def epochs(run: RecordedRun) -> str:
    """Return the training and validation loss by epoch, the gap, and what came after the best
    epoch."""
    lines = [
        f"- epoch {e.epoch}: training {e.loss_end:.3f}, validation {e.validation_loss:.3f}, "
        f"difference {e.validation_loss - e.loss_end:+.3f}"
        for e in _picked(run)
    ]
    last, best = run.epochs[-1], run.best_epoch
    after = (
        f"{last.validation_loss - best.validation_loss:.3f} higher by epoch {last.epoch}"
        if last is not best
        else "which was the last one, so more epochs may lower it further"
    )
    harder = explain_higher_train_loss(run)
    stronger = {"dropout_rate": round(run.config.dropout_rate + 0.1, 4)}
    trials = [{"epoch": best.epoch}, stronger] if last is not best else [_more_epochs(run)]
    return (
        "Loss in nats per token, training as the mean over the last twentieth of an epoch. As the"
        " weights still change there, the difference is not the generalization gap of the report,"
        " which evaluates both texts with the kept weights:\n\n"
        + "\n".join(lines)
        + (f"\n\n{harder}" if harder else "")
        + f"\n\nThe lowest validation loss was that of epoch {best.epoch}, {after}. As a next "
        f"step, {suggest_comparison(run, *trials)}."
    )


def explain_higher_train_loss(run: RecordedRun) -> str | None:
    """Return why the training loss stands above that on validation text, where settings make it
    so."""
    config, best = run.config, run.best_epoch
    what = [
        text for value, text in (
            (config.token_dropout, f"{config.token_dropout or 0:.0%} of their tokens were dropped "
                                "(`token_dropout`)"),
            (config.bpe_dropout, f"{config.bpe_dropout or 0:.0%} of the merges of their tokens "
                                "were undone (`bpe_dropout`)"),
            (config.dropout_rate, f"{config.dropout_rate:.0%} of the activations were "
                                  "dropped (`dropout_rate`)"),
            (config.label_smoothing, "their loss counts `label_smoothing` as well"),
        ) if value
    ]  # fmt: skip
    if not what or best.loss_end <= best.validation_loss:
        return None
    return (
        "The training loss is above the validation loss because training batches were made "
        f"harder on purpose: {' and '.join(what)}. Validation text is evaluated without that."
    )


def describe_validation_split(run: RecordedRun) -> str:
    """Return how much text there was on either side."""
    corpus = run.metadata.corpus
    half, twice = (
        {"validation_fraction": round(run.config.validation_fraction * factor, 4)}
        for factor in (0.5, 2)
    )
    return (
        f"The text ({corpus['corpus']}, {run.corpus_count('documents'):,} documents) was split by"
        f" {describe_split_method(corpus['split_by'])}:"
        f" {run.corpus_count('train_tokens'):,} tokens to train on,"
        f" {run.corpus_count('validation_tokens'):,} for validation; {_overlap(run)}. If you have"
        " more text of this kind, add it; to see how much the split decides,"
        f" {suggest_flags(run, {'seed': run.config.seed + 1}, half, twice)}."
    )


def describe_contamination(run: RecordedRun) -> str:
    """Return how much of the validation text training has too."""
    corpus = run.metadata.corpus
    return (
        f"Of your text ({corpus['corpus']}, split by {describe_split_method(corpus['split_by'])}), "
        f"{_overlap(run)}, word for word. To see whether another part "
        f"of the text is harder, {suggest_comparison(run, {'seed': run.config.seed + 1})}."
    )


def regularization(run: RecordedRun) -> str:
    """Return the gap that holding back is meant to close."""
    last = run.epochs[-1]
    stronger = {"dropout_rate": round(run.config.dropout_rate + 0.1, 4)}
    weaker = (
        {"dropout_rate": 0.0},
        {"token_dropout": 0.0},
        {"bpe_dropout": 0.0},
        {"label_smoothing": 0.0},
    )
    return (
        f"With dropout {run.config.dropout_rate:g}, token dropout"
        f" {run.config.token_dropout or 0:g}, BPE-dropout {run.config.bpe_dropout or 0:g} and label"
        f" smoothing {run.config.label_smoothing:g} the"
        f" last epoch ended with a training loss of {last.loss_end:.3f}, measured with all of them,"
        f" and a validation loss of {last.validation_loss:.3f}, measured without; the best epoch"
        f" was {run.best_epoch.epoch} of {len(run.epochs)}. To see the effect,"
        f" {suggest_comparison(run, stronger, *weaker)}."
    )


def checkpoint(run: RecordedRun) -> str:
    """Return what was saved, and how to go on."""
    saved = [r for r in run.events if isinstance(r, CheckpointSaved)]
    took = f", {sum(r.seconds for r in saved):.2f} s in all" if saved else ""
    verb = "continue" if run.finished else "resume"
    return (
        f"While training, {len(saved)} checkpoints were written{took}. The kept weights are those "
        f"of epoch {run.best_epoch.epoch} (step {run.best_epoch.step:,}). To go on, try "
        f"`descend {verb} {run.folder}`."
    )


def describe_seed_variance(run: RecordedRun) -> str:
    """Return how to find the spread."""
    return (
        f"With this seed the run reached a validation loss of {run.summary.validation_loss:.3f}. To"
        f" see how much of that is chance, {suggest_flags(run, {'seed': run.config.seed + 1})},"
        " which starts from other weights and has another validation set,"
        f" {comparison_baseline_text(run)}."
    )


def _overlap(run: RecordedRun) -> str:
    part = float(run.metadata.corpus["contamination_fraction"])
    fraction = format_percent(part)
    return f"{fraction} of the validation tokens are in passages that also occur in training"


def _more_epochs(run: RecordedRun) -> Change:
    return {"epoch": max(1, round(2 * count_epochs_read(run.summary)))}


def _picked(run: RecordedRun) -> Sequence[Epoch]:
    count = len(run.epochs)
    if count <= MAX_LISTED_EPOCHS:
        return run.epochs
    indices = {round(i * (count - 1) / (MAX_LISTED_EPOCHS - 1)) for i in range(MAX_LISTED_EPOCHS)}
    return [run.epochs[i] for i in sorted(indices | {run.epochs.index(run.best_epoch)})]
