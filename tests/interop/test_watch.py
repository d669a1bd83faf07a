"""A watch records a stranger's loop, names its mistakes, and changes no bit of it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import descend
from descend.errors import WatchError
from descend.interop.watch import TrainingWatch, unwrap_optimizer
from descend.loss_logs.diagnose_log import diagnose_log
from descend.report.text.log_diagnosis import format_log_diagnosis
from descend.runs.event_log import read_events
from descend.runs.events import (
    ActivationStats,
    ProgramWarning,
    TrainingStopped,
    Validation,
    WatchedStep,
    WeightUpdateStats,
)

VOCABULARY, WIDTH, BATCH = 32, 16, 8


class Network(nn.Module):
    """Predicts a token from the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.tanh(self.hidden(self.embedding(ids))))
        return logits


def train_steps(
    model: nn.Module, optimizer: torch.optim.Optimizer, count: int,
    batch_size: int = BATCH, nan_from: int | None = None,
) -> Iterator[Tensor]:  # fmt: skip
    """Yield the loss of each step after it was made; a NaN from step `nan_from` on."""
    generator = torch.Generator().manual_seed(0)
    for number in range(1, count + 1):
        ids = torch.randint(VOCABULARY, (batch_size,), generator=generator)
        loss = functional.cross_entropy(model(ids), (ids * 3 + 1) % VOCABULARY)
        if nan_from is not None and number >= nan_from:
            loss = loss * float("nan")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss


def train(
    folder: Path | None,
    steps: int = 60,
    rate: float = 0.01,
    make: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
) -> tuple[nn.Module, TrainingWatch | None]:
    torch.manual_seed(1)
    model = Network()
    optimizer = make(model) if make else torch.optim.AdamW(model.parameters(), lr=rate)
    watch = None if folder is None else descend.watch(model, optimizer, folder)
    for number, loss in enumerate(train_steps(model, optimizer, steps), 1):
        if watch:
            watch.step(loss)
            if number % 20 == 0:
                watch.validation(loss.detach())
    if watch:
        watch.close()
    return model, watch


def test_watch_records_every_step_with_loss_norm_and_rate(tmp_path: Path) -> None:
    train(tmp_path / "run")
    events = read_events(tmp_path / "run")
    steps = [e for e in events if isinstance(e, WatchedStep)]
    assert [s.step for s in steps] == list(range(1, 61))
    assert all(s.learning_rate == 0.01 and s.seconds >= 0 for s in steps)
    assert steps[0].loss == pytest.approx(3.5, abs=0.4)
    assert all(s.gradient_norm and s.gradient_norm > 0 for s in steps)
    updates = [e for e in events if isinstance(e, WeightUpdateStats)]
    assert [u.step for u in updates] == [1, 26, 51]
    assert set(updates[0].update_to_weight_ratio) == {
        "embedding.weight", "hidden.weight", "head.weight",
    }  # fmt: skip
    activations = [e for e in events if isinstance(e, ActivationStats)]
    assert [a.step for a in activations] == [26, 51]
    assert set(activations[0].output_rms) == {"embedding", "hidden", "head"}
    assert all(value > 0 for value in activations[0].output_rms.values())
    assert [e.step for e in events if isinstance(e, Validation)] == [20, 40, 60]
    assert isinstance(events[-1], TrainingStopped)
    assert events[-1].reason == "finished"
    assert not [e for e in events if isinstance(e, ProgramWarning)]


