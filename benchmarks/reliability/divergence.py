"""60 planted divergences: no bad checkpoint, and the loss of the clean twin at the end.

    python benchmarks/reliability/divergence.py [--short] [--out FILE]

Each case plants one fault into a run, which saves after every step. Every number of every
checkpoint must be finite. At the end the validation loss is compared with that of the same run
without the fault. The exit code is 1 for a bad checkpoint, or if under 95 % end within 0.05 nat.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stored import bound_of_zero, scratch_folder, store

STEPS = (9, 40, 120)
TOLERANCE_NATS = 0.05
MIN_SHARE = 0.95


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


def in_gradient(value: float) -> Callable[[Any], None]:
    """One number of one gradient of the next step."""

    def plant(run: Any) -> None:
        weight = next(run.state.model.parameters())

        def change(gradient: torch.Tensor) -> torch.Tensor:
            handle.remove()
            changed = gradient.clone()
            changed.view(-1)[3] = value
            return changed

        handle = weight.register_hook(change)

    return plant


def bad_batches(kind: str, count: int) -> Callable[[Any], None]:
    """The next `count` batches are of random tokens, or of one token."""

    def plant(run: Any) -> None:
        batches, first = run.plan.batches, run.state.step
        good, vocab_size = batches.batch, run.store.tokenizer.vocab_size
        draw = np.random.default_rng(first)

        def batch(step: int) -> Any:
            tokens = good(step)
            if not first <= step < first + count:
                return tokens
            if kind == "random":
                return draw.integers(0, vocab_size, tokens.shape, dtype=np.int64)
            return np.full_like(tokens, 7)

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


PLANTS: dict[str, Callable[[Any], object]] = {
    "NaN in a gradient": in_gradient(float("nan")),
    "infinity in a gradient": in_gradient(float("inf")),
    "NaN in a weight": in_final_norm,
    "NaN in a weight that the loss does not touch": lambda r: unused_row(r).fill_(float("nan")),
    "infinity there": lambda r: unused_row(r)[:1].fill_(float("inf")),
    "NaN in a moment": lambda r: moment(r)[:1].fill_(float("nan")),
    "infinity in a moment": lambda r: moment(r)[:1].fill_(float("inf")),
    "weights times 100": scaled_weights(100.0),
    "weights moved at random": random_jump,
    "15 batches of random tokens": bad_batches("random", 15),
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


def run_case(run: Any, plant: Callable[[Any], object] | None, at: int) -> dict[str, Any]:
    """Train with a fault planted after step `at`; what came of it."""
    from descend.errors import DivergedError
    from descend.runs.events import CheckpointSaved, Rollback, Step
    from descend.runs.run_folder import read_summary
    from descend.training.trainer import run_training

    fired, bad, rollbacks = plant is None, [], 0
    try:
        for record in run_training(run):
            if isinstance(record, Step) and record.step == at and not fired:
                assert plant is not None
                plant(run)
                fired = True
            elif isinstance(record, Rollback):
                rollbacks += 1
            elif isinstance(record, CheckpointSaved) and fired and plant is not None:
                bad += is_bad(run.folder / "checkpoints")
    except DivergedError as problem:
        return {"loss": None, "bad": bad, "rollbacks": rollbacks, "fired": fired,
                "ended": str(problem)[:120]}  # fmt: skip
    bad += is_bad(run.folder)
    loss = read_summary(run.folder).validation_loss
    return {"loss": loss, "bad": bad, "rollbacks": rollbacks, "fired": fired, "ended": "finished"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="each plant once")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no more after them")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
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
        planned = [*chosen, *rest]
        for name, optimizer, at in planned:
            if time.monotonic() > until:
                break
            folder = place / "case"
            result = run_case(make_job(text, folder, optimizer), PLANTS[name], at)
            shutil.rmtree(folder)
            off = None if result["loss"] is None else round(result["loss"] - clean[optimizer], 4)
            cases.append({"plant": name, "optimizer": optimizer, "step": at, "off_nats": off} | {
                k: result[k] for k in ("bad", "rollbacks", "fired", "ended")})  # fmt: skip
            print(cases[-1], file=sys.stderr, flush=True)
    close = sum(c["off_nats"] is not None and c["off_nats"] <= TOLERANCE_NATS for c in cases)
    bad = sum(bool(c["bad"]) for c in cases)
    not_fired = sum(not c["fired"] for c in cases)
    store("divergence", {
        "total": len(cases), "planned": len(planned), "bad_checkpoints": bad,
        "bound": bound_of_zero(len(cases)),
        "not_fired": not_fired, "within_tolerance": close, "share": round(close / len(cases), 3),
        "clean_losses": {k: round(v, 4) for k, v in clean.items()}, "cases": cases,
    }, arguments.out)  # fmt: skip
    sys.exit(1 if bad or not_fired or close < MIN_SHARE * len(cases) else 0)


if __name__ == "__main__":
    main()
