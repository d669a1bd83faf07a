"""The `fast` recipe, one change at a time: what each of its decisions is worth.

    python benchmarks/recipe_ablation.py RESULTS TEXT[,TEXT…] [--seeds 1,2,3] [--only WORD,…]
        [--now]
    python benchmarks/recipe_ablation.py RESULTS TEXT --times ROUNDS [--now]
    python benchmarks/recipe_ablation.py RESULTS TEXT[,TEXT…] --many-epochs
    python benchmarks/recipe_ablation.py RESULTS TEXT[,TEXT…] --bpe-dropout

Each variant is the recipe with one change, on the first 200,000 bytes of each text, with a network
and steps of a quarter of the guide's: small enough for three seeds on three texts. Seeds share
initial weights, order of the data and validation text, so differences are paired. `passes …` are
the recipe itself made shorter or longer: they tell how many passes a difference is worth. Each run
adds a line to RESULTS/ablation.jsonl; what is there is not run again. The loss does not depend on
how busy the machine is; the time of a step does, so it is the tenth percentile of a run, and
compared between variants only by `--times`: all of them take some steps in turn, round by round,
for RESULTS/ablation_times.json. Without `--now` the recipe is that of the day when the ablation was
first made; with it the present one, in float32, with other changes, in files of their own
(ablation_now.jsonl, ablation_now_times.json). With `--many-epochs` it is the present one with eight
passes over the text and a fifth of the tokens hidden, as a plan has it where the text is the limit
(ablation_many_epochs.jsonl). With `--bpe-dropout` it is the present one with six passes
(ablation_bpe_dropout.jsonl).
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.config import make_config
from descend.machine import Execution, cpu_name, package_versions
from descend.model import initialization
from descend.runs.events import Epoch, Step
from descend.training import loop, lr_schedule, muon, optimizers, train_plan
from descend.training.cuda_graphs import LossFn
from descend.training.loop import train
from descend.training.loss import cross_entropy, next_token_loss
from descend.training.training_run import TrainingRun, create_run

BYTES = 200_000
STEPS = 12
"""Of each variant in a round of `--times`."""
SIZES: dict[str, Any] = {
    "embed_dim": 128, "num_heads": 4, "num_layers": 2, "ff_dim": 512, "max_seq_len": 64,
    "seq_len": 64, "batch_size": 8, "vocab_size": 1024, "epoch": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """A change of settings, and of constants of the recipe: (module, name) to value."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    constants: dict[tuple[Any, str], Any] = field(default_factory=dict)
    averaged: float = 0.0
    """Fraction of the run, at its end, over which the weights that are judged are averaged."""
    begun: Callable[[TrainingRun], None] = lambda run: None
    """What is done before the first step."""


def _every_second(
    self: muon.Muon, weights: list[Tensor], rate: float, momentum: float, decay: float
) -> None:
    """Muon's rule, but a direction serves for two steps: half of the matrix products."""
    for p, direction in zip(weights, self._nesterov_momentum(weights, momentum), strict=True):
        state = self.state[p]
        made = state.get("steps", 0)
        if made % 2 == 0:
            state["direction"] = muon.orthogonalize(direction[None].to(self.dtype))[0]
        state["steps"] = made + 1
        scale = max(1.0, p.shape[0] / p.shape[1]) ** 0.5
        p.mul_(1 - rate * decay).add_(state["direction"], alpha=-rate * scale)


def _direction(
    self: muon.Muon, weights: list[Tensor], momentum: float
) -> Iterator[tuple[Tensor, Tensor, Tensor, float]]:
    """Weight, gradient, orthogonal direction and scale of each matrix, as Muon has them."""
    for p, direction in zip(weights, self._nesterov_momentum(weights, momentum), strict=True):
        assert p.grad is not None
        direction = muon.orthogonalize(direction[None].to(self.dtype))[0].to(p.dtype)
        yield p, p.grad, direction, max(1.0, p.shape[0] / p.shape[1]) ** 0.5


def _cautious(
    self: muon.Muon, weights: list[Tensor], rate: float, momentum: float, decay: float
) -> None:
    """Muon, but no weight moves against its gradient (Liang et al. 2024, "Cautious Optimizers")."""
    for p, gradient, direction, scale in _direction(self, weights, momentum):
        agree = (direction * gradient > 0).to(p.dtype)
        direction *= agree / agree.mean().clamp(min=1e-3)
        p.mul_(1 - rate * decay).add_(direction, alpha=-rate * scale)


