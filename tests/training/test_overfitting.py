"""A run that memorizes its text says so while it happens, ends, and keeps the best."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from descend.config import make_config
from descend.report.text.run_summary import how_good, overfitting_line, what_it_means
from descend.runs.event_log import read_events
from descend.runs.events import Epoch, Event, Overfitting, Step
from descend.runs.model_files import load_model
from descend.runs.run_folder import read_summary
from descend.training import recipe
from descend.training.explosion import has_exploded, note_explosion
from descend.training.overfitting import find_overfitting, update_overfitting
from descend.training.trainer import run_training
from descend.training.training_run import TrainingRun, create_run, resume_run


class FinishedRun(NamedTuple):
    """A run of settings that overfit, and what it recorded."""

    run: TrainingRun
    records: list[Event]


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words at random: what is learned beyond their frequencies is memorized."""
    rng = random.Random(5)
    words = ["".join(rng.choices("abcdefgh", k=3)) for _ in range(60)]
    path = tmp_path_factory.mktemp("noise") / "noise.txt"
    path.write_text("\n".join(" ".join(rng.choices(words, k=10)) for _ in range(120)))
    return path


@pytest.fixture(scope="module")
def overfits(noise: Path) -> Iterator[dict[str, Any]]:
    """Settings that memorize `noise` within ten epochs, where the recipe would choose ten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "_MAX_EPOCHS_OF_WHOLE_TOKENS", 10)
        yield settings(noise)


def settings(noise: Path) -> dict[str, Any]:
    return {
        "corpus_dir": str(noise), "embed_dim": 64, "num_heads": 2, "num_layers": 2, "ff_dim": 128,
        "max_seq_len": 32, "seq_len": 32, "batch_size": 2, "vocab_size": 320,
        "learning_rate": 0.01, "token_dropout": 0.0, "bpe_dropout": 0.0, "precision": "float32",
        "attention": "matmul",
    }  # fmt: skip


@pytest.fixture(scope="module")
def free(
    overfits: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, own_cache: Path
) -> FinishedRun:
    """A run of free length, for reading."""
    run = create_run(make_config(overfits), tmp_path_factory.mktemp("models") / "free")
    return FinishedRun(run, finish(run))


def finish(run: TrainingRun) -> list[Event]:
    return list(run_training(run))


def test_a_run_of_free_length_ends_when_it_overfits(free: FinishedRun) -> None:
    run, records = free
    overfittings = [r for r in records if isinstance(r, Overfitting)]
    epochs = [r for r in records if isinstance(r, Epoch)]
    assert len(overfittings) == 1
    assert overfittings[0].decay_steps > 0
    assert records.index(overfittings[0]) < len(records) - 20  # while it happens
    last = [r for r in records if isinstance(r, Step)][-1]
    assert last.step == overfittings[0].step + overfittings[0].decay_steps < run.plan.total_steps
    assert last.learning_rate < 0.1 * max(r.learning_rate for r in records if isinstance(r, Step))
    summary = read_summary(run.folder)
    assert summary.finished
    assert summary.validation_loss == min(e.validation_loss for e in epochs)
    assert summary.overfitting == overfittings[0]
    assert "overfits" in what_it_means(summary)
    assert "Overfitting: " in overfitting_line(overfittings[0])
    assert "Validation loss" in how_good(summary)


def test_it_ends_as_low_in_fewer_steps_as_the_run_it_cuts_short(
    overfits: dict[str, Any], free: FinishedRun
) -> None:
    full = finish(create_run(make_config(overfits | {"epoch": 10}), Path("full")))
    overfittings = [r for r in full if isinstance(r, Overfitting)]
    assert [r.decay_steps for r in overfittings] == [0]  # the user's number of epochs is obeyed
    at_the_end = [r for r in full if isinstance(r, Epoch)][-1].validation_loss
    short, whole = read_summary(free.run.folder), read_summary(Path("full"))
    assert whole.validation_loss <= at_the_end
    # Which of the two is lower, and how many steps are saved, is decided by rounding, which differs
    # between processors: on one the whole run ended 0.4 % lower, and a seventh of it was saved.
    assert short.validation_loss <= 1.01 * whole.validation_loss
    assert short.epochs[-1].step < 0.9 * whole.epochs[-1].step
    assert load_model(free.run.folder).model is not None


def test_resume_within_the_decay_ends_like_the_run_itself(
    overfits: dict[str, Any], free: FinishedRun
) -> None:
    run, decaying = create_run(make_config(overfits), Path("cut")), 0
    records = run_training(run)
    for record in records:
        decaying += isinstance(record, Overfitting)
        if decaying and run.state.decay and run.state.step >= run.state.decay.begin + 3:
            break
    records.close()  # type: ignore[attr-defined]
    from descend.training.checkpoint import save_checkpoint

    save_checkpoint(Path("cut"), run.state)
    finish(resume_run(Path("cut")))
    cut, whole = read_summary(Path("cut")), read_summary(free.run.folder)
    assert cut.validation_loss == whole.validation_loss
    assert [e.step for e in cut.epochs] == [e.step for e in whole.epochs]
    assert cut.overfitting == whole.overfitting
    assert any(isinstance(r, Overfitting) for r in read_events(Path("cut")))


def epoch(number: int, validation: float, training: float) -> Epoch:
    return Epoch(
        epoch=number, step=10 * number, loss_start=5.0, loss_end=training, accuracy_start=0.1,
        accuracy_end=0.2, validation_loss=validation, validation_accuracy=0.2, bits_per_byte=2.0,
        tokens_per_second=1.0, seconds=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("validation", "training", "best"), [
    ((4.0, 3.8, 3.7), (4.0, 3.5, 3.0), None),  # it improves
    ((4.0, 3.8, 3.83), (4.0, 3.5, 3.0), None),  # a small rise, once
    ((4.0, 3.8, 3.83, 3.84), (4.0, 3.5, 3.0, 2.8), 2),  # twice
    ((4.0, 3.8, 3.95), (4.0, 3.5, 3.0), 2),  # a large one, once
    ((4.0, 3.8, 3.95), (4.0, 3.5, 3.9), None),  # the training loss rose too: no overfitting
])  # fmt: skip
def test_overfitting_is_a_lasting_rise_while_the_training_loss_falls(
    validation: tuple[float, ...], training: tuple[float, ...], best: int | None
) -> None:
    epochs = [epoch(n, v, t) for n, (v, t) in enumerate(zip(validation, training, strict=True), 1)]
    overfitting = find_overfitting(epochs)
    assert (overfitting.epoch if overfitting else None) == best


@pytest.mark.parametrize(("validation", "training", "named"), [
    ((4.0, 3.8, 3.95, 3.9), (4.0, 3.5, 3.0, 2.9), (2, 3)),  # no better epoch came
    ((4.0, 3.8, 3.95, 3.7, 3.75, 3.76), (4.0, 3.5, 3.0, 2.8, 2.7, 2.6), (4, 6)),  # a rise again
    ((4.0, 3.8, 3.95, 3.7, 3.71), (4.0, 3.5, 3.0, 2.8, 2.7), None),  # no rise after the better one
])  # fmt: skip
def test_update_overfitting_names_best_epoch_when_a_later_one_is_better(
    validation: tuple[float, ...], training: tuple[float, ...], named: tuple[int, int] | None
) -> None:
    epochs = [epoch(n, v, t) for n, (v, t) in enumerate(zip(validation, training, strict=True), 1)]
    noticed = Overfitting(30, 3, 3.95, 2, 3.8, 0)
    updated = update_overfitting(noticed, epochs)
    assert (updated and (updated.best_epoch, updated.epoch)) == named
    ended = Overfitting(30, 3, 3.95, 2, 3.8, 20)  # what was done at the time stays as it was
    assert update_overfitting(ended, epochs) == ended
    assert update_overfitting(None, epochs) is None


def test_validation_loss_worse_than_guessing_is_no_explosion_when_training_loss_is_low(
    overfits: dict[str, Any],
) -> None:
    run = create_run(make_config(overfits | {"epoch": 3}), Path("sure"))
    run.state.step = run.plan.total_steps
    far = run.plan.diverged_above + 5
    note_explosion(run.state, 0.1, run.plan.diverged_above)
    assert not has_exploded(run.state, run.plan, far)
    note_explosion(run.state, far, run.plan.diverged_above)
    assert has_exploded(run.state, run.plan, far)


def test_validation_loss_worse_than_guessing_after_one_epoch_is_an_explosion(
    overfits: dict[str, Any],
) -> None:
    run = create_run(make_config(overfits | {"epoch": 1}), Path("burst"))
    run.state.step = run.plan.total_steps
    note_explosion(run.state, 0.1, run.plan.diverged_above)
    assert has_exploded(run.state, run.plan, run.plan.diverged_above + 5)
