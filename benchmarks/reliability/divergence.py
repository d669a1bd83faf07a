"""60 planted divergences: no bad checkpoint, and the loss of the clean twin at the end.

    python benchmarks/reliability/divergence.py [--short] [--after N] [--out FILE]

Each case plants one fault into a run, which saves after every step. It counts only if the changed
number was used. Every number of every checkpoint must be finite. At the end the validation loss is
compared with that of the same run without the fault. The exit code is 1 for a bad checkpoint, or if
under 95 % end within 0.05 nat. `--after` leaves out the first N cases, which another call tried.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from campaign_options import begin_within, make_parser
from stored import bound_of_zero, scratch_folder, store

STEPS = (9, 40, 120)
TOLERANCE_NATS = 0.05
MIN_SHARE = 0.95

Plant = Callable[[Any, list[int]], None]
"""Plants a fault into a run, and adds the step to the list when the fault is there."""


def at_once(change: Callable[[Any], object]) -> Plant:
    """A fault that is there as soon as it is planted."""

    def plant(run: Any, fired: list[int]) -> None:
        change(run)
        fired.append(run.state.step)

    return plant


def unused_row(run: Any) -> torch.Tensor:
    """Of the embedding: a row whose token no text has."""
    weight = run.state.model.token_embedding.weight
    used = set(run.store.train.tolist()) | set(run.store.validation.tolist())
    row: torch.Tensor = weight.detach()[next(i for i in range(len(weight)) if i not in used)]
    return row


def moment(run: Any) -> torch.Tensor:
    """A buffer of the first optimizer that has one, flat."""
    for optimizer in run.state.optimizers:
        for buffers in optimizer.state.values():
            for value in buffers.values():
                if isinstance(value, torch.Tensor) and value.numel() > 1:
                    return value.view(-1)
    raise AssertionError("no optimizer has a buffer")


def in_gradient(value: float) -> Plant:
    """One number of one gradient of the next step."""

    def plant(run: Any, fired: list[int]) -> None:
        weight = next(run.state.model.parameters())

        def change(gradient: torch.Tensor) -> torch.Tensor:
            handle.remove()
            fired.append(run.state.step)
            changed = gradient.clone()
            changed.view(-1)[3] = value
            return changed

        handle = weight.register_hook(change)

    return plant


def random_batches(count: int) -> Plant:
    """The next `count` batches are of random tokens."""

    def plant(run: Any, fired: list[int]) -> None:
        batches, first = run.plan.batches, run.state.step
        good, vocab_size = batches.batch, run.store.tokenizer.vocab_size
        draw = np.random.default_rng(first)

        def batch(step: int) -> Any:
            tokens = good(step)
            if not first <= step < first + count:
                return tokens
            fired.append(step)
            return draw.integers(0, vocab_size, tokens.shape, dtype=np.int64)

        object.__setattr__(batches, "batch", batch)

    return plant


def scaled_weights(factor: float) -> Callable[[Any], None]:
    """All weights, multiplied: what a step of a far too high rate leaves."""

    def plant(run: Any) -> None:
        with torch.no_grad():
            for weight in run.state.model.parameters():
                weight.mul_(factor)

    return plant


def random_jump(run: Any) -> None:
    """All weights moved by random numbers, as one step of 100 times the rate does."""
    draw = torch.Generator().manual_seed(run.state.step)
    with torch.no_grad():
        for weight in run.state.model.parameters():
            weight.add_(torch.randn(weight.shape, generator=draw))


def in_final_norm(run: Any) -> None:
    """NaN in a weight that every loss touches."""
    run.state.model.final_norm.weight.detach()[0] = float("nan")


PLANTS: dict[str, Plant] = {
    "NaN in a gradient": in_gradient(float("nan")),
    "infinity in a gradient": in_gradient(float("inf")),
    "NaN in a weight": at_once(in_final_norm),
    "NaN in a weight that the loss does not touch": at_once(
        lambda run: unused_row(run).fill_(float("nan"))
    ),
    "infinity there": at_once(lambda run: unused_row(run)[:1].fill_(float("inf"))),
    "NaN in a moment": at_once(lambda run: moment(run)[:1].fill_(float("nan"))),
    "infinity in a moment": at_once(lambda run: moment(run)[:1].fill_(float("inf"))),
    "weights times 100": at_once(scaled_weights(100.0)),
    "weights moved at random": at_once(random_jump),
    "15 batches of random tokens": random_batches(15),
}


def make_job(text: Path, folder: Path, optimizer: str) -> Any:
    """A run of a few hundred steps."""
    import saves

    from descend.config import make_config
    from descend.training.training_run import create_run

    keys = {"corpus_dir": str(text), "optimizer": optimizer, "epoch": 24, "vocab_size": None,
            "tokenizer": "byte", "architecture": "modern", "batch_size": 16}  # fmt: skip
    return create_run(make_config(saves.TINY | keys), folder)


def is_bad(folder: Path) -> list[str]:
    """Files of checkpoints with a number that is not finite."""
    from safetensors.torch import load

    bad = []
    for path in folder.rglob("*.safetensors"):
        tensors = load(path.read_bytes())
        if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
            bad.append(str(path.relative_to(folder)))
    return bad


def run_case(run: Any, plant: Plant | None, at: int) -> dict[str, Any]:
    """Train with a fault planted after step `at`; what came of it."""
    from descend.errors import DivergedError
    from descend.runs.events import CheckpointSaved, Rollback, Step
    from descend.runs.run_folder import read_summary
    from descend.training.trainer import run_training

    fired: list[int] = []
    bad: list[str] = []
    planted, rollbacks, ended, loss = False, 0, "finished", None
    try:
        for record in run_training(run):
            if isinstance(record, Step) and record.step == at and plant and not planted:
                plant(run, fired)
                planted = True
            elif isinstance(record, Rollback):
                rollbacks += 1
            elif isinstance(record, CheckpointSaved) and planted:
                bad += is_bad(run.folder / "checkpoints")
        bad += is_bad(run.folder)
        loss = read_summary(run.folder).validation_loss
    except DivergedError as problem:
        ended = str(problem)[:120]
    return {"loss": loss, "bad": bad, "rollbacks": rollbacks, "fired": bool(fired), "ended": ended}


def summarize(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts by plant, and the cases that are not as promised."""
    close = [c["off_nats"] is not None and c["off_nats"] <= TOLERANCE_NATS for c in cases]
    plants = {}
    for name in dict.fromkeys(c["plant"] for c in cases):
        rows = [(c, near) for c, near in zip(cases, close, strict=True) if c["plant"] == name]
        off = [c["off_nats"] for c, _ in rows if c["off_nats"] is not None]
        plants[name] = (
            f"{sum(near for _, near in rows)} of {len(rows)}, at most {max(off, default=None)} nats"
        )
    fine = [near and c["fired"] and not c["bad"] for c, near in zip(cases, close, strict=True)]
    return {
        "total": len(cases), "bad_checkpoints": sum(bool(c["bad"]) for c in cases),
        "bound": bound_of_zero(len(cases)), "not_fired": sum(not c["fired"] for c in cases),
        "within_tolerance": sum(close), "share": round(sum(close) / len(cases), 3),
        "rollbacks": sum(c["rollbacks"] for c in cases), "plants": plants,
        "not_as_promised": [c for c, good in zip(cases, fine, strict=True) if not good],
    }  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__, short="each plant once", has_parts=True)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    cases: list[dict[str, Any]] = []
    with scratch_folder() as place:
        import saves

        from descend.training import trainer

        text = place / "text.txt"
        saves.write_text(text)
        clean = {o: run_case(make_job(text, place / o, o), None, 0)["loss"]
                 for o in ("adamw", "muon")}  # fmt: skip
        trainer.TimeBudget.is_due = lambda self: True  # type: ignore[method-assign]
        every = [(name, optimizer, at) for name in PLANTS for optimizer in clean for at in STEPS]
        chosen = [case for n, case in enumerate(every) if n % 6 == (n // 6) % 6]
        rest = [] if arguments.short else [case for case in every if case not in chosen]
        planned = [*chosen, *rest][arguments.after :]
        for name, optimizer, at in begin_within(arguments.minutes, planned):
            folder = place / "case"
            result = run_case(make_job(text, folder, optimizer), PLANTS[name], at)
            shutil.rmtree(folder)
            off = None if result["loss"] is None else round(result["loss"] - clean[optimizer], 4)
            cases.append({"plant": name, "optimizer": optimizer, "step": at, "off_nats": off} | {
                k: result[k] for k in ("bad", "rollbacks", "fired", "ended")})  # fmt: skip
            print(cases[-1], file=sys.stderr, flush=True)
    result = {"planned": len(planned), **summarize(cases)}
    name = "divergence_rest" if arguments.after else "divergence"
    store(name, result | {"clean_losses": {k: round(v, 4) for k, v in clean.items()}},
          arguments.out)  # fmt: skip
    failed = result["bad_checkpoints"] or result["not_fired"] or result["share"] < MIN_SHARE
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