def _per_neuron(
    self: muon.Muon, weights: list[Tensor], rate: float, momentum: float, decay: float
) -> None:
    """Muon, each row of the direction over its running size (Li et al. 2025, "NorMuon")."""
    for p, _, direction, scale in _direction(self, weights, momentum):
        state = self.state[p]
        num_updates = state["seen"] = state.get("seen", 0) + 1
        rows = state.setdefault("rows", torch.zeros(p.shape[0], 1))
        rows.lerp_(direction.square().mean(1, keepdim=True), 1 - 0.95)
        even = direction / (rows / (1 - 0.95**num_updates)).sqrt().clamp(min=1e-8)
        even *= direction.norm() / even.norm().clamp(min=1e-8)
        p.mul_(1 - rate * decay).add_(even, alpha=-rate * scale)


def _keys(size: float) -> Any:
    """The usual weights, but keys `size` times as large: each token first looks at all alike."""

    def fill(name: str, weight: Any, shape: Any, generator: Any) -> None:
        FILL(name, weight, shape, generator)
        if name.endswith("key.weight"):
            weight.mul_(size)

    return fill


def _counted(run: TrainingRun) -> None:
    """Embeddings and head begun from which token follows which: `COUNTED` steps of Adam on all
    pairs of the training text at once, smoothed by absolute discounting."""
    model, size = run.state.model, run.state.model.shape.vocab_size
    tokens = torch.from_numpy(np.asarray(run.store.train).astype(np.int64))
    pairs = torch.bincount(tokens[:-1] * size + tokens[1:], minlength=size * size)
    counts = pairs.view(size, size).float()
    uses, kinds = counts.sum(1, keepdim=True), (counts > 0).sum(1, keepdim=True)
    after = (counts > 0).sum(0) + 0.5
    after = after / after.sum()
    probabilities = ((counts - 0.75).clamp(min=0) + 0.75 * kinds * after) / uses.clamp(min=1)
    tables = [model.token_embedding.weight, model.head.weight]
    adam = torch.optim.Adam(tables, lr=0.05, betas=(0.9, 0.95))
    for step in range(COUNTED):
        adam.param_groups[0]["lr"] = 0.05 * min(1.0, 2 * (1 - step / COUNTED))
        adam.zero_grad()
        logits = model.head(model.final_norm(model.token_embedding.weight))
        (-(uses / uses.sum()) * probabilities * logits.log_softmax(-1)).sum().backward()  # type: ignore[no-untyped-call]
        adam.step()
    adam.zero_grad()


def _loss_of_two_tokens(execution: Execution) -> LossFn:
    """The gradient follows the token after next too, by `SECOND_TOKEN_WEIGHT` that falls to zero in
    two thirds of the run: multi-token prediction without further weights, as modded-nanogpt has it.
    The last position of a sequence follows the next token alone."""
    steps = itertools.count()

    def compute(model: Any, inputs_BT: Tensor, targets_BT: Tensor, smoothing: float) -> Any:
        weight = SECOND_TOKEN_WEIGHT * max(0.0, 1 - next(steps) / (STEPS_OF_A_RUN * 2 / 3))
        logits_NV = model(inputs_BT).flatten(0, 1)
        second_BT = torch.cat([targets_BT[:, 1:], targets_BT[:, -1:]], 1)
        expected_NV = torch.nn.functional.one_hot(second_BT.flatten(), logits_NV.shape[1])
        return cross_entropy(
            logits_NV, targets_BT.flatten(), smoothing, expected_NV.float(), weight
        )

    return compute


def _loss_of_short_sequences(execution: Execution) -> LossFn:
    """In the first third of the run each sequence is cut into two."""
    steps = itertools.count()

    def compute(model: Any, inputs_BT: Tensor, targets_BT: Tensor, smoothing: float) -> Any:
        if next(steps) < STEPS_OF_A_RUN / 3:
            half = inputs_BT.shape[1] // 2
            inputs_BT, targets_BT = inputs_BT.reshape(-1, half), targets_BT.reshape(-1, half)
        return next_token_loss(model, inputs_BT, targets_BT, smoothing)

    return compute


