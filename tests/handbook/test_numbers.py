"""What pages say of a run: every number is held against the files of a real run."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from descend.handbook.page import load_markdown_pages
from descend.handbook.run_notes import describe_run
from descend.handbook.run_notes.topics import TOPICS
from descend.handbook.setting_facts import format_value
from descend.runs.recorded_run import open_run_with_epoch
from descend.units import format_bytes, format_plain, format_significant


@dataclass(frozen=True)
class Raw:
    """A run as its files say, read without descend."""

    folder: Path
    info: dict[str, Any]
    summary: dict[str, Any]
    events: list[dict[str, Any]]
    config: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", self.info["resolved_config"])

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The records of a kind, in order."""
        return [e for e in self.events if e["kind"] == kind]


def read_raw(folder: Path) -> Raw:
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return Raw(
        folder,
        json.loads((folder / "run.json").read_text(encoding="utf-8")),
        json.loads((folder / "summary.json").read_text(encoding="utf-8")),
        [json.loads(line) for line in lines],
    )


Expected = Callable[[Raw], list[str]]


def rates(raw: Raw) -> list[str]:
    used = [e["learning_rate"] for e in raw.of("step")]
    clipped = sum(e["clipped"] for e in raw.of("step")) / len(used)
    ratios = medians(raw)
    return [
        f"Over {len(used):,} steps",
        (
            f"began at {format_significant(used[0])}, was {format_significant(max(used))} at most"
            f" and {format_significant(used[-1])} at the end"
        ),
        (
            f"{format_significant(statistics.median(ratios.values()))} of its size (median of"
            f" {len(ratios)} matrices, from {format_significant(min(ratios.values()))} to"
            f" {format_significant(max(ratios.values()))})"
        ),
        f"{clipped:.1%} of the steps" if 0 < clipped < 0.1 else f"{clipped:.0%} of the steps",
        # Far above all usual rates the highest usual one is proposed.
        f"--learning-rate {format_significant(3 * max(used) if max(used) <= 0.03 else 0.01)}",
    ]


def medians(raw: Raw) -> dict[str, float]:
    ratios_by_name: dict[str, list[float]] = {}
    late = [m for m in raw.of("weight_updates") if m["step"] > raw.config["warmup_steps"]]
    for record in late:
        for name, ratio in record["update_to_weight_ratio"].items():
            if record["weight_rms"][name]:
                ratios_by_name.setdefault(name, []).append(ratio)
    assert ratios_by_name
    return {name: statistics.median(values) for name, values in ratios_by_name.items()}


def ratio_list(raw: Raw) -> list[str]:
    return [f"- `{name}`: {format_significant(value)}" for name, value in medians(raw).items()]


def updates(raw: Raw) -> list[str]:
    batch, length = raw.config["batch_size"], raw.config["seq_len"]
    return [
        f"{batch} sequences of {length} tokens: {batch * length:,} tokens",
        f"{raw.info['corpus']['train_tokens']:,} training tokens",
        f"the first epoch took {raw.of('epoch')[0]['step']:,} steps",
        f"made {len(raw.of('step')):,} in all",
        f"--batch-size {batch // 2}",
        f"--batch-size {batch * 2}",
    ]


def per_token(raw: Raw) -> float:
    corpus = raw.info["corpus"]
    return float(corpus["validation_bytes"] / corpus["validation_tokens"])


def context(raw: Raw) -> list[str]:
    length = raw.config["seq_len"]
    return [
        f"had {length} tokens, about {length * per_token(raw):.0f} bytes",
        f"({per_token(raw):.2f} bytes a token)",
        f"up to {raw.config['max_seq_len']} tokens",
        f"--seq-len {length // 2} --batch-size {raw.config['batch_size'] * 2}",
    ]


def schedule(raw: Raw) -> list[str]:
    used = [e["learning_rate"] for e in raw.of("step")]
    high = sum(rate >= 0.9 * max(used) for rate in used) / len(used)
    return [f"`{raw.config['schedule']}` schedule: {high:.0%} of its {len(used)} steps"]


def warmup(raw: Raw) -> list[str]:
    losses = [e["loss"] for e in raw.of("step")]
    steps = raw.config["warmup_steps"]
    return [
        f"the first {steps} of {len(losses)} steps", f"{losses[0]:.3f} at the first step",
        f"{losses[steps]:.3f} right after the warmup", f"highest at step "
        f"{losses.index(max(losses)) + 1} with {max(losses):.3f}",
    ]  # fmt: skip


