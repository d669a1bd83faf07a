"""The log of a run is found from each of the folders and files that its checkpoints are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from descend.errors import LogError
from descend.loss_logs.read_log import read_log


def trainer_state(steps: int) -> str:
    """A Trainer's state after `steps` steps, logged every ten."""
    history = [
        {"epoch": s / 100, "loss": 9 - s / 100, "learning_rate": 1e-3, "step": s}
        for s in range(10, steps + 1, 10)
    ]
    return json.dumps({"global_step": steps, "log_history": history})


def metrics(steps: int) -> str:
    """Lightning's `metrics.csv` after `steps` steps."""
    rows = [f"{s // 100},{s - 1},{9 - s / 100}" for s in range(10, steps + 1, 10)]
    return "\n".join(["epoch,step,train_loss", *rows]) + "\n"


def put(path: Path, text: str = "PK\x03\x04weights", seconds: int = 1_700_000_000) -> Path:
    """Write `text` to `path`, last changed at `seconds`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (seconds, seconds))
    return path


def last_step(path: Path) -> float:
    """The last position of the log that is found from `path`."""
    return read_log(path).entries[-1].position


@pytest.fixture
def trainer_output(tmp_path: Path) -> Path:
    """A Trainer's output folder, copied so that its times say nothing."""
    for n in (600, 1200):
        folder = tmp_path / "out" / f"checkpoint-{n}"
        put(folder / "trainer_state.json", trainer_state(n))
        for name in ("config.json", "model.safetensors", "optimizer.pt", "training_args.bin"):
            put(folder / name, "{}", 1_800_000_000 - n)
    return tmp_path / "out"


@pytest.fixture
def lightning_output(tmp_path: Path) -> Path:
    """Lightning's default folders, with the tenth version as the last."""
    for number, steps in ((2, 300), (9, 900), (10, 500)):
        version = tmp_path / "lightning_logs" / f"version_{number}"
        put(version / "metrics.csv", metrics(steps), 1_700_000_000 - number)
        put(version / "hparams.yaml", "lr: 0.1")
        put(version / "checkpoints" / f"epoch=4-step={steps}.ckpt")
    return tmp_path / "lightning_logs"


def test_trainer_checkpoint_gives_its_own_log(trainer_output: Path) -> None:
    assert last_step(trainer_output / "checkpoint-600") == 600
    assert last_step(trainer_output / "checkpoint-600" / "model.safetensors") == 600


def test_output_folder_gives_the_checkpoint_of_the_highest_number(trainer_output: Path) -> None:
    assert last_step(trainer_output) == 1200
    put(trainer_output / "trainer_state.json", trainer_state(1500))
    assert last_step(trainer_output) == 1500


def test_checkpoint_without_state_gives_the_log_of_its_run(trainer_output: Path) -> None:
    (trainer_output / "checkpoint-600" / "trainer_state.json").unlink()
    log = read_log(trainer_output / "checkpoint-600")
    assert log.entries[-1].position == 1200
    assert any("out/checkpoint-1200/trainer_state.json" in note for note in log.notes)


def test_lightning_folder_gives_the_version_of_the_highest_number(lightning_output: Path) -> None:
    assert last_step(lightning_output) == 499


def test_lightning_checkpoints_give_the_metrics_beside_them(lightning_output: Path) -> None:
    version = lightning_output / "version_9"
    assert last_step(version) == 899
    assert last_step(version / "checkpoints") == 899
    assert last_step(version / "checkpoints" / "epoch=4-step=900.ckpt") == 899
    beside = put(version / "last.ckpt")
    assert last_step(beside) == 899


def test_newest_experiment_wins_when_several_stand_side_by_side(tmp_path: Path) -> None:
    put(tmp_path / "old" / "checkpoint-900" / "trainer_state.json", trainer_state(900), 1_000)
    put(tmp_path / "new" / "checkpoint-50" / "trainer_state.json", trainer_state(50), 9_000)
    assert last_step(tmp_path) == 50


def test_checkpoint_without_any_log_is_a_sentence(tmp_path: Path) -> None:
    weights = put(tmp_path / "deep" / "weights" / "model.ckpt")
    put(tmp_path / "deep" / "notes.txt", "step 1 loss 3\nstep 2 loss 2\nstep 3 loss 1\n")
    for path in (weights, weights.parent):
        with pytest.raises(LogError, match="no "):
            read_log(path)