SECOND_TOKEN_WEIGHT = 1 / 3
STEPS_OF_A_RUN = 347
"""Of `NOW` on tiny Shakespeare; on the novels a few more or less."""

COUNTED = 10
JORDAN = (3.4445, -4.7750, 2.0315)
"""Of each Newton-Schulz step (Jordan et al. 2024)."""

POLAR_EXPRESS = (*muon.POLYNOMIALS, (3.3184196573706015, -2.488488024314874, 0.51004894012372))
"""The fourth of Amsel et al. 2025 as well."""


def _small_embeddings(name: str, weight: Any, shape: Any, generator: Any) -> None:
    FILL(name, weight, shape, generator)
    if name == "token_embedding.weight":
        weight.mul_(initialization.INIT_STD)


FILL = initialization._fill

AS_IT_WAS = {(muon, "POLYNOMIALS"): (JORDAN,) * 5, (muon, "SPECTRAL_NORM_MARGIN"): 1.0}
"""Of the recipe when the ablation was made; "Polar Express, three steps" is the present one."""


def _steps(*polynomials: tuple[float, float, float], safety: float) -> dict[tuple[Any, str], Any]:
    return {(muon, "POLYNOMIALS"): polynomials, (muon, "SPECTRAL_NORM_MARGIN"): safety}


VARIANTS = (
    Variant("the recipe"),
    *(Variant(f"passes {n}", {"epoch": n}) for n in (1, 2, 4)),
    Variant("AdamW 0.001", {"optimizer": "adamw"}),
    Variant("AdamW 0.003", {"optimizer": "adamw", "learning_rate": 0.003}),
    Variant("GPT-2's network", {"architecture": "gpt"}),
    Variant(
        "embeddings of deviation 0.02", constants={(initialization, "_fill"): _small_embeddings}
    ),
    Variant("Muon's rate x 2", constants={(optimizers, "MUON_LR_MULTIPLIER"): 40.0}),
    Variant("Muon's rate / 2", constants={(optimizers, "MUON_LR_MULTIPLIER"): 10.0}),
    Variant("rate of the rest x 2", constants={(optimizers, "MUON_ADAMW_LR_MULTIPLIER"): 20.0}),
    Variant("rate of the rest / 2", constants={(optimizers, "MUON_ADAMW_LR_MULTIPLIER"): 5.0}),
    Variant("momentum 0.9", constants={(optimizers, "MUON_MOMENTUM"): 0.9}),
    Variant("cosine", {"schedule": "cosine"}),
    Variant("constant rate", {"schedule": "constant"}),
    Variant("last tenth averaged", averaged=0.1),
    Variant("constant rate, last fifth averaged", {"schedule": "constant"}, averaged=0.2),
    Variant("decay over the last fifth", constants={(lr_schedule, "WSD_DECAY_FRACTION"): 0.2}),
    Variant("no warm-up", {"warmup_steps": 0}),
    Variant("half the batch", {"batch_size": 4}),
    Variant("twice the batch", {"batch_size": 16}),
    Variant("dropout 0.1", {"dropout_rate": 0.1}),
    Variant("blank rate 0.1", {"token_dropout": 0.1}),
    Variant("label smoothing 0.1", {"label_smoothing": 0.1}),
    Variant("no weight decay", {"weight_decay": 0.0}),
    Variant("weight decay x 5", {"weight_decay": 0.5}),
    Variant("no clipping", {"gradient_clip": 0.0}),
    Variant("eight heads", {"num_heads": 8}),
    Variant("vocabulary 512", {"vocab_size": 512}),
    Variant("vocabulary 2,048", {"vocab_size": 2048}),
    Variant("vocabulary 4,096", {"vocab_size": 4096}),
    Variant("a direction for two steps", constants={(muon.Muon, "_move"): _every_second}),
    Variant("four Newton-Schulz steps", constants=_steps(*(JORDAN,) * 4, safety=1.0)),
    Variant("three Newton-Schulz steps", constants=_steps(*(JORDAN,) * 3, safety=1.0)),
    Variant("Polar Express, four steps", constants=_steps(*POLAR_EXPRESS, safety=1.01)),
    Variant("Polar Express, three steps", constants=_steps(*POLAR_EXPRESS[:3], safety=1.01)),
)