def gradients(raw: Raw) -> list[str]:
    norms = [e["gradient_norm"] for e in raw.of("step")]
    return [
        f"median of {format_significant(statistics.median(norms))} over {len(norms)} steps",
        f"largest, {format_significant(max(norms))}, at step {norms.index(max(norms)) + 1}",
        "clipping at 1 scaled down" if raw.config["gradient_clip"] else "clipping was off",
    ]


def describe_rollbacks(raw: Raw) -> list[str]:
    losses = [e["loss"] for e in raw.of("step")]
    return [
        f"never diverged: over {len(losses)} steps",
        f"highest at step {losses.index(max(losses)) + 1}, with {max(losses):.3f}",
    ]


def optimizer(raw: Raw) -> list[str]:
    seconds = statistics.median(e["seconds"] for e in raw.of("step"))
    return [
        f"used `{raw.config['optimizer']}`: {len(raw.of('step'))} steps",
        f"{format_significant(seconds)} s each",
        f"{raw.summary['tokens_per_second']:,.0f} tokens a",
    ]


def weights(raw: Raw) -> list[str]:
    first, last = raw.of("weight_updates")[0], raw.of("weight_updates")[-1]
    return [
        f"{format_significant(statistics.median(m['weight_rms'].values()))} at step {m['step']}"
        for m in (first, last)
    ]


def descent(raw: Raw) -> list[str]:
    return [
        f"In {len(raw.of('step'))} steps",
        f"from {raw.of('step')[0]['loss']:.3f} to {raw.of('epoch')[-1]['loss_end']:.3f}",
        f"lowest after step {best(raw)['step']}",
    ]


def best(raw: Raw) -> dict[str, Any]:
    return min(raw.of("epoch"), key=lambda e: e["validation_loss"])


def describe_baselines(raw: Raw) -> list[str]:
    baselines, reached = raw.summary["ngram_baselines"], best(raw)["validation_loss"]
    return [
        (
            f"random guessing {baselines['uniform']:.3f}, unigram {baselines['unigram']:.3f}, "
            f"bigram {baselines['bigram']:.3f}"
        ),
        (
            f"reached {reached:.3f}, which is {abs(baselines['bigram'] - reached):.3f} "
            f"{'below' if reached <= baselines['bigram'] else 'above'} the bigram baseline"
        ),
    ]


def loss(raw: Raw) -> list[str]:
    return [
        *describe_baselines(raw),
        f"training loss of {raw.of('step')[0]['loss']:.3f}",
        f"last steps one of {raw.of('epoch')[-1]['loss_end']:.3f}",
    ]


def perplexity(raw: Raw) -> list[str]:
    baselines = raw.summary["ngram_baselines"]
    return [
        f"perplexity of {math.exp(best(raw)['validation_loss']):,.1f}",
        f"bigram baseline has {math.exp(baselines['bigram']):,.1f}",
        f"unigram baseline {math.exp(baselines['unigram']):,.1f}",
        f"random guessing {math.exp(baselines['uniform']):,.1f}",
    ]


def accuracy(raw: Raw) -> list[str]:
    return [
        *describe_baselines(raw),
        f"right {best(raw)['validation_accuracy']:.1%} of the time",
        f"last epoch {raw.of('epoch')[-1]['accuracy_end']:.1%}",
    ]


def overlap(raw: Raw) -> str:
    part = raw.info["corpus"]["contamination_fraction"]
    return f"{part:.1%} of the validation" if 0 < part < 0.1 else f"{part:.0%} of the validation"


def entropy(raw: Raw) -> list[str]:
    return [
        f"at most {best(raw)['validation_loss']:.3f} nats per token", overlap(raw),
        f"{best(raw)['bits_per_byte']:.3f} bits per byte",
    ]  # fmt: skip


def text_bits(raw: Raw) -> list[str]:
    baselines = raw.summary["ngram_baselines"]
    bits = {k: v / math.log(2) / per_token(raw) for k, v in baselines.items()}
    return [
        f"(`{raw.config['tokenizer']}`, {raw.config['vocab_size']} tokens)",
        f"tokens of {per_token(raw):.2f} bytes", f"needs {best(raw)['bits_per_byte']:.3f} bits",
        f"bigram baseline needs {bits['bigram']:.3f}", f"unigram baseline {bits['unigram']:.3f}",
    ]  # fmt: skip


def epochs(raw: Raw) -> list[str]:
    lines = [
        f"- epoch {e['epoch']}: training {e['loss_end']:.3f}, validation "
        f"{e['validation_loss']:.3f}, difference {e['validation_loss'] - e['loss_end']:+.3f}"
        for e in raw.of("epoch")
    ]
    last, lowest = raw.of("epoch")[-1], best(raw)
    after = (
        "which was the last one, so more epochs may lower it further"
        if last is lowest
        else (
            f"{last['validation_loss'] - lowest['validation_loss']:.3f} higher by epoch "
            f"{last['epoch']}"
        )
    )
    return [*lines, f"that of epoch {lowest['epoch']}, ", after]


