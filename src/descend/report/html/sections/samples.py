"""What the model wrote: during training, and at its end."""

from __future__ import annotations

from descend.report.html.report_page import (
    Details,
    Paragraph,
    ReportBlock,
    Section,
    TextSample,
    TextSamples,
)
from descend.report.html.sections.epoch_axis import steps_to_epochs
from descend.runs.events import Sample
from descend.runs.recorded_run import RecordedRun
from descend.units import format_epochs

MAX_OPEN = 2
"""Samples that are not folded: the last ones."""

MAX_SAMPLES = 12
"""Of a longer run, so many are shown, evenly picked, with the first and the last."""


def samples_section(run: RecordedRun) -> Section | None:
    """Return samples in the order in which they were written."""
    samples = [r for r in run.events if isinstance(r, Sample)]
    if not samples:
        return None
    last = run.num_steps
    early, final = (
        [s for s in samples if s.step < last], [s for s in samples if s.step == last]
    )  # fmt: skip
    open_samples = (final or early)[-MAX_OPEN:]
    rest = [s for s in early + final if s not in open_samples]

    def block(some: list[Sample]) -> TextSamples:
        return TextSamples(tuple(
            TextSample(_when(run, s, last), s.prompt.strip("\n"), s.text.rstrip()) for s in some
        ))  # fmt: skip

    blocks: list[ReportBlock] = [
        Paragraph(
            "The model writes after ▸. The words before it are from the validation text, which it "
            "never trained on. Another seed would write something else."
        ),
        block(open_samples),
    ]
    if rest:
        blocks.append(Details("More samples, also from earlier steps", (
            block(_some(rest, MAX_SAMPLES)),
        )))  # fmt: skip
    return Section("writing", "What it wrote", tuple(blocks))


def _when(run: RecordedRun, sample: Sample, last: int) -> str:
    if sample.step == last and run.summary.finished:
        best = f" (epoch {run.summary.best_epoch})" if len(run.epochs) > 1 else ""
        return f"the saved model{best}"
    return f"after {format_epochs(steps_to_epochs(run, [sample.step])[0])}"


def _some(samples: list[Sample], max_samples: int) -> list[Sample]:
    if len(samples) <= max_samples:
        return samples
    picked = {
        round(i * (len(samples) - 1) / max(max_samples - 1, 1)) for i in range(max(max_samples, 1))
    }
    return [samples[i] for i in sorted(picked)]