LATER = (
    Variant("the recipe"),
    *(Variant(f"passes {n}", {"epoch": n}) for n in (1, 2, 4)),
    Variant("cautious Muon", constants={(muon.Muon, "_move"): _cautious}),
    Variant("NorMuon", constants={(muon.Muon, "_move"): _per_neuron}),
    Variant("keys a tenth", constants={(initialization, "_fill"): _keys(0.1)}),
    Variant("keys a hundredth", constants={(initialization, "_fill"): _keys(0.01)}),
    Variant("begun from counts", begun=_counted),
    Variant("two tokens ahead", constants={(train_plan, "make_loss_fn"): _loss_of_two_tokens}),
    Variant(
        "half sequences at first",
        constants={(train_plan, "make_loss_fn"): _loss_of_short_sequences},
    ),
    Variant("one pass, begun from counts", {"epoch": 1}, begun=_counted),
)

MANY_EPOCHS_VARIANTS = (
    Variant("eight passes"),
    *(Variant(f"weight decay {decay}", {"weight_decay": decay}) for decay in (0.4, 0.8, 1.6)),
    Variant("last fifth averaged", averaged=0.2),
    Variant("constant rate, last fifth averaged", {"schedule": "constant"}, averaged=0.2),
    Variant("passes 5", {"epoch": 5}),
    Variant("passes 12", {"epoch": 12}),
    Variant("passes 12, weight decay 0.8", {"epoch": 12, "weight_decay": 0.8}),
    Variant("dropout 0.1", {"dropout_rate": 0.1}),
)


@dataclass(frozen=True)
class Ablation:
    """The recipe that variants change, and what is changed in each."""

    name: str
    """Of its files."""
    variants: tuple[Variant, ...]
    settings: dict[str, Any]
    constants: dict[tuple[Any, str], Any]

    def constants_of(self, variant: Variant) -> dict[tuple[Any, str], Any]:
        return self.constants | variant.constants


THEN = Ablation("ablation", VARIANTS, SIZES | {"precision": "bfloat16"}, AS_IT_WAS)
NOW = Ablation("ablation_now", LATER, SIZES | {"precision": "float32", "vocab_size": 2048}, {})
"""`--now`: the present recipe."""
MANY_EPOCHS = Ablation(
    "ablation_many_epochs", MANY_EPOCHS_VARIANTS,
    NOW.settings | {"epoch": 8, "token_dropout": 0.2}, {},
)  # fmt: skip
"""`--many-epochs`: the present recipe where the text is the limit."""
BPE_DROPOUT = Ablation(
    "ablation_bpe_dropout",
    (
        Variant("none at a low rate"),
        Variant("falls to the last step", constants={(loop, "MIN_DROPOUT_RATE"): 0.0}),
        Variant("no BPE-dropout", {"bpe_dropout": 0.0}),
    ),
    NOW.settings | {"epoch": 6}, {},
)  # fmt: skip
"""`--bpe-dropout`: the present recipe, and BPE-dropout that falls to none only at the end."""


@contextmanager
def changed(constants: dict[tuple[Any, str], Any]) -> Iterator[None]:
    """The recipe with other constants, for as long as it lasts."""
    before = {place: getattr(*place) for place in constants}
    try:
        for place, value in constants.items():
            setattr(*place, value)
        yield
    finally:
        for place, value in before.items():
            setattr(*place, value)


def begun(ablation: Ablation, variant: Variant, text: Path, seed: int) -> TrainingRun:
    """A variant before its first step; to be called, and trained, with its constants `changed`."""
    torch.set_num_threads(1)
    config = make_config(
        ablation.settings | {"corpus_dir": str(text), "seed": seed} | variant.settings
    )
    run = create_run(config, Path("none"))
    variant.begun(run)
    return run


def trained(run: TrainingRun, averaged: float) -> tuple[list[Any], dict[str, Tensor]]:
    """What training records, and the mean of the weights over its last `averaged` share."""
    records: list[Any] = []
    mean: dict[str, Tensor] = {}
    for step_records in train(run.state, run.plan):
        records += step_records
        ahead = run.state.step - (1 - averaged) * run.plan.total_steps
        if ahead > 0:
            weights = run.state.model.state_dict()
            mean = mean or {name: w.clone() for name, w in weights.items()}
            for name, w in weights.items():
                mean[name].lerp_(w, 1 / ahead if ahead > 1 else 1.0)
    return records, mean