def describe_validation(raw: Raw) -> list[str]:
    corpus = raw.info["corpus"]
    return [
        f"{corpus['documents']} documents) was split by {corpus['split_by']}", overlap(raw),
        f"{corpus['train_tokens']:,} tokens to train on",
        f"{corpus['validation_tokens']:,} for validation",
    ]  # fmt: skip


def regularization(raw: Raw) -> list[str]:
    last = raw.of("epoch")[-1]
    return [
        (
            f"dropout {raw.config['dropout_rate']:g}, token dropout"
            f" {raw.config['token_dropout']:g},"
            f" BPE-dropout {raw.config['bpe_dropout']:g} and"
        ),
        f"label smoothing {raw.config['label_smoothing']:g}",
        f"training loss of {last['loss_end']:.3f}",
        f"validation loss of {last['validation_loss']:.3f}",
        f"was {best(raw)['epoch']} of {len(raw.of('epoch'))}",
    ]


def checkpoint(raw: Raw) -> list[str]:
    assert raw.summary["finished"]
    return [
        f"{len(raw.of('checkpoint_saved'))} checkpoints",
        f"`descend continue {raw.folder}`",
        f"epoch {best(raw)['epoch']} (step {best(raw)['step']}",
    ]


def seed(raw: Raw) -> list[str]:
    return [f"{best(raw)['validation_loss']:.3f}", f"--seed {raw.config['seed'] + 1}"]


def tables(raw: Raw) -> int:
    ends = 1 if raw.config["architecture"] == "gpt" else 2
    return int(raw.config["vocab_size"] * raw.config["embed_dim"] * ends)


def parameters(raw: Raw) -> list[str]:
    total, tokens = raw.summary["parameters"], raw.info["corpus"]["train_tokens"]
    return [
        f"{total:,} parameters: {tables(raw):,} ({tables(raw) / total:.0%}) in the tables",
        f"{format_significant(total / tokens)} parameters for each token",
        (
            f"{raw.config['num_layers']} blocks (width {raw.config['embed_dim']}, feed-forward "
            f"{raw.config['ff_dim']})"
        ),
    ]


def embedding(raw: Raw) -> list[str]:
    mean = raw.info["corpus"]["train_tokens"] / raw.config["vocab_size"]
    return [
        f"{raw.config['vocab_size']} rows of {raw.config['embed_dim']} numbers",
        f"{tables(raw):,} parameters", f"token {mean:,.0f} times",
    ]  # fmt: skip


def heads(raw: Raw) -> list[str]:
    count = raw.config["num_heads"]
    return [
        f"each of {raw.config['num_layers']} layers had {count} heads of size "
        f"{raw.config['embed_dim'] // count}",
        f"{raw.summary['ngram_baselines']['bigram']:.3f}", f"{best(raw)['validation_loss']:.3f}",
    ]  # fmt: skip


def cache(raw: Raw) -> list[str]:
    shape = raw.config
    full = 2 * shape["num_layers"] * shape["max_seq_len"] * shape["embed_dim"] * 4
    return [f"{full / 1000:.1f} kB in float32", f"`descend generate {raw.folder} "]


def architecture(raw: Raw) -> list[str]:
    return [
        f"the `{raw.config['architecture']}` network with {raw.summary['parameters']:,} parameters",
        f"{best(raw)['bits_per_byte']:.3f} bits per byte",
    ]


def machine(raw: Raw) -> list[str]:
    how = raw.info["execution"]
    return [
        (
            f"in {how['precision']} on {how['device']} ({how['processor']}) with {how['threads']} "
            "thread"
        ),
        f"{raw.summary['tokens_per_second']:,.0f} tokens a second",
    ]


def attention(raw: Raw) -> list[str]:
    kernel = raw.info["execution"]["attention"]
    other = {"matmul": "fused", "fused": "matmul"}[kernel]
    return [*heads(raw), *machine(raw), f"and {kernel} attention", f"`--attention {other}`"]


def compiling(raw: Raw) -> list[str]:
    assert not raw.info["execution"]["compiled"]
    return [*machine(raw), "attention, not compiled:", "`--compile on`"]


def threads(raw: Raw) -> list[str]:
    count = raw.info["execution"]["threads"]
    return [*machine(raw), f"`--threads {count // 2 if count > 1 else 2}`"]


