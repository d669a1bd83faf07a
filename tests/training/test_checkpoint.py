"""A checkpoint holds all of `TrainState`, and only a whole one is taken."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from descend.config import make_config
from descend.errors import RunFolderError
from descend.runs.atomic_write import verify_folder, write_folder_atomic
from descend.runs.checkpoint_folders import checkpoints, latest_checkpoint
from descend.runs.events import CheckpointSaved
from descend.runs.run_files import is_finished, read_info, write_info
from descend.training.checkpoint import load_checkpoint, save_checkpoint
from descend.training.end_step import ScheduleSegment
from descend.training.loop import train
from descend.training.train_state import ClockState, Decay, RollbackState, TrainState
from descend.training.trainer import run_training
from descend.training.training_run import TrainingRun, create_run, resume_run

Tiny = dict[str, Any]


def some_steps(tiny: Tiny, steps: int) -> TrainingRun:
    run = create_run(make_config(tiny), Path("run"))
    for records in train(run.state, run.plan):
        if records[0].step == steps:
            break
    return run


def plain(value: object) -> object:
    """A field as something that `==` compares whole: tensors as their bytes."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.cpu().numpy().tobytes())
    if isinstance(value, torch.nn.Module | torch.optim.Optimizer | torch.amp.GradScaler):
        return plain(value.state_dict())  # type: ignore[union-attr]
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "__struct_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key != "lr"}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_every_field_survives(tiny: Tiny, optimizer: str, precision: str) -> None:
    tiny |= {"optimizer": optimizer, "precision": precision, "batch_size": 8}
    steps = create_run(make_config(tiny), Path("run")).plan.batches.steps(1) + 2
    state = some_steps(tiny, steps).state
    state.skipped, state.rollback_state = 1, RollbackState(num_rollbacks=1, gradient_clip=0.1)
    state.decay = Decay(begin=3, steps=9, rate=0.5)
    state.clock = ClockState(
        seconds=9.0, elapsed=3.0, progress=0.4,
        segment=ScheduleSegment(3, 0.3, 40, 2.0), next_choice=3.5, step_seconds=0.1,
        evaluation_seconds=0.2, recent=[(5.0, 0.1)], is_over=True,
    )  # fmt: skip
    save_checkpoint(Path("run"), state)
    fresh = create_run(make_config(tiny), Path("other")).state
    for field in dataclasses.fields(TrainState):
        before, after = plain(getattr(fresh, field.name)), plain(getattr(state, field.name))
        if field.name not in ("scaler", "shards"):
            assert before != after, f"{field.name} does not change in training: nothing is tested"
    load_checkpoint(Path(f"run/checkpoints/step_{steps}"), fresh)
    for field in dataclasses.fields(TrainState):
        assert plain(getattr(fresh, field.name)) == plain(getattr(state, field.name)), field.name


def test_save_checkpoint_removes_previous_after_new_is_complete(tiny: Tiny) -> None:
    state = some_steps(tiny, 2).state
    save_checkpoint(Path("run"), state)
    state.step = 3
    save_checkpoint(Path("run"), state)
    assert [step for step, _ in checkpoints(Path("run"))] == [2, 3]
    assert all(verify_folder(path) for _, path in checkpoints(Path("run")))


@pytest.fixture
def stopped(tiny: Tiny) -> Path:
    """A run that was left after some steps, with two checkpoints."""
    run = create_run(make_config(tiny), Path("run"))
    records = run_training(run)
    for record in records:
        if record.step == 7:
            break
    records.close()  # type: ignore[attr-defined]
    save_checkpoint(run.folder, run.state)
    newest = checkpoints(run.folder)[-1][1]
    files = [(p.name, p.read_bytes()) for p in newest.iterdir() if p.name != "manifest.json"]
    write_folder_atomic(newest.with_name("step_99"), files)
    return run.folder


@pytest.mark.parametrize("name", ["state.json", "model.safetensors", "optimizer_0.safetensors",
                                  "best.safetensors", "manifest.json"])  # fmt: skip
def test_a_damaged_newest_one_is_passed_over(stopped: Path, name: str) -> None:
    file = stopped / "checkpoints" / "step_99" / name
    assert latest_checkpoint(stopped) == file.parent
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert latest_checkpoint(stopped) == stopped / "checkpoints" / "step_7"
    assert resume_run(stopped).state.step == 7


def test_without_a_whole_one_the_folder_is_named(stopped: Path) -> None:
    for _, path in checkpoints(stopped):
        (path / "model.safetensors").unlink()
    with pytest.raises(RunFolderError, match="no checkpoint that is whole"):
        resume_run(stopped)


def test_interrupted_checkpoint_replacement_is_recovered(stopped: Path) -> None:
    for step, path in checkpoints(stopped):
        path.rename(path.with_name(f".step_{step}.123.{'old' if step == 7 else 'partial'}"))
    half = stopped / ".model.safetensors.123.partial"
    half.touch()
    others = stopped / ".diagnosis.json.123.partial"
    others.touch()
    assert latest_checkpoint(stopped) is None
    assert resume_run(stopped).state.step == 7
    assert [p.name for p in (stopped / "checkpoints").iterdir()] == ["step_7"]
    assert not half.exists()
    assert others.exists(), "a diagnosis is written without the lock: it may be of now"


def test_checkpoint_is_written_once_per_step(tiny: Tiny) -> None:
    run = create_run(make_config(tiny | {"max_steps": 1}), Path("run"))
    folder = Path("run/checkpoints/step_1")
    first = [
        folder.stat().st_ino for record in run_training(run) if isinstance(record, CheckpointSaved)
    ]
    assert first == [folder.stat().st_ino]
    Path("run/summary.json").unlink()
    assert list(run_training(resume_run(Path("run"))))
    assert first == [folder.stat().st_ino]
    assert is_finished(Path("run"))


def test_one_of_another_run_is_refused(stopped: Path, tiny: Tiny) -> None:
    other = create_run(make_config(tiny | {"seed": 5}), Path("other"))
    records = run_training(other)
    for record in records:
        if record.step == 9:
            break
    records.close()  # type: ignore[attr-defined]
    save_checkpoint(other.folder, other.state)
    for _, path in checkpoints(stopped):
        shutil.rmtree(path)
    shutil.copytree("other/checkpoints/step_9", stopped / "checkpoints" / "step_9")
    with pytest.raises(RunFolderError, match="it is of another run"):
        resume_run(stopped)
    info = read_info(stopped)
    write_info(stopped, msgspec.structs.replace(info, run_id=None))  # of an older descend
    assert resume_run(stopped).state.step == 9


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_rollbacks", -1), ("batches_skipped", 2**70), ("rate_factor", 1e308), ("last_step", -1)],
)
def test_one_with_an_impossible_number_is_refused(stopped: Path, key: str, value: float) -> None:
    for _, path in checkpoints(stopped):
        files = {p.name: p.read_bytes() for p in path.iterdir() if p.name != "manifest.json"}
        state = json.loads(files["state.json"])
        state["rollback_state"][key] = value
        files["state.json"] = json.dumps(state).encode()
        write_folder_atomic(path, files.items())
    with pytest.raises(RunFolderError, match=rf"does not fit .*{key}"):
        resume_run(stopped)


def test_one_of_another_shape_is_refused(stopped: Path, tiny: Tiny) -> None:
    other = create_run(make_config(tiny | {"num_layers": 3}), Path("other"))
    with pytest.raises(RunFolderError, match="does not fit"):
        load_checkpoint(stopped / "checkpoints" / "step_7", other.state)