def run(ablation: Ablation, variant: Variant, text: Path, seed: int) -> dict[str, object]:
    """The validation bits per byte after each pass, and what a step took."""
    with changed(ablation.constants_of(variant)):
        training_run = begun(ablation, variant, text, seed)
        records, mean = trained(training_run, variant.averaged)
    epochs = [r.bits_per_byte for r in records if isinstance(r, Epoch)]
    if mean:
        training_run.state.model.load_state_dict(mean)
        assert training_run.plan.evaluate
        epochs[-1] = training_run.plan.evaluate(training_run.state.model).bits_per_byte
    steps = [r.seconds for r in records if isinstance(r, Step)]
    return {
        "variant": variant.name, "text": text.stem, "seed": seed, "steps": len(steps),
        "bits_per_byte": [round(b, 4) for b in epochs],
        "step_milliseconds": round(1000 * float(np.quantile(steps, 0.1)), 2),
    }  # fmt: skip


def step_times(ablation: Ablation, text: Path, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of a step of each variant, round by round; in a round each is asked in turn."""
    runs = []
    for variant in ablation.variants:
        with changed(ablation.constants_of(variant)):
            run = begun(ablation, variant, text, 1)
            runs.append((variant, train(run.state, run.plan)))
    milliseconds: dict[str, list[float]] = {variant.name: [] for variant in ablation.variants}
    for _ in range(1 + rounds):  # the first to warm up
        for variant, records in runs:
            with changed(ablation.constants_of(variant)):
                took = [r.seconds for _ in range(STEPS) for r in next(records)
                        if isinstance(r, Step)]  # fmt: skip
            milliseconds[variant.name].append(round(1000 * float(np.median(took)), 2))
    return {name: times[1:] for name, times in milliseconds.items()}


def write_times(results: Path, text: Path, ablation: Ablation, rounds: int) -> None:
    """The times of its steps."""
    now = " --now" if ablation.name == NOW.name else ""
    record = {
        "command": (
            f"python benchmarks/recipe_ablation.py RESULTS {text.name}{now} --times {rounds}"
        ),
        "machine": {"processor": cpu_name(), "threads": 1, "versions": package_versions()},
        "milliseconds": step_times(ablation, text, rounds),
    }
    (results / f"{ablation.name}_times.json").write_text(json.dumps(record, indent=1) + "\n")


def beginning(source: Path, folder: Path) -> Path:
    """The first `BYTES` of a text, in a file of the same name."""
    text = folder / source.name
    text.write_text(source.read_bytes()[:BYTES].decode("utf-8", errors="ignore"), encoding="utf-8")
    return text


def climb(results: Path, texts: list[Path], ablation: Ablation, seeds: list[int]) -> None:
    """Add what is not there yet to the file of the ablation in RESULTS."""
    table = results / f"{ablation.name}.jsonl"
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    done = {(r["variant"], r["text"], r["seed"]) for r in map(json.loads, lines)}
    for seed, text, variant in itertools.product(seeds, texts, ablation.variants):
        if (variant.name, text.stem, seed) in done:
            continue
        row = run(ablation, variant, text, seed)
        with table.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        print(row, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("texts", help="files, separated by commas")
    parser.add_argument("--times", type=int, default=0, help="rounds in which steps are timed")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--only", default="", help="variants whose name holds one of these words")
    parser.add_argument("--now", action="store_true", help="changes of the present recipe")
    parser.add_argument("--many-epochs", action="store_true", help="many epochs")
    parser.add_argument("--bpe-dropout", action="store_true", help="the end of BPE-dropout")
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    ablation = THEN
    for is_chosen, other in (
        (args.now, NOW), (args.many_epochs, MANY_EPOCHS), (args.bpe_dropout, BPE_DROPOUT)
    ):  # fmt: skip
        ablation = other if is_chosen else ablation
    variants = (
        r for r in ablation.variants if any(word in r.name for word in args.only.split(","))
    )
    ablation = replace(ablation, variants=tuple(variants))
    with tempfile.TemporaryDirectory() as folder:
        texts = [beginning(Path(source), Path(folder)) for source in args.texts.split(",")]
        if args.times:
            write_times(args.results, texts[0], ablation, args.times)
        else:
            climb(args.results, texts, ablation, [int(seed) for seed in args.seeds.split(",")])


if __name__ == "__main__":
    main()