def processes(raw: Raw) -> list[str]:
    batch = raw.config["batch_size"]
    min_divisor = next(n for n in range(2, batch + 1) if batch % n == 0)
    return [
        *machine(raw), f"used 1 process for batches of {batch} sequences.",
        f"`--num-processes {min_divisor}`",
    ]  # fmt: skip


def parts(raw: Raw) -> list[str]:
    return [
        (
            f"{raw.config['batch_size']} sequences was computed in "
            f"{raw.config['gradient_accumulation_steps']} part"
        ),
        f"{raw.summary['tokens_per_second']:,.0f} tokens a second",
    ]


def first(raw: Raw) -> list[str]:
    began, guessing = raw.of("step")[0]["loss"], math.log(raw.info["corpus"]["vocab_size"])
    return [
        f"of the first step was {began:.3f}", f"ln V = {guessing:.3f}",
        f"began at {began / guessing:.2f} of that",
    ]  # fmt: skip


def memory(raw: Raw) -> list[str]:
    text, bits = raw.info["corpus"]["train_bytes"], raw.summary["bits_per_byte"]
    return [
        f"{raw.summary['parameters']:,} parameters",
        f"could hold {raw.summary['parameters'] / 4 / 1000:.1f} kB",
        f"training text has {text / 1000:.1f} kB; at the {bits:.3f} bits per byte",
        f"that is {format_bytes(text * bits / 8)} to memorize",
        f"read for {len(raw.summary['epochs'])} epochs",
    ]


def copied(raw: Raw) -> list[str]:
    part = raw.info["corpus"]["contamination_fraction"]
    return [f"{part:.0%} of the validation tokens", f"--seed {raw.config['seed'] + 1}"]


EXPECTED: dict[str, Expected] = {
    **dict.fromkeys(("corpus_dir", "sample_size", "validation_fraction"), describe_validation),
    **dict.fromkeys(("tokenizer", "vocab_size", "tokens", "bits_per_byte"), text_bits),
    **dict.fromkeys(("architecture", "gpt", "llama", "modern"), architecture),
    **dict.fromkeys(
        ("embed_dim", "num_layers", "ff_dim", "transformer", "parameter_count"), parameters
    ),
    "num_heads": heads,
    **dict.fromkeys(("max_seq_len", "seq_len"), context),
    **dict.fromkeys(
        ("dropout_rate", "token_dropout", "bpe_dropout", "label_smoothing"), regularization
    ),
    **dict.fromkeys(("batch_size", "epoch_and_step", "max_steps", "minutes"), updates),
    **dict.fromkeys(("epoch", "overfitting", "underfitting", "validation"), epochs),
    **dict.fromkeys(("optimizer", "adamw", "muon"), optimizer),
    **dict.fromkeys(("schedule", "constant", "linear", "cosine", "wsd", "piecewise"), schedule),
    **dict.fromkeys(("gradient_clip", "gradient_norm"), gradients),
    **dict.fromkeys(("divergence_rollback", "loss_spikes"), describe_rollbacks),
    "initial_loss": first,
    "memorization": memory,
    "contamination": copied,
    **dict.fromkeys(("gradient_accumulation_steps", "activation_checkpointing"), parts),
    **dict.fromkeys(("precision", "device"), machine),
    "attention": attention,
    "compile": compiling,
    "threads": threads,
    "num_processes": processes,
    "learning_rate": rates,
    "warmup_steps": warmup,
    "weight_decay": weights,
    "seed": seed,
    "embedding": embedding,
    "gradient_descent": descent,
    "loss": loss,
    "nats": loss,
    "ngram_baselines": describe_baselines,
    "perplexity": perplexity,
    "accuracy": accuracy,
    "entropy": entropy,
    "checkpoint": checkpoint,
    "key_value_cache": cache,
    "update_to_weight_ratio": ratio_list,
}


def test_run_number_tests_cover_every_topic() -> None:
    assert set(EXPECTED) == set(TOPICS)
    assert set(TOPICS) <= set(load_markdown_pages())


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("which", ["trained", "astray"])
def test_the_numbers_are_those_of_the_records(
    name: str, which: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(which)
    text = describe_run(name, open_run_with_epoch(folder))
    assert text is not None
    for part in EXPECTED[name](read_raw(folder)):
        assert part in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.7e-06, "0.0000037"), (0.001, "0.001"), (0.009, "0.009"), (512, "512"), ("wsd", "wsd")],
)
def test_settings_have_no_power_of_ten_and_lose_no_digit(value: object, text: str) -> None:
    assert format_plain(value) == text
    assert format_value(value) == text
