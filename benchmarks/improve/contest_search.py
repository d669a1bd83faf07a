"""Searches of the contest: many short trials, then the best configuration in the time left.

    python benchmarks/improve/contest_search.py NAME TEXT SECONDS SEED FOLDER [--set KEY=VALUE]…

NAME: `search` (the package's own), `random_search`, or `tpe` (Optuna's TPE with its median pruner).
A trial runs like those of `improve`: one thread, as many steps as its fraction of the time holds by
the measured rates of this machine. The best configuration is trained into FOLDER. What `--set`
names is fixed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()

import optuna  # noqa: E402

import descend  # noqa: E402
from descend.api.run_training import train_planned  # noqa: E402
from descend.config import RunConfig, make_config  # noqa: E402
from descend.data.prepare import prepare_documents  # noqa: E402
from descend.errors import ConfigError, DescendError  # noqa: E402
from descend.model.shape import shape_from_run_config  # noqa: E402
from descend.planner.axes import heads_for  # noqa: E402
from descend.planner.corpus_profile import fitting_vocabularies  # noqa: E402
from descend.planner.machine_benchmark import benchmark_machine  # noqa: E402
from descend.planner.step_time import StepTimeModel, StepWorkload  # noqa: E402
from descend.training.recipe import choose_vocabulary  # noqa: E402
from descend.trials.cached_trial import run_trial  # noqa: E402
from descend.trials.trial_spec import EvalPoint, make_trial_spec  # noqa: E402

STARTUP_SECONDS = 2.0
"""From the key press to the first line above: Python and torch are loaded."""
SEARCH_FRACTION = 0.5
"""Of the time, for the trials; the rest goes into the last training."""
TRIALS = 16
"""That the time of the search holds."""
EVALUATIONS = 4
WIDTHS = (64, 96, 128, 160, 192, 256)


def draw_config(trial: optuna.Trial, base: dict[str, Any], vocabularies: tuple[int, ...]) -> Any:
    """A configuration of the space that `improve` moves in."""
    width = trial.suggest_categorical("embed_dim", WIDTHS)
    context = trial.suggest_categorical("seq_len", (64, 128))
    return base | {
        "embed_dim": width, "num_heads": heads_for(width), "ff_dim": 4 * width,
        "num_layers": trial.suggest_int("num_layers", 2, 6),
        "seq_len": context, "max_seq_len": context,
        "vocab_size": trial.suggest_categorical("vocab_size", vocabularies),
        "batch_size": trial.suggest_categorical("batch_size", (4, 8, 16, 32)),
        "learning_rate": trial.suggest_float("learning_rate", 2e-4, 4e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 0.02, 0.8, log=True),
        "token_dropout": trial.suggest_float("token_dropout", 0.0, 0.3),
        "bpe_dropout": trial.suggest_float("bpe_dropout", 0.0, 0.2),
        "dropout_rate": trial.suggest_float("dropout_rate", 0.0, 0.2),
        "optimizer": trial.suggest_categorical("optimizer", ("muon", "adamw")),
        "architecture": trial.suggest_categorical("architecture", ("modern", "gpt")),
    }  # fmt: skip


def count_steps(config: RunConfig, rates: StepTimeModel, seconds: float) -> int:
    """Steps of `config` that fit into `seconds`."""
    assert config.vocab_size is not None
    shape = shape_from_run_config(config, config.vocab_size)
    work = StepWorkload(shape, config.batch_size, config.seq_len, config.optimizer == "muon")
    return max(4, int(seconds / rates.seconds(work)))


def search_configs(
    name: str, base: dict[str, Any], seconds: float, ends: float, rates: StepTimeModel
) -> dict[str, Any]:
    """The best configuration of as many trials as `ends` (by `time.perf_counter`) allows."""
    vocabularies = fitting_vocabularies(prepare_documents(make_config(base)).train_bytes)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    is_tpe = name == "tpe"
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=base["seed"], n_startup_trials=5)
        if is_tpe
        else optuna.samplers.RandomSampler(seed=base["seed"]),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4)
        if is_tpe
        else optuna.pruners.NopPruner(),
    )
    best: tuple[float, dict[str, Any]] = (
        float("inf"), draw_config(study.ask(), base, vocabularies),
    )  # fmt: skip
    while time.perf_counter() + seconds / 2 < ends:
        trial = study.ask()
        keys = draw_config(trial, base, vocabularies)
        config = make_config(keys)
        steps = count_steps(config, rates, seconds)
        every = max(1, steps // EVALUATIONS)

        def should_prune(point: EvalPoint, trial: optuna.Trial = trial, every: int = every) -> bool:
            trial.report(point.bits_per_byte, point.step // every)
            return trial.should_prune() or time.perf_counter() > ends

        try:
            result = run_trial(
                make_trial_spec(config, steps=steps, evaluate_every=every), should_prune
            )
        except DescendError:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, result.bits_per_byte)
        if result.bits_per_byte < best[0]:
            best = (result.bits_per_byte, keys)
    return best[1]


def train_best(keys: dict[str, Any], seconds: float, rates: StepTimeModel, folder: str) -> None:
    """Train the configuration that was chosen, for `seconds`."""
    began = time.perf_counter()
    steps = count_steps(make_config(keys), rates, SPARE_STEPS * seconds)
    config = make_config(keys | {
        "minutes": max(seconds, MIN_SECONDS) / 60, "max_steps": steps, "save_dir": folder,
        "log_level": "error",
    })  # fmt: skip
    train_planned(None, config, "fast", None, began)


SPARE_STEPS, MIN_SECONDS = 2.0, 3.0
"""Times the steps that are expected, that may be made; the least that a training gets."""


def main() -> None:
    """Search, then train the best for the time left."""
    name, text, total, seed, folder = sys.argv[1:6]
    began = BEGAN - STARTUP_SECONDS
    seconds = float(total)
    fixed = [word for word in sys.argv[6:] if word != "--set"]
    base: dict[str, Any] = {"corpus_dir": text, "seed": int(seed)}
    base |= {key: float(value) for key, _, value in (pair.partition("=") for pair in fixed)}
    share = SEARCH_FRACTION * seconds
    rates = benchmark_machine("cpu").rates
    if name == "search":
        study = str(Path(folder).parent / "search")
        keys = dict(base)
        try:
            result = descend.search(base, minutes=share / 60 * 0.75, seeds=1, save_dir=study)
        except ConfigError as refusal:  # too little time for it: its base is trained at once
            print(refusal, file=sys.stderr)
        else:
            defaults = make_config(base).model_dump(mode="json")
            keys |= {k: v for k, v in result.best.items() if v != defaults.get(k)}
        keys.setdefault(
            "vocab_size", choose_vocabulary(make_config(keys), Path(text).stat().st_size)
        )
    else:
        keys = search_configs(name, base, share / TRIALS, began + share, rates)
    train_best(keys, began + seconds - time.perf_counter(), rates, folder)


if __name__ == "__main__":
    main()
