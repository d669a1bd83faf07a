"""What a run says of its model: parameters, tables, heads, memory, the machine."""

from __future__ import annotations

from descend.handbook.run_notes.wording import (
    Change,
    comparison_baseline_text,
    format_percent,
    generate_command,
    suggest_comparison,
    suggest_flags,
)
from descend.model.cost import FLOAT32
from descend.runs.epochs_read import count_epochs_read, format_epochs_read
from descend.runs.recorded_run import RecordedRun
from descend.units import format_bytes, format_count, format_significant

BITS_PER_PARAMETER = 2.0
"""That a trained transformer can hold. Source: Allen-Zhu and Li 2024, "Physics of Language Models:
Part 3.3, Knowledge Capacity Scaling Laws"."""


def parameters(run: RecordedRun) -> str:
    """Return parameters in all, in the tables, and beside the text."""
    total, tokens = run.summary.parameters, run.corpus_count("train_tokens")
    tables, config = _tables(run), run.config
    deeper = {"num_layers": 2 * config.num_layers}
    wider = {"embed_dim": 2 * config.embed_dim, "ff_dim": 2 * config.ff_dim}
    last = run.epochs[-1]
    return (
        f"Your model has {total:,} parameters: {tables:,} ({format_percent(tables / total)}) in the"
        f" tables of tokens, the rest in {config.num_layers} blocks (width {config.embed_dim},"
        f" feed-forward {config.ff_dim}) and small parts. With {tokens:,} training tokens that is"
        f" {format_significant(total / tokens)} parameters for each token of text. At the end,"
        f" training loss was {last.loss_end:.3f} and validation loss {last.validation_loss:.3f}. To"
        f" see whether size is what is missing, {suggest_flags(run, wider, deeper)}"
        f" {comparison_baseline_text(run)}."
    )