def test_watch_records_the_gradient_norm_that_torch_computes(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    norms = []
    with descend.watch(model, optimizer, tmp_path / "run") as watch:
        for loss in train_steps(model, optimizer, 5):
            norms.append(float(nn.utils.get_total_norm(p.grad for p in model.parameters())))
            watch.step(loss)
    recorded = [
        e.gradient_norm for e in read_events(tmp_path / "run") if isinstance(e, WatchedStep)
    ]
    assert recorded == pytest.approx(norms, rel=1e-5)


def test_watch_changes_no_bit_of_the_training(tmp_path: Path) -> None:
    plain, _ = train(None)
    state = torch.get_rng_state()
    recorded, _ = train(tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(plain.parameters(), recorded.parameters(), strict=True):
        assert torch.equal(a, b)


@given(accumulation=st.integers(1, 4), updates=st.integers(1, 25))
@settings(max_examples=15, deadline=None)
def test_watch_averages_the_batches_of_one_update(
    tmp_path_factory: pytest.TempPathFactory, accumulation: int, updates: int
) -> None:
    folder = tmp_path_factory.mktemp("watch") / "run"
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    value = 0.0
    with descend.watch(model, optimizer, folder) as watch:
        for _ in range(updates):
            for _ in range(accumulation):
                value += 1.0
                model(torch.ones(1, 2)).sum().backward()
                if (value - 1) % accumulation == accumulation - 1:
                    optimizer.step()
                    optimizer.zero_grad()
                watch.step(value)
    steps = [e for e in read_events(folder) if isinstance(e, WatchedStep)]
    # The loss before the first update of an accumulation belongs to the step before it.
    assert [s.step for s in steps] == sorted({s.step for s in steps})
    assert sum(1 for s in steps if s.step > 0) == updates


def test_watch_names_parameters_that_the_optimizer_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "descend"):
        _, watch = train(
            tmp_path / "run",
            make=lambda m: torch.optim.AdamW(m.get_submodule("head").parameters(), lr=0.01),
        )
    assert watch is not None
    assert len(watch.warnings) == 1
    assert (
        "does not hold 3 parameters (embedding.weight, hidden.weight, hidden.bias)" in caplog.text
    )
    diagnosis = diagnose_log(tmp_path / "run")
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("weights_not_in_optimizer", "no")
    first, *rest = format_log_diagnosis(diagnosis).splitlines()
    assert first.startswith(
        "No, this program has a fault: The optimizer does not hold 3 parameters"
    )
    assert "  Fix: give the optimizer all trainable parameters" in "\n".join(rest)
    assert not any("No fault" in line for line in rest)


def test_watch_says_how_many_parameters_it_does_not_list(tmp_path: Path) -> None:
    _, watch = train(
        tmp_path / "run", make=lambda m: torch.optim.SGD([m.get_submodule("head").bias], lr=0.01)
    )
    assert watch is not None
    names = "(embedding.weight, hidden.weight, hidden.bias and 1 more)"
    assert f"does not hold 4 parameters {names}" in watch.warnings[0]


def test_watch_names_parameters_without_a_gradient(tmp_path: Path) -> None:
    class Detached(Network):
        def forward(self, ids: Tensor) -> Tensor:
            hidden = torch.tanh(self.hidden(self.embedding(ids))).detach()
            logits: Tensor = self.head(hidden)
            return logits

    model = Detached()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    with descend.watch(model, optimizer, tmp_path / "run") as watch:
        for loss in train_steps(model, optimizer, 12):
            watch.step(loss)
    [warning] = watch.warnings
    assert "3 parameters (embedding.weight, hidden.weight, hidden.bias) got no gradient" in warning
    diagnosis = diagnose_log(tmp_path / "run")
    assert diagnosis.verdict == "weights_frozen"
    assert diagnosis.probability == 0.5  # they may be unused on purpose
    assert warning.startswith(diagnosis.normal.reason)


def test_watch_warns_of_units_that_stay_silent(tmp_path: Path) -> None:
    class Silent(Network):
        def forward(self, ids: Tensor) -> Tensor:
            logits: Tensor = self.head(torch.relu(self.hidden(self.embedding(ids))))
            return logits

    torch.manual_seed(1)
    model = Silent()
    with torch.no_grad():
        model.hidden.bias[:10] = -50.0  # of 16 units
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.001)
    with descend.watch(model, optimizer, tmp_path / "run") as watch:
        for loss in train_steps(model, optimizer, 80, batch_size=4 * BATCH):
            watch.step(loss)
    [warning] = watch.warnings
    assert warning.startswith("62% of the units that enter head are silent in two records.")
    diagnosis = diagnose_log(tmp_path / "run")
    assert warning.startswith((diagnosis.normal.reason, diagnosis.warnings[0]))
    assert not model.head._forward_hooks


def test_watch_is_silent_about_frozen_parameters(tmp_path: Path) -> None:
    def freeze(model: nn.Module) -> torch.optim.Optimizer:
        model.get_submodule("embedding").requires_grad_(False)
        return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)

    _, watch = train(tmp_path / "run", make=freeze)
    assert watch is not None
    assert watch.warnings == []


