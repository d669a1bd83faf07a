"""Loss logs of other programs: each format is read as its program writes it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.cli.main import run
from descend.errors import ConfigError, LogError
from descend.loss_logs.diagnose_log import REQUIRED_DATA, LogDiagnosis, diagnose_log
from descend.loss_logs.log import LogEntry
from descend.loss_logs.read_log import read_log
from descend.report.text.log_diagnosis import format_log_diagnosis

from .written_logs import written

SAMPLES = Path(__file__).parent / "samples"


@pytest.mark.parametrize(
    ("sample", "kind", "unit", "entries", "training", "validation"),
    [
        ("nanogpt_overfitting.txt", "console output", "steps", 201, 201, 9),
        ("trainer_healthy.txt", "console", "epochs", 110, 120, 3),
        ("trainer_diverged.txt", "console", "epochs", 40, 40, 0),
        ("trainer_state_stuck.json", "trainer_state", "steps", 30, 30, 3),
        ("lightning_metrics.csv", "table", "steps", 40, 40, 4),
        ("wandb_wave.csv", "table", "steps", 40, 40, 0),
        ("metrics.jsonl", "JSON lines", "steps", 60, 60, 5),
    ],
)
def test_each_format_is_read(
    sample: str, kind: str, unit: str, entries: int, training: int, validation: int
) -> None:
    log = read_log(SAMPLES / sample)
    assert kind in log.kind
    assert log.unit == unit
    assert sum(e.validation_loss is not None for e in log.entries) == validation
    num_parsed = sum(e.train_loss is not None for e in log.entries)
    # Epochs are rounded to two digits in the Trainer's console: some entries fall together.
    assert num_parsed == training or (unit == "epochs" and 0.8 * training < num_parsed <= training)
    assert len(log.entries) >= 0.9 * entries


def test_numbers_are_those_of_the_file() -> None:
    log = read_log(SAMPLES / "trainer_diverged.txt")
    first, last = log.entries[0], log.entries[-1]
    assert first == LogEntry(
        position=0.05, train_loss=8.32, learning_rate=0.04938, gradient_norm=1.2
    )
    assert last.train_loss is not None
    assert math.isnan(last.train_loss)
    evaluation = read_log(SAMPLES / "nanogpt_overfitting.txt").entries[0]
    assert evaluation.position == 0
    assert evaluation.validation_loss == pytest.approx(4.21)


@pytest.mark.parametrize(
    ("sample", "verdict", "normal"),
    [
        ("nanogpt_overfitting.txt", "too_little_data", "no"),
        ("trainer_healthy.txt", "healthy", "yes"),
        ("trainer_diverged.txt", "diverged", "no"),
        ("trainer_state_stuck.json", "learning_rate_too_low", "no"),
        ("lightning_metrics.csv", "undertrained", "yes"),
        ("wandb_wave.csv", "learning_rate_too_high", "no"),
        ("metrics.jsonl", "healthy", "yes"),
    ],
)
def test_the_shape_decides(sample: str, verdict: str, normal: str) -> None:
    diagnosis = diagnose_log(SAMPLES / sample)
    assert (diagnosis.verdict, diagnosis.normal.answer) == (verdict, normal)
    assert diagnosis.probability <= 0.95
    evaluated_causes = {f.cause for f in diagnosis.causes} | {r.cause for r in diagnosis.ruled_out}
    assert evaluated_causes | {n.cause for n in diagnosis.not_checked} == set(REQUIRED_DATA)
    assert not evaluated_causes & {n.cause for n in diagnosis.not_checked}
    text = format_log_diagnosis(diagnosis)
    assert text.splitlines()[0].split(",")[0] in ("Yes", "No")
    assert "Not checked" in text


def test_without_validation_nothing_is_called_healthy(tmp_path: Path) -> None:
    lines = (SAMPLES / "metrics.jsonl").read_text().splitlines()
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(line for line in lines if "eval" not in line))
    diagnosis = diagnose_log(log)
    assert diagnosis.verdict == "unknown"
    assert "too_little_data" in {n.cause for n in diagnosis.not_checked}


def test_a_vocabulary_tells_where_a_curve_must_begin() -> None:
    right = diagnose_log(SAMPLES / "nanogpt_overfitting.txt", vocab_size=65)
    assert "bad_initialization" in {r.cause for r in right.ruled_out}
    wrong = diagnose_log(SAMPLES / "nanogpt_overfitting.txt", vocab_size=20)
    assert any("above the range of an untrained network" in note for note in wrong.warnings)
    with pytest.raises(ConfigError, match="vocab_size"):
        diagnose_log(SAMPLES / "nanogpt_overfitting.txt", vocab_size=1)


def test_corpus_sets_expected_loss_range_of_log(text_file: Path) -> None:
    diagnosis = diagnose_log(SAMPLES / "trainer_healthy.txt", corpus=str(text_file), vocab_size=300)
    band = diagnosis.normal.band
    assert band.low is not None
    assert band.high is not None
    assert band.unigram is not None
    # The animals are learned to far below what this log ends at: that is not normal for them.
    assert band.low < band.high < 2.6 < band.unigram
    assert diagnosis.normal.answer == "no"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"hello\nworld\n", "it begins 'hello'"),
        (b"step,loss\n1,2.0\n", "1 loss"),
        (b"step,loss\n1,a\n2,b\n3,c\n", "no losses"),
        (b"\x00\x01\x02" * 100, "no losses"),
        (b'{"log_history": []}', "an empty log_history. Fix: Train with logging_steps"),
        (b'{"log_history": [{"step": 9, "train_runtime": 1.5}]}', "a log_history without losses"),
    ],
)
def test_read_log_rejects_non_log_content(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(content)
    with pytest.raises(LogError, match=said):
        read_log(path)


def test_read_log_rejects_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no such file"):
        read_log(tmp_path / "none.csv")


@pytest.mark.parametrize(
    "header",
    ["step,loss", "Step;Train Loss", "iteration\ttraining_loss", "global_step,train/loss",
     "iter,lossf", "Wall time,Step,Value", "step loss"],
)  # fmt: skip
def test_columns_are_known_by_many_spellings(header: str, tmp_path: Path) -> None:
    separator = next((s for s in ",;\t" if s in header), " ")
    wide = header.startswith("Wall")
    rows = [[*(["1700000000"] if wide else []), str(s), f"{3 - s / 100}"] for s in range(9)]
    path = written(tmp_path, [header, *(separator.join(r) for r in rows)], "log.csv")
    log = read_log(path)
    assert [e.position for e in log.entries] == list(range(9))
    assert log.entries[8].train_loss == pytest.approx(2.92)


def test_variants_of_console_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    for lines in (
        "step {s}/100 | loss 3.{s}00 | lr 1.00e-03 | norm 1.2 | 50 ms",
        "step:{s} loss=3.{s}00",
        "Epoch 1, Step {s}, Loss: 3.{s}00",
        "[2026-01-01 10:00:00] iteration {s}: train_loss=3.{s}00",
    ):
        path.write_text("starting\n" + "\n".join(lines.format(s=s) for s in range(1, 6)))
        log = read_log(path)
        assert [e.position for e in log.entries] == [1, 2, 3, 4, 5]
        assert log.entries[4].train_loss == pytest.approx(3.5)


KERAS_2 = "{n}/5 [===>....] - ETA: 0s - loss: {s}.9 - accuracy: 0.5"
KERAS_3 = (
    "\x1b[1m{n}/5\x1b[0m \x1b[32m━━━\x1b[0m\x1b[37m━━━\x1b[0m \x1b[1m0s\x1b[0m 8ms/step - "
    "accuracy: 0.5000 - loss: {s}.9"
)


@pytest.mark.parametrize("progress", [KERAS_2, KERAS_3])
@pytest.mark.parametrize("drawn_over", ["\r", "\n", "\x08" * 30])
@pytest.mark.parametrize("headings", [True, False])
def test_keras_draws_its_lines_over_themselves(
    progress: str, drawn_over: str, headings: bool, tmp_path: Path
) -> None:
    text = "Model compiled.\n"
    for epoch in range(1, 5):
        text += f"Epoch {epoch}/4\n" * headings
        lines = [progress.format(n=n, s=9 - epoch) for n in range(1, 6)]
        lines.append(f"5/5 [=====] - 1s 2ms/step - loss: {9 - epoch}.5 - val_loss: {9 - epoch}.75")
        text += drawn_over.join(lines) + "\n"
    (tmp_path / "log.txt").write_text(text)
    log = read_log(tmp_path / "log.txt")
    assert "Keras" in log.kind
    assert log.unit == "epochs"
    assert [e.position for e in log.entries] == [1, 2, 3, 4]
    assert [e.train_loss for e in log.entries] == [8.5, 7.5, 6.5, 5.5]
    assert [e.validation_loss for e in log.entries] == [8.75, 7.75, 6.75, 5.75]


def test_keras_parser_reads_epoch_summaries_alone(tmp_path: Path) -> None:
    path = written(tmp_path, [f"5/5 - 1s - loss: {9 - n}.5 - val_loss: 9" for n in range(4)])
    assert [e.train_loss for e in read_log(path).entries] == [9.5, 8.5, 7.5, 6.5]


def test_bare_loss_lines_are_parsed_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, "loss 3.0\n", "log.txt")
    with pytest.raises(LogError, match=r"expected at least 3.*, but found 1 loss"):
        read_log(path)
    path.write_text("loss 3.0\nloss 2.5\nloss: 2.25\n")
    log = read_log(path)
    assert log.unit == "entries"
    assert [e.train_loss for e in log.entries] == [3.0, 2.5, 2.25]
    placed = "".join(f"step {s} loss {3 - s / 9}\n" for s in range(5))
    path.write_text(placed + "done, loss 9\n")
    assert [e.position for e in read_log(path).entries] == [0, 1, 2, 3, 4]


def test_diagnose_log_reports_number_of_finite_entries(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text(
        "".join(f"step {s} loss {4 - s / 20 if s < 20 else 'nan'}\n" for s in range(60))
    )
    said = format_log_diagnosis(diagnose_log(path))
    assert "60 entries, 20 of them finite, over 19 steps" in said


def test_read_log_accepts_utf16_csv(tmp_path: Path) -> None:
    path = written(tmp_path, "step,loss\n0,3\n1,2\n2,1\n", "log.csv", encoding="utf-16")
    assert len(read_log(path).entries) == 3


FINETUNING = [
    {"step": 50 * n, "loss": 3.1 + 0.2 / n, "learning_rate": 2e-5 * (1 - n / 61)}
    for n in range(1, 61)
]


@pytest.mark.parametrize("rate", [2e-5, 1.5e-4])
def test_diagnose_log_is_undetermined_for_fine_tuning(tmp_path: Path, rate: float) -> None:
    """Its loss has little to fall, and its rate is meant to be low."""
    history = [e | {"learning_rate": e["learning_rate"] * rate / 2e-5} for e in FINETUNING]
    path = written(tmp_path, json.dumps({"log_history": history}), "trainer_state.json")
    diagnosis = diagnose_log(path)
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("unknown", "cannot tell")
    assert "fine-tuning" in diagnosis.normal.reason
    # Where the vocabulary says what guessing costs, a start from nothing is reported.
    known = diagnose_log(path, vocab_size=30)
    assert known.verdict == "learning_rate_too_low"


def test_late_log_does_not_rule_out_bad_initialization(tmp_path: Path) -> None:
    rows = [f"{step},{2.0 + 200 / step:.4f}" for step in range(20_000, 40_000, 200)]
    path = written(tmp_path, "step,loss\n" + "\n".join(rows) + "\n", "log.csv")
    diagnosis = diagnose_log(path, vocab_size=5000)
    assert "bad_initialization" not in {r.cause for r in diagnosis.ruled_out}


def test_a_failed_trainer_state_holds_nan(tmp_path: Path) -> None:
    history = [{"step": s, "loss": 3.0 - s / 10 if s < 5 else math.nan} for s in range(1, 9)]
    path = written(tmp_path, json.dumps({"log_history": history}), "trainer_state.json")
    assert "NaN" in path.read_text()
    diagnosis = diagnose_log(path)
    assert diagnosis.verdict == "diverged"
    assert diagnosis.causes[0].evidence[0].value == 5


def test_the_record_is_json() -> None:
    import msgspec

    logs = list(SAMPLES.iterdir())
    assert len(logs) > 5
    for sample in logs:
        record = json.loads(msgspec.json.encode(diagnose_log(sample)))
        keys = {"verdict", "causes", "ruled_out", "cost", "not_checked", "features", "normal"}
        assert keys <= record.keys()


def falling(path: Path, steps: int, rate: Callable[[float], float]) -> LogDiagnosis:
    """The verdict on a loss that falls to the end, at a rate as given by the fraction of the
    run."""
    rows = [f"{s},{2 + 4 * (1 + s / 9) ** -0.4},{rate(s / steps)}" for s in range(steps)]
    path.write_text("\n".join(["step,loss,lr", *rows]))
    return diagnose_log(path)


def test_decay_driven_loss_drop_is_not_undertraining(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    assert falling(path, 500, lambda share: 1e-3).verdict == "undertrained"
    decayed = falling(path, 500, lambda share: 1e-3 * (1 - share))
    assert (decayed.verdict, decayed.normal.answer) == ("unknown", "yes")
    assert "undertrained" in {n.cause for n in decayed.not_checked}
    half = falling(path, 500, lambda share: 1e-3 * min(1.0, 2 - 2 * share))
    assert half.verdict == "undertrained"


def test_few_steps_are_diagnosed_as_undertrained(tmp_path: Path) -> None:
    path = written(tmp_path, ["step,loss", *(f"{s},{6 - s / 100}" for s in range(20))], "log.csv")
    assert diagnose_log(path).verdict == "undertrained"
    path.write_text("\n".join(["step,loss", *(f"{100 * s},{6 - s / 100}" for s in range(20))]))
    assert diagnose_log(path).verdict == "learning_rate_too_low"


def test_chance_makes_waves_on_a_short_curve(tmp_path: Path) -> None:
    draw, path = random.Random(1), tmp_path / "log.csv"
    losses = [0.5 + 6 * (1 + s / 3) ** -1.5 + draw.gauss(0, 0.03) for s in range(80)]
    path.write_text("\n".join(["step,loss", *(f"{s},{x}" for s, x in enumerate(losses))]))
    assert diagnose_log(path).verdict != "learning_rate_too_high"


@pytest.mark.parametrize("losses", [[0.0] * 50, [0.0] * 25 + [3.0] * 25])
def test_zero_loss_from_start_is_abnormal(losses: list[float], tmp_path: Path) -> None:
    path = written(tmp_path, ["step,loss", *(f"{s},{x}" for s, x in enumerate(losses))], "log.csv")
    diagnosis = diagnose_log(path)
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("unknown", "no")
    assert "the first loss is 0" in diagnosis.normal.reason


def test_curve_text_names_learning_rate_of_verdict(tmp_path: Path) -> None:
    draw, path = random.Random(2), tmp_path / "log.csv"
    rows = [f"{s},{6 + draw.gauss(0, 0.02)},1e-7" for s in range(400)]
    path.write_text("\n".join(["step,loss,lr", *rows]))
    diagnosis = diagnose_log(path)
    assert diagnosis.verdict == "learning_rate_too_low"
    assert (
        "highest rate 0.0000001 (normal: over 0.00003): such rates are for"
        in format_log_diagnosis(diagnosis)
    )
    waves = [f"{s},{4 - s / 200 + (int(s**0.5) % 3 == 0)},0.5" for s in range(400)]
    path.write_text("\n".join(["step,loss,lr", *waves]))
    diagnosis = diagnose_log(path)
    assert diagnosis.verdict == "learning_rate_too_high"
    assert "highest rate 0.5: by the log" in format_log_diagnosis(diagnosis)


def test_curve_text_labels_means_and_uses_consistent_numbers(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    losses = [2 + 4 * (1 + s / 9) ** -0.4 for s in range(400)]
    path.write_text("\n".join(["step,loss", *(f"{s},{x}" for s, x in enumerate(losses))]))
    said = format_log_diagnosis(diagnose_log(path))
    start, end = f"{sum(losses[:20]) / 20:.2f}", f"{sum(losses[-20:]) / 20:.2f}"
    assert start != "6.00"
    assert f"loss 6.00 → {end} (mean of the last twentieth)" in said
    assert (
        f"the mean of the last twentieth ({end}) is not above that of the first ({start})" in said
    )
    path.write_text("\n".join(["step,loss", *(f"{s},{x}" for s, x in enumerate(losses[:12]))]))
    said = format_log_diagnosis(diagnose_log(path))
    assert f"loss 6.00 → {losses[11]:.2f}." in said
    assert f"the last ({losses[11]:.2f}) is not above the first (6.00)" in said


def test_diagnose_command_accepts_a_loss_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def descend(*words: str, code: int = 0) -> str:
        """Standard output of the command, or its error output if it fails."""
        capsys.readouterr()
        assert run(list(words)) == code
        output = capsys.readouterr()
        return output.err if code == 2 else output.out

    sample = str(SAMPLES / "nanogpt_overfitting.txt")
    text = descend("diagnose", sample, "--vocab-size", "65", "--verbose")
    assert text.startswith("No, this curve is not normal")
    assert "needs the same training with a wider model" in text
    diagnosis = json.loads(descend("diagnose", sample, "--json"))
    assert diagnosis["verdict"] == "too_little_data"
    descend("diagnose", sample, "--fail-on", "too_little_data", code=1)
    refused = descend("diagnose", str(tmp_path), "--vocab-size", "65", code=2)
    logs = tmp_path / "out" / "checkpoint-600"
    logs.mkdir(parents=True)
    (logs / "config.json").write_text("{}")
    (logs / "trainer_state.json").write_bytes((SAMPLES / "trainer_state_stuck.json").read_bytes())
    assert "read from trainer_state.json" in descend("diagnose", str(logs))
    assert "vocab_size: expected this option only together with a loss log" in refused
    assert descend("diagnose", __file__, code=2).count("\n") == 1
