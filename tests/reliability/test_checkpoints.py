"""Two checkpoints stand, a damaged one is named and left out, and no bad number is saved."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

import descend
from descend.config import make_config
from descend.errors import DivergedError, RunFolderError
from descend.report.text.run_notices import run_notices
from descend.runs.atomic_write import damaged_files, verify_folder
from descend.runs.checkpoint_folders import checkpoints, latest_checkpoint
from descend.runs.event_log import EventLog, read_events
from descend.runs.events import CheckpointSaved, Rollback, Step, TrainingStarted
from descend.runs.run_files import read_info
from descend.training.checkpoint import save_checkpoint
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import run_training
from descend.training.training_run import create_run, resume_run


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


def steps_of(folder: str = "run") -> list[int]:
    return [step for step, _ in checkpoints(Path(folder))]


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_resumes_to_the_last_bit(
    stopped: Any, tiny: dict[str, Any], own_folder: Path
) -> None:
    whole = create_run(make_config(tiny | {"threads": 1}), Path("whole"))
    for _ in run_training(whole):
        pass
    stopped(step=8, steps=(3, 5))
    assert steps_of() == [step for step in steps_of() if step <= 8][-2:]
    assert len(steps_of()) == 2
    flip(Path("run/checkpoints/step_8/model.safetensors"), -3)
    before = steps_of()[0]
    run = resume_run(Path("run"))
    assert run.state.step == before
    text = " ".join(run_notices(run))
    assert "run/checkpoints/step_8/model.safetensors" in text
    for _ in run_training(run):
        pass
    hashes = {hashlib.sha256(Path(f"{f}/model.safetensors").read_bytes()).hexdigest()
              for f in ("run", "whole")}  # fmt: skip
    assert len(hashes) == 1


def test_damage_anywhere_in_a_checkpoint_is_noticed(stopped: Any) -> None:
    stopped()
    folder = Path("run/checkpoints/step_8")
    blocks = 0
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for start in range(0, len(content), 512):
            flip(path, min(start + 100, len(content) - 1))
            assert not verify_folder(folder), (path, start)
            path.write_bytes(content)
            blocks += 1
        path.unlink()
        assert not verify_folder(folder), path
        path.write_bytes(content)
    assert verify_folder(folder)
    assert blocks > 100


@pytest.mark.parametrize("manifest", [b"{}", b"", b'{"../../run.json": "0"}', b"[" * 100_000])
def test_a_manifest_that_proves_nothing_is_damage(stopped: Any, manifest: bytes) -> None:
    stopped()
    folder = Path("run/checkpoints/step_8")
    (folder / "manifest.json").write_bytes(manifest)
    assert damaged_files(folder) == ["manifest.json"]


def test_where_none_is_whole_the_file_is_named(stopped: Any) -> None:
    stopped()
    for _, path in checkpoints(Path("run")):
        flip(path / "state.json", 20)
    with pytest.raises(RunFolderError, match=r"step_\d+/state.json"):
        resume_run(Path("run"))


def test_a_checkpoint_under_the_name_of_another_step_is_refused(stopped: Any) -> None:
    stopped()
    Path("run/checkpoints/step_8").rename("run/checkpoints/step_9")
    with pytest.raises(RunFolderError, match="it is of step 8"):
        resume_run(Path("run"))


def unused_row(run: Any) -> torch.Tensor:
    """A row of the embedding whose token no batch and no judgment reads."""
    weight = run.state.model.token_embedding.weight
    read = set(run.store.train.tolist()) | set(run.store.validation.tolist())
    free = next(i for i in range(len(weight)) if i not in read)
    row: torch.Tensor = weight.detach()[free]
    return row


def planted(place: str, run: Any) -> None:
    """Put NaN or Inf where the loss does not see it."""
    if place == "weight":
        unused_row(run).fill_(float("nan"))
    elif place == "infinity":
        unused_row(run)[0] = float("inf")
    else:
        moments = next(v for v in run.state.optimizers[0].state.values() if "exp_avg_sq" in v)
        moments["exp_avg_sq"].view(-1)[0] = float("nan")


def no_bad_number(folder: Path) -> None:
    from safetensors.torch import load

    for path in folder.rglob("*.safetensors"):
        for name, tensor in load(path.read_bytes()).items():
            assert torch.isfinite(tensor).all(), (path, name)


@pytest.mark.parametrize("at", [9, 30])
@pytest.mark.parametrize("place", ["weight", "infinity", "moment"])
def test_a_number_that_the_loss_does_not_see_enters_no_checkpoint(
    place: str, at: int, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from descend.training import trainer as module

    monkeypatch.setattr(module.TimeBudget, "is_due", lambda self: True)  # saved after every step
    keys = {"architecture": "modern", "optimizer": "adamw", "vocab_size": 400, "threads": 1,
            "max_steps": at + 10}  # fmt: skip
    run = create_run(make_config(tiny | keys), Path("run"))
    fired = False
    for record in run_training(run):
        no_bad_number(Path("run/checkpoints"))
        if isinstance(record, Step) and record.step == at and not fired:
            planted(place, run)
            fired = True
    assert fired
    rollbacks = [r for r in read_events(Path("run")) if isinstance(r, Rollback)]
    assert rollbacks
    assert "not finite" in rollbacks[0].problem or "not a finite" in rollbacks[0].problem
    no_bad_number(Path("run"))


def test_run_ends_without_a_bad_checkpoint_when_rollback_is_off(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from descend.training import trainer as module

    monkeypatch.setattr(module.TimeBudget, "is_due", lambda self: True)
    keys = {"architecture": "modern", "divergence_rollback": "off", "vocab_size": 400, "threads": 1}
    run = create_run(make_config(tiny | keys), Path("run"))

    def carry() -> None:
        for record in run_training(run):
            if isinstance(record, Step) and record.step == 9:
                planted("weight", run)

    with pytest.raises(DivergedError, match="token_embedding"):
        carry()
    no_bad_number(Path("run"))
    assert latest_checkpoint(Path("run")) == Path("run/checkpoints/step_8")


@pytest.mark.parametrize("how", [shutil.rmtree, lambda f: os.rename(f, "elsewhere"),
                                 lambda f: (os.rename(f, "elsewhere"), os.mkdir(f))])  # fmt: skip
@pytest.mark.parametrize("step", [5, 70], ids=["before a snapshot", "after the last snapshot"])
def test_training_names_the_folder_when_it_goes_in_mid_run(
    tiny: dict[str, Any], how: Callable[[Path], Any], step: int
) -> None:
    from descend.errors import DiskWriteError

    run = create_run(make_config(tiny | {"threads": 1}), Path("run"))

    def carry() -> None:
        for record in run_training(run):
            if isinstance(record, Step) and record.step == step:
                how(Path("run"))

    with pytest.raises(DiskWriteError, match="deleted, moved or replaced") as caught:
        carry()
    assert caught.value.exit_code == 1
    assert not Path("run/model.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "how"),
    [("events.jsonl", Path.unlink), ("events.jsonl", lambda f: os.replace("other", f)),
     ("run.json", Path.unlink), ("tokenizer.json", Path.unlink)],
    ids=["deleted log", "replaced log", "run.json", "tokenizer"],
)  # fmt: skip
def test_training_writes_a_record_again_when_it_goes_in_mid_run(
    tiny: dict[str, Any], name: str, how: Callable[[Path], Any], caplog: pytest.LogCaptureFixture
) -> None:
    run = create_run(make_config(tiny | {"threads": 1}), Path("run"))
    Path("other").write_text("{}\n")
    records = []
    for record in run_training(run):
        records.append(record)
        if isinstance(record, Step) and record.step == 5:
            how(Path("run") / name)
    assert f"{name}: deleted or replaced" in caplog.text
    steps = [r.step for r in records if isinstance(r, Step)]
    assert [r.step for r in read_events(Path("run")) if isinstance(r, Step)] == steps
    assert read_info(Path("run")) == run.info
    assert descend.load("run").summary.finished


def test_save_checkpoint_keeps_two_in_the_order_of_saves_when_a_run_went_back(stopped: Any) -> None:
    job = stopped(step=8, steps=(7,))
    assert steps_of() == [7, 8]
    rolled_back = msgspec.structs.replace(job.state.rollback_state, num_rollbacks=1)
    job.state.rollback_state = rolled_back
    for step, expected in ((3, [8, 3]), (8, [3, 8]), (5, [8, 5])):
        if step == 5:
            job.state.rollback_state = msgspec.structs.replace(rolled_back, num_rollbacks=2)
        job.state.step = step
        save_checkpoint(Path("run"), job.state)
        assert steps_of() == expected
        assert latest_checkpoint(Path("run")) == Path(f"run/checkpoints/step_{step}")
        assert all(verify_folder(path) for _, path in checkpoints(Path("run")))


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "manifest.json"])
def test_save_checkpoint_keeps_the_whole_one_when_the_newest_was_damaged(
    stopped: Any, name: str
) -> None:
    job = stopped(step=8, steps=(7,))
    flip(Path(f"run/checkpoints/step_8/{name}"), 20)
    job.state.step = 9
    save_checkpoint(Path("run"), job.state)
    assert steps_of() == [7, 9]
    assert all(verify_folder(path) for _, path in checkpoints(Path("run")))


DIVERGENT = {"learning_rate": 10.0, "gradient_clip": 0.0, "schedule": "constant", "threads": 1,
             "warmup_steps": 0, "optimizer": "adamw", "architecture": "gpt", "attention": "matmul",
             "compile": "off"}  # fmt: skip


@pytest.fixture(scope="module")
def divergent_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Room for the model and the losses of the divergent run, trained without a stop."""
    return {}


