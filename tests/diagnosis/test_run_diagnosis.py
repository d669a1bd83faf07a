"""Real runs examined: tiny, and made so that the answer is known."""

from __future__ import annotations

import json
import math
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from descend import run, run_on_model
from descend.cli.main import run as cli
from descend.diagnosis.cause import TreatmentChange
from descend.diagnosis.combinations import merge_findings
from descend.diagnosis.diagnosis_result import Diagnosis, Finding, OtherCause
from descend.diagnosis.effects import TreatmentEffect
from descend.diagnosis.findings import to_paired_trial
from descend.diagnosis.measure import measure_run
from descend.diagnosis.recommended_config import recommended_run_config
from descend.diagnosis.run_context import load_run_context
from descend.diagnosis.run_diagnosis import diagnose_run, save_diagnosis
from descend.diagnosis.treatments import Treatment, control_config, recommended_changes
from descend.diagnosis.trial_length import first_round_seconds
from descend.diagnosis.verdict import Verdict
from descend.errors import ConfigError, DivergedError, RunFolderError
from descend.model.transformer import Transformer
from descend.report.text.diagnosis_summary import format_diagnosis
from descend.runs.event_log import EventLog, read_events
from descend.runs.events import Rollback, Step
from descend.runs.run_folder import read_summary

FIELDS = {"verdict", "causes", "ruled_out", "cost"}


