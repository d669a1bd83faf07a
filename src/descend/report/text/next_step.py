"""What to do after a run, for the terminal and the report alike."""

from __future__ import annotations

from pathlib import Path

from descend.diagnosis.diagnosis_result import Diagnosis
from descend.diagnosis.recommended_config import merge_recommendations
from descend.handbook.run_notes.wording import generate_command
from descend.report.text.contamination_notice import MOSTLY_CONTAMINATED
from descend.report.text.diagnosis_summary import assignments
from descend.report.text.run_summary import (
    has_learned_little,
    is_below_bigram,
    is_worse_than_parent,
)
from descend.runs.epochs_read import count_epochs_read, reads_whole_text
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import RunMetadata, RunSummary
from descend.runs.suggestions import NextStep, choose_fix, lacks_model
from descend.units import quoted


def choose_next_step(run: RecordedRun, diagnosis: Diagnosis | None = None) -> NextStep:
    """Return the one thing to do after `run`; `diagnosis` is that of the run, if it has one."""
    if diagnosis and (keys := merge_recommendations(diagnosis)):
        first = diagnosis.causes[0]
        advice = "" if first.recommended_config else f"{first.advice.rstrip('.')}; meanwhile "
        return NextStep(
            f"{advice}apply the recommended change ({assignments(keys)})",
            f"descend train --from-run {quoted(run.folder)} --apply-fix",
        )
    if run.diverged or not run.finished or lacks_model(run.folder):
        return choose_fix(run.folder)
    if diagnosis is None:
        return choose_step_after_training(run.folder, run.summary, run.metadata)
    if diagnosis.verdict == "unknown":
        return NextStep(
            "try whole configurations", f"descend improve {quoted(run.folder)} --minutes 10"
        )
    if diagnosis.causes:
        return NextStep(diagnosis.causes[0].advice.rstrip("."))
    return _write_text(run.folder, run.summary)


def choose_step_after_training(
    folder: Path | str, summary: RunSummary, metadata: RunMetadata | None = None
) -> NextStep:
    """Return what to do after a finished run in `folder` without a diagnosis.

    Where most of the validation text is copied, the copies come first: until then no loss tells
    anything. A run that is not below the bigram baseline is diagnosed. If it learned something and
    read a part of its text only, it needs the rest first.
    """
    if metadata and metadata.corpus["contamination_fraction"] > MOSTLY_CONTAMINATED:
        return _remove_copies(str(metadata.resolved_config["corpus_dir"]))
    if is_below_bigram(summary) and not is_worse_than_parent(summary):
        return _write_text(folder, summary)
    if not has_learned_little(summary) and not reads_whole_text(count_epochs_read(summary)):
        return NextStep("read the whole text", f"descend continue {quoted(folder)} --epoch 1")
    return NextStep("find out why", f"descend diagnose {quoted(folder)}")


def _remove_copies(corpus: str) -> NextStep:
    target = f"{Path(corpus).stem}_without_copies"
    return NextStep(
        "remove the copies from the text",
        f"descend corpus add {quoted(corpus)} {quoted(target)} --deduplicate near",
    )


def _write_text(folder: Path | str, summary: RunSummary) -> NextStep:
    return NextStep("let it write", generate_command(folder, summary.samples))


def format_next_step(step: NextStep) -> str:
    """Return the line that ends the output of a command: `next: descend …`."""
    return f"next: {step.command or step.action}"