def read_result(folder: str) -> tuple[str, list[tuple[int, float]], list[Rollback]]:
    """The hash of the model, the losses by step, and the rollbacks of a finished run."""
    events = read_events(Path(folder))
    weights = hashlib.sha256(Path(folder, "model.safetensors").read_bytes()).hexdigest()
    return (weights, [(r.step, r.loss) for r in events if isinstance(r, Step)],
            [r for r in events if isinstance(r, Rollback)])  # fmt: skip


@pytest.mark.parametrize("name", ["model.safetensors", "state.json"])
@pytest.mark.parametrize("steps_after", [0, 4])
def test_resume_is_exact_when_the_newest_checkpoint_after_a_rollback_is_damaged(
    steps_after: int, name: str, tiny: dict[str, Any], divergent_run: dict[str, Any]
) -> None:
    from descend.training import trainer as module

    config = make_config(tiny | DIVERGENT)
    if not divergent_run:
        for _ in run_training(create_run(config, Path("whole"))):
            pass
        divergent_run["result"] = read_result("whole")
    run = create_run(config, Path("run"))
    saves, rollbacks, steps = 0, 0, 0
    with pytest.raises(TrainingInterrupted), pytest.MonkeyPatch.context() as patch:  # noqa: PT012
        patch.setattr(module.TimeBudget, "is_due", lambda self: True)  # saved after every step
        for record in run_training(run):
            rollbacks += isinstance(record, Rollback)
            steps += rollbacks == 1 and isinstance(record, Step)
            saves += isinstance(record, CheckpointSaved)
            if saves > 1 and isinstance(record, CheckpointSaved):
                assert sum(verify_folder(p) for _, p in checkpoints(Path("run"))) == 2
            if rollbacks and steps == steps_after and isinstance(record, Step | Rollback):
                signal.raise_signal(signal.SIGINT)
    (older, _), (newer, newest) = checkpoints(Path("run"))
    assert newer == steps_after
    assert older > newer or steps_after, "the older one is of a later step, which was undone"
    flip(newest / name, 20)
    again = resume_run(Path("run"))
    assert again.state.step == older
    assert any(str(newest / name) in sentence for sentence in run_notices(again))
    for _ in run_training(again):
        pass
    assert read_result("run") == divergent_run["result"]
    assert sum(verify_folder(p) for _, p in checkpoints(Path("run"))) == 2


