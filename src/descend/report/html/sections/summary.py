"""The first thing to be read: how it went, in a paragraph and a few numbers."""

from __future__ import annotations

from descend.diagnosis.diagnosis_result import Diagnosis
from descend.report.html.charts import BETTER, Axis, bars
from descend.report.html.report_page import Fact, Facts, Figure, Paragraph, Section
from descend.report.text.diagnosis_summary import headline
from descend.report.text.next_step import choose_next_step
from descend.report.text.run_summary import how_good, what_it_means
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import RunSummary
from descend.runs.suggestions import describe_next_step
from descend.units import format_bytes, format_duration, perplexity

BASELINE_NAMES = {
    "unigram": "single tokens",
    "bigram": "pairs of tokens",
    "trigram": "triples of tokens",
}


def subtitle(run: RecordedRun) -> str:
    """Return what was trained on what, and when."""
    when = run.metadata.saved_at.partition("T")[0]
    return (
        f"{corpus_name(run)}, {format_bytes(run.corpus_count('train_bytes'))} of training text ·"
        f" {when}"
    )


def corpus_name(run: RecordedRun) -> str:
    """Return the corpus as a person calls it."""
    return str(run.metadata.corpus["corpus"]).rstrip("/").rpartition("/")[2] or "the corpus"


def lead_paragraphs(run: RecordedRun, diagnosed: Diagnosis | None = None) -> tuple[str, ...]:
    """Return how good it is, what that means, what the diagnosis says, and what to do next."""
    paragraphs = []
    if run.diverged:
        paragraphs.append("This run diverged: its loss was not finite or exploded.")
    elif not run.summary.finished:
        paragraphs.append("This run is not finished. Everything below is the state so far.")
    paragraphs.append(f"{how_good(run.summary)} {what_it_means(run.summary)}")
    if diagnosed:
        paragraphs.append(headline(diagnosed))
    return (*paragraphs, f"Next: {describe_next_step(choose_next_step(run, diagnosed))}.")


def facts(run: RecordedRun) -> Facts:
    """Return the numbers that one compares runs by."""
    summary = run.summary
    return Facts(
        (
            Fact(
                "next token correct", f"{summary.validation_accuracy:.1%}", _beside_bigram(summary)
            ),
            Fact("validation loss", f"{summary.validation_loss:.3f}", "nats per token"),
            Fact(
                "perplexity",
                perplexity(summary.validation_loss),
                "like choosing among so many tokens",
            ),
            Fact("bits per byte", f"{summary.bits_per_byte:.3f}", "for any vocabulary"),
            Fact("parameters", _millions(summary.parameters), run.config.architecture),
            Fact(
                "training time",
                format_duration(summary.seconds),
                f"{summary.tokens_per_second:,.0f} tokens/s",
            ),
        )
    )


def _beside_bigram(summary: RunSummary) -> str:
    """Return the accuracy of the bigram baseline, or what the accuracy is measured on."""
    bigram = summary.accuracy_baselines.get("bigram")
    return "of validation text" if bigram is None else f"bigram baseline: {bigram:.1%}"


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 1e6 else f"{count / 1e3:.0f} k"


def ngram_baselines_section(run: RecordedRun) -> Section:
    """Return the model among those that only count, as the gain of each over guessing."""
    baselines = run.metadata.corpus["ngram_baselines"]
    losses = [(BASELINE_NAMES[k], float(v)) for k, v in baselines.items() if k in BASELINE_NAMES]
    losses.append(("this model", run.summary.validation_loss))
    losses.sort(key=lambda pair: -pair[1])
    guess = float(baselines["uniform"])
    names = [name for name, _ in losses]
    return Section("ngram_baselines", "Baselines", (
        Paragraph(
            "Bigram and trigram counts reach these losses on the same validation text. A model "
            "that uses more context is below them here, with the longest bar."
        ),
        Figure(
            f"How much better than random guessing ({guess:.2f} nats per token)",
            "Validation loss: " + "; ".join(f"{name} {loss:.2f}" for name, loss in losses) + ".",
            bars(names, [guess - loss for _, loss in losses],
                 Axis(f"nats per token · {BETTER}"), lying=True,
                 strong=names.index("this model")),
            height=60 + 34 * len(names),
        ),
    ))  # fmt: skip