def test_a_run_without_proof(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(p.name for p in trained.iterdir())
    assert cli(["diagnose", str(trained), "--no-trials", "--json"]) == 0
    diagnosis = json.loads(capsys.readouterr().out)
    assert diagnosis.pop("schema_version") == 1
    assert diagnosis.keys() >= FIELDS
    assert diagnosis["cost"].keys() == {"seconds", "fraction_of_run"}
    seconds = read_summary(
        trained
    ).seconds  # as the report says, not an estimate by the median step
    took = diagnosis["cost"]["fraction_of_run"] * seconds
    assert took == pytest.approx(diagnosis["cost"]["seconds"], abs=0.06)  # which is rounded
    named = {c["cause"] for c in diagnosis["causes"]} | {r["cause"] for r in diagnosis["ruled_out"]}
    assert len(named) == 19
    assert sorted(p.name for p in trained.iterdir()) == sorted({*before, "diagnosis.json"})
    assert json.loads((trained / "diagnosis.json").read_text()) == diagnosis
    (trained / "diagnosis.json").unlink()


def test_combined_findings_follow_their_base_finding() -> None:
    gain = TreatmentEffect(
        Treatment("vocabulary_too_small", TreatmentChange("first", {})),
        1.5,
        1.0,
        0.5,
        0.4,
        0.6,
        0.05,
        0.001,
        3,
        1000,
        9.0,
        1.0,
    )
    first, less, *more = (
        Finding(cause=cause, probability=0.9, evidence=[], recommended_config={}, advice="r",
                trial=to_paired_trial(gain, 1.0))
        for cause in ("vocabulary_too_small", "undertrained", "model_too_small", "undertrained")
    )  # fmt: skip
    out = [OtherCause(cause=cause, reason="b") for cause in ("model_too_small", "data_leakage")]
    verdict = merge_findings(Verdict(first.cause, 0.9, [first, less], out, gain), first.cause, more)
    assert verdict.findings == [first, *more]
    assert [r.cause for r in verdict.ruled_out] == ["data_leakage"]
    assert merge_findings(verdict, first.cause, []) is verdict
    # The best treatment was too doubtful to be reported: nothing comes on top of it.
    untold = Verdict("data_leakage", 0.95, [msgspec.structs.replace(first, trial=None)], out, gain)
    assert merge_findings(untold, first.cause, more) is untold


def test_recommended_config_preserves_warmup_fraction(
    trained: Path,
) -> None:
    context = load_run_context(trained)
    base = control_config(context)
    change = TreatmentChange("", {"batch_size": 1, "seq_len": 16})
    keys = recommended_changes(context, base, change)
    assert keys == {"batch_size": 1}  # of the rest the run's own, or what a run of it finds itself
    requested_info = msgspec.structs.replace(
        context.metadata, requested_config=context.metadata.requested_config | {"warmup_steps": 1}
    )
    keys = recommended_changes(context.with_parts(metadata=requested_info), base, change)
    assert keys["warmup_steps"] == pytest.approx(4 * (context.config.warmup_steps or 0), abs=4)
    # What a treatment in place set it to is kept as well.
    keys = recommended_changes(context, base.model_copy(update={"warmup_steps": 6}), change)
    assert keys["warmup_steps"] == pytest.approx(24, abs=4)


def test_diagnosis_warns_when_corpus_changed(tiny: dict[str, Any], tmp_path: Path) -> None:
    text = tmp_path / "moving.txt"
    text.write_text(Path(tiny["corpus_dir"]).read_text())
    run(tiny | {"corpus_dir": str(text), "save_dir": "moved", "epoch": 1})
    text.write_text(text.read_text() + "And more.\n" * 50)
    changed = diagnose_run(Path("moved"))
    assert "changed since" in changed.warnings[0]
    text.unlink()
    gone = diagnose_run(Path("moved"))
    assert "cannot be read" in gone.warnings[0]
    assert all(f.trial is None for f in (*changed.causes, *gone.causes))


def test_diagnosis_without_parent_run_reports_metrics_only(tiny: dict[str, Any]) -> None:
    run(tiny | {"save_dir": "parent", "epoch": 1})
    run_on_model("parent", save_dir="child", epoch=1)
    Path("parent").rename("elsewhere")
    diagnosis = diagnose_run(Path("child"))
    assert "the model that the run continued is not at parent" in diagnosis.warnings[-1]
    assert diagnosis.measurements
    assert all(one.trial is None for one in (*diagnosis.causes, *diagnosis.ruled_out))


def test_measurement_uses_micro_batches_of_training(tiny: dict[str, Any]) -> None:
    """A run that fits into memory only in parts must fit when it is diagnosed as well."""
    max_batch_rows, multipliers = [], []
    for parts in (1, 4):
        folder = Path(f"in_{parts}")
        keys = {"batch_size": 128, "gradient_accumulation_steps": parts, "max_steps": 4}
        run(tiny | keys | {"save_dir": str(folder)})
        rows = []

        def note(module: Any, inputs: Any, rows: list[int] = rows) -> None:
            if isinstance(module, Transformer) and torch.is_grad_enabled():
                rows.append(len(inputs[0]))

        hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
        try:
            measurements = measure_run(load_run_context(folder))
        finally:
            hook.remove()
        max_batch_rows.append(max(rows))
        multipliers.append(measurements["critical_step_multiplier_fresh"].value)
    assert max_batch_rows == [128, 32]
    assert multipliers[1] == pytest.approx(multipliers[0], rel=0.05)


def test_trial_time_estimate_accounts_for_parallel_workers(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = load_run_context(trained)
    base = control_config(context).model_copy(update={"device": "auto"})
    sequences = [[Treatment("", TreatmentChange(str(n), {}))] for n in range(3)]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    seconds = []
    for gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=gpu: there)
        seconds.append(first_round_seconds(context, base, sequences, 100))
    on_processor, on_gpu = seconds
    assert on_gpu == pytest.approx(4 * on_processor)


def test_diagnose_command_reports_resumable_trials_when_interrupted(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("descend.api.diagnose", stopped)
    assert cli(["diagnose", str(trained)]) == 130
    saved_message, last = capsys.readouterr().err.splitlines()
    assert saved_message == "Finished trials are cached. Run the same command again to continue."
    assert last == "Stopped."
    assert cli(["diagnose", str(trained), "--no-trials"]) == 130  # which tried nothing
    assert capsys.readouterr().err == "Stopped.\n"


def test_mistakes_get_a_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["diagnose", "nowhere"]) == 2
    assert cli(["diagnose", str(trained), "--fail-on", "lerning_rate_too_low"]) == 2
    assert "Did you mean learning_rate_too_low" in capsys.readouterr().err
    assert cli(["diagnose", str(trained), "--trial-budget", "-1"]) == 2
    assert cli(["train", "--apply-fix"]) == 2
    assert cli(["train", "--from-run", str(trained), "--apply-fix"]) == 2
    assert "descend diagnose" in capsys.readouterr().err
    Path("empty").mkdir()
    with pytest.raises(RunFolderError):
        diagnose_run(Path("empty"))


SMALL = {"embed_dim": 32, "num_heads": 2, "num_layers": 1, "ff_dim": 64, "epoch": 3,
         "optimizer": "adamw", "seed": 1}  # fmt: skip


EXPLODING = {"learning_rate": 10.0, "weight_decay": 10.0, "gradient_clip": 0.0, "warmup_steps": 0}


def prescribed(folder: Path, diagnosis: Diagnosis) -> tuple[dict[str, Any], dict[str, Any]]:
    save_diagnosis(diagnosis)
    return recommended_run_config(folder)


def learner(tiny: dict[str, Any], **changes: Any) -> Path:
    """A run of about a second that would be well with a rate of 0.01."""
    folder = Path("run")
    run(tiny | SMALL | {"learning_rate": 0.01} | changes | {"save_dir": str(folder)})
    return folder


@pytest.mark.slow
def test_diagnosis_treats_diverged_run(tiny: dict[str, Any]) -> None:
    with pytest.raises(DivergedError):
        learner(tiny, **EXPLODING, divergence_rollback="off")
    assert read_events(Path("run"))
    diagnosis = diagnose_run(Path("run"), min_seconds=20.0)
    assert diagnosis.verdict == "diverged"
    assert diagnosis.causes[0].trial is not None
    assert diagnosis.causes[0].recommended_config
    first = diagnosis.causes[0].evidence[0]
    assert (first.metric, first.value) == ("first_bad_step", len(read_events(Path("run"))) - 3)
    assert "not a finite number, beginning in" in first.reason


def test_diagnosis_describes_rollbacks_of_diverged_run(tiny: dict[str, Any]) -> None:
    learner(tiny, **EXPLODING)
    diagnosis = diagnose_run(Path("run"), proof=False)
    assert diagnosis.verdict == "diverged"
    first, times, *_ = diagnosis.causes[0].evidence
    one, *_, last = rollbacks = read_summary(Path("run")).rollbacks
    assert (first.value, first.reason) == (one.failed_step, one.problem)
    assert (times.metric, times.value) == ("rollbacks", len(rollbacks))
    assert f"the learning rate times {last.value:.2g}" in times.reason
    text = format_diagnosis(diagnosis)
    assert f"first bad step {one.failed_step} of the run: {one.problem}" in text


@pytest.mark.slow
def test_recommended_config_avoids_rollbacks(tiny: dict[str, Any]) -> None:
    learner(tiny, **EXPLODING)
    diagnosis = diagnose_run(Path("run"), min_seconds=20.0)
    assert diagnosis.verdict == "diverged"
    cause, *more = diagnosis.causes  # and what there is to gain beside it
    assert cause.trial is not None
    assert cause.trial.treatment_loss < cause.trial.control_loss
    settings, changes = prescribed(Path("run"), diagnosis)
    assert changes == cause.recommended_config | {
        k: v for f in more for k, v in f.recommended_config.items()
    }
    assert all(f.trial and f.trial.applied_causes == ["diverged"] for f in more)
    run(settings | {"save_dir": "mended"})
    assert not read_summary(Path("mended")).rollbacks


@pytest.mark.slow
def test_diagnosis_reports_other_causes_after_a_single_rollback(tiny: dict[str, Any]) -> None:
    """A batch left out once, for a reason that does not come again: a bit that fell over."""
    run(tiny | {"save_dir": "run", "epoch": 4, "learning_rate": 0.00003})
    records = read_events(Path("run"))
    (Path("run") / "events.jsonl").unlink()
    with closing(EventLog(Path("run"))) as log:
        for record in records:
            log.append(record)
            if isinstance(record, Step) and record.step == 20:
                log.append(Rollback(20, 21, "a loss of nan", "skip", 1.0))
    diagnosis = diagnose_run(Path("run"), min_seconds=30.0)
    assert diagnosis.verdict == "diverged"
    assert any("did not diverge again" in note for note in diagnosis.warnings)
    assert "learning_rate_too_low" in [f.cause for f in diagnosis.causes]
    assert any(r.trial for r in diagnosis.ruled_out)


def test_diagnosis_rejects_budget_outside_zero_to_one(trained: Path) -> None:
    with pytest.raises(ConfigError, match="budget"):
        diagnose_run(trained, budget=-0.1)


def test_diagnosis_reports_divergence_from_loss_without_rollback(tiny: dict[str, Any]) -> None:
    """No rollback, and never a number that is not finite: the loss alone says it."""
    with pytest.raises(DivergedError, match="exploded"):
        learner(tiny, **EXPLODING | {"weight_decay": 0.0, "schedule": "constant"},
                divergence_rollback="off")  # fmt: skip
    losses = [r.loss for r in read_events(Path("run")) if isinstance(r, Step)]
    assert all(map(math.isfinite, losses))
    assert losses[-1] > math.log(300) + 1
    diagnosis = diagnose_run(Path("run"), proof=False)
    assert diagnosis.verdict == "diverged"
    first = diagnosis.causes[0].evidence[0]
    assert first.metric == "first_bad_step"
    assert 1 < first.value < 30
    assert "far above random guessing" in first.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "cause"), [(2.0, "learning_rate_too_high"), (1e-9, "learning_rate_too_low")]
)
def test_diagnosis_finds_a_rate_that_is_off_by_orders(
    tiny: dict[str, Any], varied_text: Path, rate: float, cause: str
) -> None:
    folder = learner(
        tiny, corpus_dir=str(varied_text), learning_rate=rate, tokenizer="char", vocab_size=None,
        max_steps=400, epoch=None, warmup_steps=0, divergence_rollback="off",
    )  # fmt: skip
    diagnosis = diagnose_run(folder, min_seconds=40.0)
    assert diagnosis.verdict == cause
    assert 0.001 <= diagnosis.causes[0].recommended_config["learning_rate"] <= 0.01
