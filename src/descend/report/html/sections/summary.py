"""The first thing to be read: how it went, in a paragraph and a few numbers."""

from __future__ import annotations

from descend.diagnosis.result import Diagnosis
from descend.report.html.charts import Axis, bars
from descend.report.html.page import Fact, Facts, Figure, Paragraph, Section
from descend.report.text.diagnosis import headline
from descend.report.text.run_summary import assess_run
from descend.runs.recorded_run import RecordedRun
from descend.runs.suggestions import has_diverged, suggest_fix
from descend.units import format_bytes, format_duration, perplexity

BASELINE_NAMES = {
    "uniform": "guessing blindly",
    "unigram": "counting single tokens",
    "bigram": "counting pairs",
    "trigram": "counting triples",
}


def subtitle(run: RecordedRun) -> str:
    """What was trained on what, and when."""
    when = run.metadata.saved_at.partition("T")[0]
    return (
        f"{corpus_name(run)}, {format_bytes(run.corpus_count('train_bytes'))} of training text ·"
        f" {when}"
    )


def corpus_name(run: RecordedRun) -> str:
    """The corpus as a person calls it."""
    return str(run.metadata.corpus["corpus"]).rstrip("/").rpartition("/")[2] or "the corpus"


def lead_paragraphs(run: RecordedRun, diagnosed: Diagnosis | None = None) -> tuple[str, ...]:
    """The outcome in plain words, what the diagnosis says first."""
    paragraphs = []
    if has_diverged(run.folder):
        paragraphs.append(
            "This run diverged: its loss was not finite or exploded. To go on: "
            f"{suggest_fix(run.folder)}."
        )
    elif not run.summary.finished:
        paragraphs.append("This run has not come to its end: all below is the state so far.")
    if diagnosed:
        paragraphs.append(headline(diagnosed))
    return (*paragraphs, assess_run(run.summary))


def facts(run: RecordedRun) -> Facts:
    """The numbers that one compares runs by."""
    summary = run.summary
    return Facts(
        (
            Fact("loss on held-out text", f"{summary.validation_loss:.3f}", "nats per token"),
            Fact("in bits per byte", f"{summary.bits_per_byte:.3f}", "for any vocabulary"),
            Fact("next token right", f"{summary.validation_accuracy:.1%}", "of held-out tokens"),
            Fact("perplexity", perplexity(summary.validation_loss), "like choosing among so many"),
            Fact("parameters", _millions(summary.parameters), run.config.architecture),
            Fact(
                "training time",
                format_duration(summary.seconds),
                f"{summary.tokens_per_second:,.0f} tokens/s",
            ),
        )
    )


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 1e6 else f"{count / 1e3:.0f} k"


def ngram_baselines_section(run: RecordedRun) -> Section:
    """The model among those that only count."""
    baselines = run.metadata.corpus["ngram_baselines"]
    steps = [(BASELINE_NAMES[k], float(v)) for k, v in baselines.items() if k in BASELINE_NAMES]
    steps.append(("this model", run.summary.validation_loss))
    steps.sort(key=lambda step: -step[1])
    names, values = [s[0] for s in steps], [s[1] for s in steps]
    description = "; ".join(f"{name} {value:.2f}" for name, value in steps)
    return Section("ladder", "What it had to beat", (
        Paragraph(
            "Programs that only count reach these losses on the same held-out text. A model that "
            "has learned from more than the last few tokens lies below all of them."
        ),
        Figure(
            "Loss on held-out text, nats per token: lower is better", f"Bars: {description}.",
            bars(names, values, Axis("nats per token", min_value=0), lying=True,
                 strong=names.index("this model")),
            height=60 + 36 * len(names),
        ),
    ))  # fmt: skip