def memory(run: RecordedRun) -> str:
    """Return what the model could memorize, beside the text."""
    room = BITS_PER_PARAMETER * run.summary.parameters / 8
    text = run.corpus_count("train_bytes")
    text_bytes = text * run.summary.bits_per_byte / 8
    narrower = {"embed_dim": run.config.embed_dim // 2, "ff_dim": run.config.ff_dim // 2}
    read = count_epochs_read(run.summary)
    changes: list[Change] = [narrower, *([{"epoch": max(1, int(read / 2))}] if read > 1 else [])]
    return (
        f"Your model has {run.summary.parameters:,} parameters, which at {BITS_PER_PARAMETER:g}"
        f" bits each could hold {format_bytes(room)}. The training text has {format_bytes(text)};"
        f" at the {run.summary.bits_per_byte:.3f} bits per byte that it costs your model when it is"
        f" new, that is {format_bytes(text_bytes)} to memorize. It was read"
        f" for {format_epochs_read(run.summary)}. To leave less room or less time for that,"
        f" {suggest_comparison(run, *changes)}."
    )


def heads(run: RecordedRun) -> str:
    """Return heads and their size."""
    width, count = run.config.embed_dim, run.config.num_heads
    trials = ({"num_heads": count * 2}, {"num_heads": count // 2})
    return (
        f"In your run each of {run.config.num_layers} layers had {count} heads of size"
        f" {width // count} (width {width}), looking back over at most {run.config.seq_len:,}"
        " tokens. The bigram baseline, which needs no attention, reaches"
        f" {run.ngram_baselines['bigram']:.3f}; your model {run.summary.validation_loss:.3f}. To"
        f" see what the number of heads does, {suggest_comparison(run, *trials)}."
    )


def describe_embedding(run: RecordedRun) -> str:
    """Return the fraction of the tables in the parameters."""
    vocabulary, width = run.config.vocab_size or 0, run.config.embed_dim
    num_table_parameters, tokens = _tables(run), run.corpus_count("train_tokens")
    return (
        f"Your table has {vocabulary:,} rows of {width} numbers; with"
        f" {'one table for both ends' if run.shape.is_tied else 'a separate head'}"
        f" that is {num_table_parameters:,} parameters,"
        f" {format_percent(num_table_parameters / run.summary.parameters)} of the model. A row"
        f" meets its token {tokens / max(vocabulary, 1):,.0f} times an epoch on average. To see"
        f" whether longer rows help, {suggest_comparison(run, {'embed_dim': 2 * width})}."
    )


def cache(run: RecordedRun) -> str:
    """Return the memory of the cache for one text."""
    config = run.config
    full = 2 * config.num_layers * config.max_seq_len * config.embed_dim * FLOAT32
    return (
        f"For one text of {config.max_seq_len:,} tokens your model's cache holds "
        f"{format_bytes(full)} in float32 (2 × {config.num_layers} layers × {config.max_seq_len:,} "
        f"positions × {config.embed_dim} numbers × {FLOAT32} bytes). To see it at work, try "
        f"`{generate_command(run.folder, run.summary.samples)}`."
    )


def architecture(run: RecordedRun) -> str:
    """Return which network it was."""
    width, heads = run.config.embed_dim, run.config.num_heads
    other: dict[str, object] = {"architecture": "gpt"}
    if run.config.architecture == "gpt":
        # Heads of modern are of even size.
        other = {"architecture": "modern"} | (
            {"embed_dim": 2 * width} if width // heads % 2 else {}
        )
    return (
        f"Your run trained the `{run.config.architecture}` network with {run.summary.parameters:,}"
        f" parameters to {run.summary.bits_per_byte:.3f} bits per byte. To compare,"
        f" {suggest_flags(run, other)} with the same seed, {comparison_baseline_text(run)}."
    )


def machine(run: RecordedRun) -> str:
    """Return where and how it was computed, and how fast."""
    other = "bfloat16" if run.metadata.execution["precision"] == "float32" else "float32"
    return _computed(run, "the format", {"precision": other})


def attention(run: RecordedRun) -> str:
    """Return heads and their size, and how they were computed."""
    other = "matmul" if run.metadata.execution["attention"] == "fused" else "fused"
    return f"{heads(run)}\n\n{_computed(run, 'the kernel', {'attention': other})}"


def compiling(run: RecordedRun) -> str:
    """Return whether it was compiled, and how fast it was."""
    other = "off" if run.metadata.execution.get("compiled") else "on"
    there = {} if run.metadata.execution["device"] == "cpu" else {"device": "cpu"}
    return _computed(run, "compiling", {"compile": other} | there)


def threads(run: RecordedRun) -> str:
    """On how many threads it was computed, and how fast."""
    count = run.metadata.execution["threads"]
    return _computed(run, "their number", {"threads": count // 2 if count > 1 else 2})


def describe_processes(run: RecordedRun) -> str:
    """On how many processes it was computed, and how fast."""
    count = run.metadata.execution.get("processes", 1)
    batch = run.config.batch_size
    other = 1 if count > 1 else next((n for n in range(2, batch + 1) if batch % n == 0), 1)
    word = "process" if count == 1 else "processes"
    note = f"Your run used {count} {word} for batches of {batch} sequences."
    return f"{note}\n\n{_computed(run, 'their number', {'num_processes': other})}"


def _computed(run: RecordedRun, what: str, change: Change) -> str:
    """Return how the run was computed and how fast; `change` to see what `what` is worth."""
    how = run.metadata.execution
    compiled = "compiled" if how.get("compiled") else "not compiled"
    return (
        f"Your run computed in {how['precision']} on {how['device']} ({how['processor']}) with "
        f"{format_count(how['threads'], 'thread')} and {how['attention']} "
        f"attention, {compiled}: {run.summary.tokens_per_second:,.0f} tokens a second, "
        f"validation included. To see what {what} is worth here, {suggest_flags(run, change)} "
        "and compare the tokens a second and the validation loss of "
        f"{run.summary.validation_loss:.3f}."
    )


def describe_micro_batches(run: RecordedRun) -> str:
    """Return how a batch is computed."""
    cut, batch = run.config.num_micro_batches, run.config.batch_size
    more = ({"gradient_accumulation_steps": 2 * cut}, {"batch_size": batch // 2})
    return (
        f"A batch of {batch:,} sequences was computed in {cut} part{'s' if cut != 1 else ''} "
        f"(activation checkpointing {'on' if run.config.activation_checkpointing else 'off'}), at "
        f"{run.summary.tokens_per_second:,.0f} tokens a second. If memory is short, "
        f"{suggest_flags(run, *more)}."
    )


def _tables(run: RecordedRun) -> int:
    once = (run.config.vocab_size or 0) * run.config.embed_dim
    return once if run.shape.is_tied else 2 * once