def test_resume_reads_its_own_events_when_the_record_of_its_save_is_lost(
    tiny: dict[str, Any],
) -> None:
    """A checkpoint of a step that had one before the rollback; then the power fails."""
    log = EventLog(Path("run"))
    back = Rollback(2, 5, "a loss", "skip", 3)
    loss = {1: 1.0, 2: 1.0, 3: 9.0, 4: 9.0}
    events = [TrainingStarted(0, ""), *(step_event(n, loss[n]) for n in (1, 2, 3)),
              CheckpointSaved(3, 0.1), step_event(4, 9.0), back, step_event(3, 2.0)]  # fmt: skip
    for event in events:
        log.append(event)
    after = [e.loss for e in read_events(Path("run"), 3, 1) if isinstance(e, Step)]
    assert after == [1.0, 1.0, 2.0]
    before = [e.loss for e in read_events(Path("run"), 3, 0) if isinstance(e, Step)]
    assert before == [1.0, 1.0, 9.0]
    log.append(TrainingStarted(3, "", num_rollbacks=1))
    log.close()
    assert back in read_events(Path("run"))


def step_event(number: int, loss: float) -> Step:
    return Step(number, 1, loss, 0.1, 0.001, 1.0, False, 0.1)


def test_events_are_durable_before_a_checkpoint_is(
    stopped: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    run = stopped()
    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    run.state.step = 9
    save_checkpoint(Path("run"), run.state)
    assert synced[0] == "events.jsonl"
    assert "manifest.json" in synced[1:]