def test_diagnosis_says_diverged_when_the_watched_loss_became_nan(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with descend.watch(model, optimizer, tmp_path / "run") as watch:
        for loss in train_steps(model, optimizer, 60, nan_from=40):
            watch.step(loss)
    assert "The loss of step 40 is not finite: the run diverged there." in watch.warnings
    assert any("the gradient of 5 parameters" in warning for warning in watch.warnings)
    diagnosis = diagnose_log(tmp_path / "run")
    assert diagnosis.verdict == "diverged"
    assert "40" in diagnosis.causes[0].evidence[0].__repr__() or diagnosis.normal.answer == "no"


def test_diagnosis_reads_a_watched_run_as_a_curve(tmp_path: Path) -> None:
    train(tmp_path / "run", steps=300)
    diagnosis = diagnose_log(tmp_path / "run" / "events.jsonl")
    assert diagnosis.features is not None
    assert diagnosis.features.training_points == 300
    assert diagnosis.features.validation_best is not None
    assert diagnosis.features.rate_highest == 0.01
    assert not [w for w in diagnosis.warnings if "no validation loss" in w]
    # A loss near zero, where any noise is a large fraction of it, is no sign of a high rate. Nor is
    # it one of a leak where the tokens may be of a made-up task.
    assert diagnosis.normal.answer == "cannot tell"
    assert diagnosis.verdict == "unknown"


def test_watch_refuses_a_folder_with_a_record(tmp_path: Path) -> None:
    train(tmp_path / "run")
    model = Network()
    with pytest.raises(WatchError, match="the record of another run"):
        descend.watch(model, torch.optim.SGD(model.parameters()), tmp_path / "run")


def test_watch_refuses_what_is_no_optimizer(tmp_path: Path) -> None:
    with pytest.raises(WatchError, match=r"torch\.optim\.Optimizer"):
        descend.watch(Network(), "adam", tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_training_goes_on_when_the_record_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(1)
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watch = descend.watch(model, optimizer, tmp_path / "run")
    assert watch._record._log is not None
    watch._record._log._file.close()
    watch._record._log._file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115
    with caplog.at_level(logging.WARNING, "descend"):
        for loss in train_steps(model, optimizer, 30):
            watch.step(loss)
        watch.close()
    assert caplog.text.count("Training goes on without a record.") == 1


def stop_at_once(watch: TrainingWatch) -> None:
    watch.step(1.0)
    raise KeyboardInterrupt


def test_watch_closes_as_interrupted_when_the_user_stops_the_loop(tmp_path: Path) -> None:
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with (
        pytest.raises(KeyboardInterrupt),
        descend.watch(model, optimizer, tmp_path / "run") as watch,
    ):
        stop_at_once(watch)
    last = json.loads((tmp_path / "run" / "events.jsonl").read_text().splitlines()[-1])
    assert last["reason"] == "interrupted"
    assert not optimizer._optimizer_step_pre_hooks  # type: ignore[attr-defined]


def test_watch_records_a_loop_that_changes_the_weights_itself(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Network()
    watch = descend.watch(model, folder=tmp_path / "run")
    # The gradients are still there: this optimizer is the loop's own, which the watch never sees.
    for loss in train_steps(model, torch.optim.SGD(model.parameters(), lr=0.1), 60):
        watch.step(loss)
    watch.close()
    events = read_events(tmp_path / "run")
    steps = [e for e in events if isinstance(e, WatchedStep)]
    assert [(s.step, s.learning_rate) for s in steps] == [(n, None) for n in range(1, 61)]
    assert all(s.gradient_norm and s.gradient_norm > 0 for s in steps)
    updates = [e for e in events if isinstance(e, WeightUpdateStats)]
    assert [u.step for u in updates] == [1, 26, 51]
    for update in updates:
        for name, ratio in update.update_to_weight_ratio.items():  # SGD changes by 0.1 of it
            change = ratio * update.weight_rms[name]
            assert change == pytest.approx(0.1 * update.gradient_rms[name], rel=1e-3)
    assert [e.step for e in events if isinstance(e, ActivationStats)] == [26, 51]
    assert not watch.warnings


def test_unwrap_optimizer_takes_the_inner_one() -> None:
    class Wrapper:
        def __init__(self, optimizer: object) -> None:
            self.optimizer = optimizer

    inner = torch.optim.SGD(Network().parameters())
    assert unwrap_optimizer(Wrapper(Wrapper(inner))) is inner


CLOSE_SCRIPT = """
import logging, sys, torch, descend
if sys.argv[1:] == ["log"]:
    logging.basicConfig(level=logging.INFO, format="LOG %(message)s")
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
folder = "given" if sys.argv[1:] == ["folder"] else None
watch = descend.watch(model, optimizer, folder)
for _ in range(3):
    optimizer.zero_grad()
    loss = model(torch.ones(1, 2)).pow(2).sum()
    loss.backward()
    optimizer.step()
    watch.step(loss)
END
"""


@pytest.mark.parametrize(
    ("end", "reason"),
    [("", "finished"), ("raise ValueError", "failed"), ("raise KeyboardInterrupt", "interrupted")],
)
def test_watch_is_closed_when_the_program_ends(end: str, reason: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOSE_SCRIPT.replace("END", end)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    events = read_events(next(tmp_path.glob("watched_runs/Linear_*")))
    assert sum(isinstance(e, WatchedStep) for e in events) == 3
    assert isinstance(events[-1], TrainingStopped)
    assert events[-1].reason == reason
    assert "next: descend diagnose" in done.stderr


def test_watch_folder_has_the_name_of_the_model_inside_a_wrapper() -> None:
    model = torch.nn.DataParallel(Network())
    watch = descend.watch(model, torch.optim.SGD(model.parameters(), lr=0.1))
    watch.close()
    assert watch.folder.name.startswith("Network_")


@pytest.mark.parametrize("argument", ["", "log", "folder"])
def test_watch_close_tells_the_folder_once_when_descend_chose_it_or_logs_are_read(
    argument: str, tmp_path: Path
) -> None:
    script = CLOSE_SCRIPT.replace("END", "watch.close()\nwatch.close()")
    done = subprocess.run(
        [sys.executable, "-c", script, argument],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert done.stdout == ""
    messages = [line for line in done.stderr.splitlines() if "descend diagnose" in line]
    if argument == "folder":
        assert (messages, (tmp_path / "given" / "events.jsonl").exists()) == ([], True)
        return
    folder = next(tmp_path.glob("watched_runs/Linear_*")).relative_to(tmp_path)
    start = "LOG " if argument == "log" else ""
    assert messages == [f"{start}recorded in {folder}; next: descend diagnose {folder}"]
