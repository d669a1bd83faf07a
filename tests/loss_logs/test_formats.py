"""Each format is read whole: every loss at its place, and validation never as training."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log
from descend.loss_logs.read_log import read_log
from script_loading import load_script

from .written_logs import both_sides, written

formats = load_script(Path(__file__).with_name("formats.py"))
_draw = random.Random(1)
NOISE = [_draw.gauss(0, 0.03) for _ in range(formats.STEPS + 1)]


def _fall(step: int) -> float:
    return 1.7 + 8 * float((1 + step / 12) ** -0.6)


OVERFIT = formats.Curve(
    lambda s: _fall(s) + NOISE[s], lambda s: _fall(s) + 0.1 + 0.9 * max(0, s - 800) / 1000
)
FALLING = formats.Curve(
    lambda s: 1 + 8 * (1 + s / 12) ** -0.3 + NOISE[s], lambda s: 1.1 + 8 * (1 + s / 12) ** -0.3
)
LOST = formats.Curve(
    lambda s: _fall(s) + NOISE[s] if s < 1205 else math.nan,
    lambda s: _fall(s) + 0.1 if s < 1205 else math.nan,
)

Case = tuple[str, Callable[..., str], float, list[int]]
CASES: list[Case] = [
    *((n, f, 1, list(range(200, 2001, 200))) for n, f in formats.STEP_FORMATS.items()),
    *((n, f, 1, [500, 1000, 1500, 2000]) for n, f in formats.EPOCH_VALIDATION.items()),
    *((n, f, 64, [500, 1000, 1500, 2000]) for n, f in formats.SAMPLE_COUNTERS.items()),
    *((n, f, 1, []) for n, f in formats.NO_VALIDATION.items()),
    ("tabular_blocks", formats.tabular_blocks, 1, []),
]


@pytest.mark.parametrize(("name", "write", "unit", "validated"), CASES, ids=[c[0] for c in CASES])
def test_every_loss_is_read_at_its_place(
    name: str, write: Callable[..., str], unit: float, validated: list[int], tmp_path: Path
) -> None:
    log = read_log(written(tmp_path, write(FALLING)))
    training, validation = both_sides(log)
    first = 0 if name == "epoch_step" else formats.EVERY
    scale = 1 / math.log(2) if name in formats.BASE_TWO else 1
    assert log.unit == "steps"
    assert log.bits == (name in formats.BASE_TWO)
    assert [at for at, _ in training] == [
        unit * s for s in range(first, first + formats.STEPS, formats.EVERY)
    ]
    losses = [scale * FALLING.training(s) for s in range(formats.EVERY, formats.STEPS + 1, 10)]
    assert [loss for _, loss in training] == pytest.approx(losses, abs=0.006)
    shift = first - formats.EVERY
    assert [at for at, _ in validation] == [unit * s + shift for s in validated]
    assert [loss for _, loss in validation] == pytest.approx(
        [scale * FALLING.validation(s) for s in validated], abs=0.006
    )


@pytest.mark.parametrize(("name", "write", "unit", "validated"), CASES, ids=[c[0] for c in CASES])
def test_the_curve_decides_in_each_format(
    name: str, write: Callable[..., str], unit: float, validated: list[int], tmp_path: Path
) -> None:
    lost = diagnose_log(written(tmp_path, write(LOST)))
    assert (lost.verdict, lost.normal.answer) == ("diverged", "no")
    at = lost.causes[0].evidence[0].value
    assert at == (1200 if name == "epoch_step" else 1210 * unit)
    if validated:
        over = diagnose_log(written(tmp_path, write(OVERFIT)))
        assert (over.verdict, over.normal.answer) == ("too_little_data", "no")
    falling = diagnose_log(written(tmp_path, write(FALLING)))
    assert (falling.verdict, falling.normal.answer) == ("undertrained", "yes")
    unseen = "overfitting cannot be detected" in falling.normal.reason
    assert unseen == (not validated)


@pytest.mark.parametrize("name", sorted(formats.EPOCHS))
def test_one_point_an_epoch(name: str, tmp_path: Path) -> None:
    log = read_log(written(tmp_path, formats.EPOCHS[name](OVERFIT)))
    training, validation = both_sides(log)
    assert log.unit == "epochs"
    assert [at for at, _ in training] == [at for at, _ in validation]
    assert len(training) == 40
    assert training[-1][1] == pytest.approx(OVERFIT.training(2000), abs=1e-3)
    assert validation[-1][1] == pytest.approx(OVERFIT.validation(2000), abs=1e-3)


@pytest.mark.parametrize("name", ["trainer_dicts", "trainer_dicts_with_bar", "trl_sft"])
def test_epochs_that_are_rounded_merge_nothing(name: str, tmp_path: Path) -> None:
    log = read_log(written(tmp_path, getattr(formats, name)(OVERFIT)))
    training, validation = both_sides(log)
    # A progress bar above a line counts its steps.
    with_bar = name == "trainer_dicts_with_bar"
    assert log.unit == ("steps" if with_bar else "epochs")
    assert log.adam
    assert len(training) == 200
    assert training[-1][0] == pytest.approx(2000 if with_bar else 4)
    assert len(validation) == (0 if name == "trl_sft" else 10)


def test_model_cards_and_histories(tmp_path: Path) -> None:
    for write in (formats.model_card, formats.keras_history):
        diagnosis = diagnose_log(written(tmp_path, write(OVERFIT)))
        assert diagnosis.features is not None
        assert (diagnosis.features.training_points, diagnosis.features.validation_points) == (
            40,
            40,
        )
        assert diagnosis.verdict == "too_little_data"


DATA = Path(__file__).parent / "data"
RIGHT = json.loads((DATA / "right.json").read_text())


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_diagnose_log_gives_the_right_answer_when_the_log_is_real(name: str) -> None:
    diagnosis = diagnose_log(DATA / name)
    curve = diagnosis.features
    points = (0, 0, 0.0) if curve is None else (
        curve.training_points, curve.validation_points, curve.length
    )  # fmt: skip
    right = RIGHT[name]
    assert (diagnosis.normal.answer, diagnosis.verdict) == (right["normal"], right["verdict"])
    assert points == (right["training_points"], right["validation_points"], right["length"])
    if right["verdict"] == "diverged":
        assert diagnosis.causes[0].evidence[0].value == right["diverged_at"]


def _varint(value: int) -> bytes:
    done = b""
    while value > 127:
        done += bytes([value & 127 | 128])
        value >>= 7
    return done + bytes([value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _event(step: int, tag: str, value: float, *, tensor: bool = False) -> bytes:
    number = b"\x15" + struct.pack("<f", value)
    if tensor:
        number = _field(8, b"\x08\x01" + _field(4, struct.pack("<f", value)))
    summary = _field(1, _field(1, tag.encode()) + number)
    return b"\x09" + struct.pack("<d", 1.7e9) + b"\x10" + _varint(step) + _field(5, summary)


def _frame(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + b"\0" * 4 + data + b"\0" * 4


@pytest.mark.parametrize("tensor", [False, True])
def test_event_files_of_tensorboard(tensor: bool, tmp_path: Path) -> None:
    frames = _frame(b"\x09" + struct.pack("<d", 1.7e9) + _field(3, b"brain.Event:2"))
    for s, t, v in OVERFIT.steps():
        frames += _frame(_event(s, "train/loss", t, tensor=tensor))
        if v is not None:
            frames += _frame(_event(s, "eval/loss", v, tensor=tensor))
    folder = tmp_path / "runs" / "Jan01"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1.host.1.0").write_bytes(frames + b"\x07\0")  # cut off
    diagnosis = diagnose_log(tmp_path)
    assert diagnosis.kind == "TensorBoard event files"
    assert diagnose_log(next(folder.iterdir())).verdict == "too_little_data"
    assert diagnosis.features is not None
    assert (diagnosis.features.training_points, diagnosis.features.validation_points) == (200, 10)
    assert diagnosis.verdict == "too_little_data"


def test_event_files_of_twoboth_sides(tmp_path: Path) -> None:
    """Keras writes training and validation into two folders under one name."""
    head = _frame(b"\x09" + struct.pack("<d", 1.7e9) + _field(3, b"brain.Event:2"))
    for side, loss in (("train", OVERFIT.training), ("validation", OVERFIT.validation)):
        frames = [_frame(_event(s, "epoch_loss", loss(50 * s))) for s in range(1, 41)]
        (tmp_path / "logs" / side).mkdir(parents=True)
        (tmp_path / "logs" / side / "events.out.tfevents.1").write_bytes(head + b"".join(frames))
    diagnosis = diagnose_log(tmp_path / "logs")
    assert diagnosis.features is not None
    assert (diagnosis.features.training_points, diagnosis.features.validation_points) == (40, 40)
    assert diagnosis.verdict == "too_little_data"


def _wandb_record(step: int, values: dict[str, float]) -> bytes:
    items = b"".join(
        _field(1, _field(1, name.encode()) + _varint(16 << 3 | 2) + _varint(len(text)) + text)
        for name, number in values.items()
        for text in [json.dumps(number).encode()]
    )
    return _field(2, items + _field(2, b"\x08" + _varint(step)))


def test_run_files_of_wandb(tmp_path: Path) -> None:
    data = b":W&B\xe1\xbe\x00"
    for n, (s, t, v) in enumerate(OVERFIT.steps()):
        values = {"loss": t, "global_step": s} | ({} if v is None else {"val_loss": v})
        record = _wandb_record(n, values)
        while record:
            room = 32768 - len(data) % 32768
            if room < 8:
                data += b"\0" * room
                continue
            part, record = record[: room - 7], record[room - 7 :]
            whole = len(part) < room - 7 or not record
            kind = 1 if whole and not record else 2
            kind = 4 if data[-1:] == b"" else kind
            data += b"\0" * 4 + struct.pack("<HB", len(part), kind) + part
            if record:
                data += b"\0" * 4 + struct.pack("<HB", len(record), 4) + record
                record = b""
    folder = tmp_path / "wandb" / "latest-run"
    folder.mkdir(parents=True)
    (folder / "run-abc.wandb").write_bytes(data)
    diagnosis = diagnose_log(tmp_path / "wandb")
    assert diagnosis.kind == "Weights & Biases run file"
    assert diagnosis.features is not None
    assert (diagnosis.features.training_points, diagnosis.features.validation_points) == (200, 10)
    assert diagnosis.features.length == 2000
    assert diagnosis.verdict == "too_little_data"


def test_diagnose_log_reads_the_log_when_a_folder_is_given(tmp_path: Path) -> None:
    for place, write in (
        ("out/checkpoint-2000/trainer_state.json", formats.trainer_state),
        ("lightning_logs/version_0/metrics.csv", formats.lightning_csv),
        ("plain/train.log", formats.nanogpt),
    ):
        path = tmp_path / place
        path.parent.mkdir(parents=True)
        path.write_text(write(OVERFIT))
        (path.parent / "config.json").write_text('{"hidden_size": 8}')
        diagnosis = diagnose_log(tmp_path / place.split("/")[0])
        assert diagnosis.verdict == "too_little_data"
        assert any(path.name in note for note in diagnosis.warnings)


def diagnose_lines(tmp_path: Path, lines: list[str], name: str = "log.txt") -> LogDiagnosis:
    """The diagnosis of a log of these lines."""
    return diagnose_log(written(tmp_path, lines, name))


def test_two_runs_in_a_file_are_not_one(tmp_path: Path) -> None:
    run = [f"step {s} loss {_fall(s):.4f}" for s in range(0, 1000, 10)]
    diagnosis = diagnose_lines(tmp_path, run + run)
    assert diagnosis.features is not None
    assert diagnosis.features.training_points == 100
    assert any("several runs" in note for note in diagnosis.warnings)


def test_a_resumed_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    steps = [*range(0, 700, 10), *range(500, 1000, 10)]
    diagnosis = diagnose_lines(tmp_path, [f"step {s} loss {_fall(s):.4f}" for s in steps])
    assert diagnosis.features is not None
    assert (diagnosis.features.training_points, diagnosis.features.length) == (100, 990)


def test_a_run_resumed_after_few_lines_is_no_new_epoch(tmp_path: Path) -> None:
    losses = {100: 5.1, 200: 4.4, 300: 4.05, 400: 3.9}
    later = {300: 4.06, 400: 3.91, 500: 3.8, 600: 3.72}
    lines = [f"step {s} loss {v}" for part in (losses, later) for s, v in part.items()]
    training, _ = both_sides(read_log(written(tmp_path, "\n".join(lines))))
    assert training == sorted((losses | later).items())


def test_a_zero_before_the_first_loss_is_no_loss(tmp_path: Path) -> None:
    lines = [
        f"iter= {n} sample={8 * n + 1} sched=0.01 loss={(9 - n if n else 0):f}" for n in range(6)
    ]
    training, _ = both_sides(read_log(written(tmp_path, "\n".join(lines))))
    assert training == [(n, 9.0 - n) for n in range(1, 6)]


def test_a_large_log_is_thinned_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.log"
    with path.open("w") as file:
        for s in range(60_000):
            loss = "nan" if s >= 59_123 else f"{_fall(s):.4f}"
            file.write(f"[10:00:00] iteration {s:8d} | loss: {loss} | lr: 3.0E-04\n")
            if s % 1000 == 0:
                file.write(f"iteration {s:8d} validation loss {_fall(s) + 0.1:.4f}\n")
    log = read_log(path)
    training, validation = both_sides(log)
    assert len(training) < 20_000
    assert len(validation) == 60
    assert training[-1][0] == 59_999
    assert next(at for at, loss in training if math.isnan(loss)) == 59_123


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000 + "]" * 100_000, "refused"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "refused"),
        ("\n".join(f"step {s} loss {'9' * 400}" for s in range(9)), "diverged"),
        ("\n".join(f'{{"step": {s}, "loss": {"9" * 5000}}}' for s in range(9)), "diverged"),
        ("step,loss\n" + "\n".join(f"{s},{3 - s / 9 if s < 5 else 1e308}" for s in range(9)),
         "diverged"),
        ("\n".join(f"step {s}{'0' * 300} loss {3 - s / 9}" for s in range(9)), "read"),
    ],
)  # fmt: skip
def test_hostile_numbers_and_nesting_are_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    from descend.errors import LogError

    path = written(tmp_path, text)
    if said == "refused":
        with pytest.raises(LogError, match="found no losses"):
            diagnose_log(path)
    else:
        diagnosis = diagnose_log(path)
        assert said in ("read", diagnosis.verdict)
