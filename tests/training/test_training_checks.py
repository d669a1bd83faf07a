"""Training passes its checks in each kind of network, and what is broken on purpose does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from descend.config import make_config
from descend.data import batches
from descend.data.batches import BatchSampler
from descend.errors import SelfCheckError
from descend.machine import Execution
from descend.model import transformer
from descend.model.initialization import initialize
from descend.model.shape import shape_from_run_config
from descend.model.transformer import Transformer
from descend.training import loop, loss, state_snapshot
from descend.training.lr_schedule import make_lr_schedule
from descend.training.optimizers import make_optimizers
from descend.training.precision import make_grad_scaler
from descend.training.train_plan import TrainPlan
from descend.training.train_state import TrainState

from .training_checks import check_training

SMALL = {"embed_dim": 16, "num_heads": 2, "num_layers": 2, "ff_dim": 32, "max_seq_len": 32,
         "seq_len": 16, "batch_size": 4, "vocab_size": 300, "epoch": 1, "warmup_steps": 3,
         "precision": "float32"}  # fmt: skip

TEXT = np.random.default_rng(0).integers(0, 300, 2000).astype(np.uint16)

Made = tuple[TrainState, TrainPlan]


def made(**changes: Any) -> Made:
    """What is ready for its first step."""
    config = make_config({**SMALL, "dropout_rate": 0.2, **changes})
    assert config.precision != "auto"
    kernel = "matmul" if config.attention == "auto" else config.attention
    execution = Execution("cpu", config.precision, kernel, 1, torch.__version__, "any")
    model = Transformer(
        shape_from_run_config(config, 300), config.dropout_rate, execution.attention
    )
    initialize(model, 0)
    model.train()
    plan = BatchSampler(TEXT, config.seq_len, config.batch_size, 0)
    steps = plan.steps(1)
    rate = make_lr_schedule(config, config.warmup_steps or 0, steps, plan.epoch_at_step)
    train_plan = TrainPlan(config, execution, plan, 1, steps, rate, None)
    return (
        TrainState(model, make_optimizers(model, config), make_grad_scaler(execution)),
        train_plan,
    )


def refused(words: str, ready: Made, loaded: dict[str, torch.Tensor] | None = None) -> None:
    """The checks name it."""
    with pytest.raises((AssertionError, SelfCheckError), match=words):
        check_training(*ready, 300, loaded)


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "bfloat16"},
        {"precision": "float16"},
        {"attention": "fused"},
        {
            "label_smoothing": 0.3,
            "gradient_accumulation_steps": 3,
            "token_dropout": 0.2,
            "gradient_clip": 0.0,
        },
    ],
)
def test_check_training_accepts_and_changes_no_bit_when_nothing_is_wrong(
    architecture: str, optimizer: str, changes: dict[str, Any]
) -> None:
    state, plan = made(architecture=architecture, optimizer=optimizer, **changes)
    model = state.model
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    tokens, scaler = TEXT.copy(), state.scaler.state_dict()
    numbers, groups = torch.get_rng_state(), [str(o.state_dict()) for o in state.optimizers]
    numpys = np.random.get_state()[1].copy()  # type: ignore[union-attr,call-overload]
    check_training(state, plan, 300, None)
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())
    assert torch.equal(numbers, torch.get_rng_state())
    assert np.array_equal(numpys, np.random.get_state()[1])  # type: ignore[call-overload]
    assert np.array_equal(tokens, TEXT)
    assert all(part.training for part in model.modules())
    assert all(weight.grad is None for weight in model.parameters())
    assert [str(o.state_dict()) for o in state.optimizers] == groups
    assert state.scaler.state_dict() == scaler
    assert state.step == 0
    check_training(state, plan, 300, before)


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("number", [0.0, 1e30, float("nan")])
def test_check_training_accepts_any_trained_weights(architecture: str, number: float) -> None:
    """A run that is resumed on its way out of an explosion, or a model that learned nothing."""
    state, plan = made(architecture=architecture)
    with torch.no_grad():
        for weight in state.model.parameters():
            weight.fill_(number)
    check_training(state, plan, 300, {n: w.clone() for n, w in state.model.named_parameters()})


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("later", [2, 99])
def test_check_training_detects_leaking_mask(
    architecture: str, later: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_far(T: int, S: int, like: torch.Tensor) -> torch.Tensor:
        return torch.full((T, S), -torch.inf, dtype=like.dtype).triu(S - T + later)

    monkeypatch.setattr(transformer, "_future_mask", too_far)
    refused("later token", made(architecture=architecture))


def test_check_training_detects_dropout_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: F.dropout(x, self.p))
    refused("from call to call", made(architecture="gpt"))


def test_check_training_rejects_large_weights_only_when_fresh() -> None:
    state, plan = made(architecture="gpt")
    with torch.no_grad():
        state.model.final_norm.weight.mul_(100)
    refused("first loss", (state, plan))
    check_training(state, plan, 300, dict(state.model.named_parameters()))


@pytest.mark.parametrize("width", [8, 1024, 4096])
def test_check_training_accepts_wide_network_with_two_tokens(width: int) -> None:
    state, plan = made(architecture="gpt", embed_dim=width, num_layers=1, optimizer="adamw")
    check_training(state, replace(plan, batches=replace(plan.batches, tokens=TEXT % 2)), 300, None)


def without_a_weight(state: TrainState) -> None:
    state.optimizers[0].param_groups[0]["params"].pop()


def frozen(state: TrainState) -> None:
    state.model.blocks[0].ff_norm.weight.requires_grad_(False)


def still(state: TrainState) -> None:
    state.model.blocks[1].eval()


def decaying(state: TrainState) -> None:
    state.optimizers[0].param_groups[1]["weight_decay"] = 0.1


def equal_rows(state: TrainState) -> None:
    with torch.no_grad():
        state.model.blocks[1].ff.up.weight[7] = state.model.blocks[1].ff.up.weight[20]


def equal_columns(state: TrainState) -> None:
    with torch.no_grad():
        state.model.blocks[1].attention.key.weight[:, 9] = state.model.blocks[
            1
        ].attention.key.weight[:, 4]


def constant(state: TrainState) -> None:
    torch.nn.init.constant_(state.model.blocks[0].attention.value.weight, 0.02)


def without_moments(state: TrainState) -> None:
    state.step = 5


@pytest.mark.parametrize(("harm", "words"), [
    (without_a_weight, "not exactly once"), (frozen, "ff_norm.weight.* takes no gradient"),
    (still, r"blocks\.1.*evaluation mode"), (decaying, "weight decay of 0.1"),
    (equal_rows, "ff.up.weight.*rows that are alike"), (equal_columns, "columns that are alike"),
    (constant, "alike"), (without_moments, "no moments"),
])  # fmt: skip
def test_check_training_detects_wrong_weights_and_optimizers(
    harm: Callable[[TrainState], None], words: str
) -> None:
    state, plan = made(architecture="gpt", optimizer="adamw")
    harm(state)
    refused(words, (state, plan))


def test_check_training_detects_unloaded_weights() -> None:
    state, plan = made()
    saved = {name: weight.detach().clone() for name, weight in state.model.named_parameters()}
    saved["final_norm.weight"][3] += 1
    refused("final_norm.weight.*saved", (state, plan), saved)


def test_check_training_detects_float16_without_a_scaler() -> None:
    state, plan = made(precision="float16")
    state.scaler = make_grad_scaler(made()[1].execution)
    refused("loss scaler", (state, plan))


def test_check_training_detects_unshuffled_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "permute_indices", lambda places, size, seed, salt: places)
    refused("front to back", made())


def test_check_training_detects_duplicate_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    first = BatchSampler.batch
    monkeypatch.setattr(BatchSampler, "batch", lambda self, step, dropout_scale=1.0: first(self, 0))
    refused("comes again", made())


def test_check_training_detects_noncontiguous_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    read = BatchSampler.sequences
    monkeypatch.setattr(
        BatchSampler, "sequences", lambda self, numbers, dropout_scale: read(self, numbers)[:, ::-1]
    )
    refused("jump", made())


def test_check_training_detects_another_tokenizer() -> None:
    state, plan = made()
    with pytest.raises(AssertionError, match="301 tokens"):
        check_training(state, plan, 301, None)
    beyond = replace(plan, batches=replace(plan.batches, tokens=TEXT + 300))
    refused("tokens from 3", (state, beyond))


def test_check_training_detects_misfit_schedule() -> None:
    state, plan = made()
    of_epochs = replace(plan, learning_rate=lambda step: plan.learning_rate(step // 10))
    refused("after warmup", (state, of_epochs))
    longer = make_lr_schedule(plan.config, 3, 100 * plan.total_steps, plan.batches.epoch_at_step)
    refused("last step", (state, replace(plan, learning_rate=longer)))
    refused("found a rate of 0.", (state, replace(plan, learning_rate=lambda step: 0.0)))


right = loss.next_token_loss

Loss = tuple[torch.Tensor, torch.Tensor]


def unshifted(model: Any, x: torch.Tensor, y: torch.Tensor, smoothing: float) -> Loss:
    return right(model, x, x, smoothing)


def shifted_twice(model: Any, x: torch.Tensor, y: torch.Tensor, smoothing: float) -> Loss:
    return right(model, x, torch.cat([y[:, 1:], y[:, -1:]], 1), smoothing)


def summed(model: Any, x: torch.Tensor, y: torch.Tensor, smoothing: float) -> Loss:
    loss, hits = right(model, x, y, smoothing)
    return loss * y.numel(), hits


def softmax_twice(model: Any, x: torch.Tensor, y: torch.Tensor, smoothing: float) -> Loss:
    return F.cross_entropy(model(x).softmax(-1).flatten(0, 1), y.flatten()), y.sum()


def masked(model: Any, x: torch.Tensor, y: torch.Tensor, smoothing: float) -> Loss:
    logits = model(x).flatten(0, 1)
    return F.cross_entropy(logits, torch.full_like(y, -100).flatten(), reduction="sum"), y.sum()


def half_masked(model: Any, x: torch.Tensor, y: torch.Tensor, smoothing: float) -> Loss:
    y = torch.cat([y[:, :4], torch.full_like(y[:, 4:], -100)], 1)
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten()), y.sum()


def without_gradient(model: Any, x: torch.Tensor, y: torch.Tensor, smoothing: float) -> Loss:
    loss, hits = right(model, x, y, smoothing)
    return loss.detach() + 0 * model.final_norm.weight.sum(), hits


@pytest.mark.parametrize("architecture", ["gpt", "modern"])
@pytest.mark.parametrize("wrong", [
    unshifted, shifted_twice, summed, softmax_twice, masked, half_masked, without_gradient
])  # fmt: skip
def test_check_training_detects_wrong_loss(
    architecture: str, wrong: Callable[..., Loss], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "next_token_loss", wrong)
    refused("the loss", made(architecture=architecture))


def parts_that_count_alike(
    state: TrainState, plan: TrainPlan, step: int, dropout_scale: float
) -> tuple[float, float]:
    batch = torch.from_numpy(plan.batches.batch(step))
    losses = []
    for part in batch.tensor_split(plan.config.num_micro_batches):
        loss, _ = plan.loss_fn(state.model, part[:, :-1], part[:, 1:], 0.0)
        (loss / plan.config.num_micro_batches).backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item() * len(part) / len(batch))
    return sum(losses), 0.0


def the_same_batch(
    state: TrainState, plan: TrainPlan, step: int, dropout_scale: float
) -> tuple[float, float]:
    return real_backward(state, plan, 0, dropout_scale)


def never_stepping(state: TrainState, finite: bool) -> None:
    for optimizer in state.optimizers:
        optimizer.zero_grad()


def keeping_gradients(state: TrainState, finite: bool) -> None:
    for optimizer in state.optimizers:
        state.scaler.step(optimizer)
    state.scaler.update()


real_backward = loop.accumulate_gradients


def doing_nothing(*_: Any) -> None:
    return None


@pytest.mark.parametrize(("module", "name", "wrong", "words"), [
    (loop, "accumulate_gradients", parts_that_count_alike, "gradient at the logits"),
    (loop, "accumulate_gradients", the_same_batch, "other tokens"),
    (loop, "optimizer_step", never_stepping, "do not move"),
    (loop, "optimizer_step", keeping_gradients, "left over"),
    (loop, "set_learning_rate", doing_nothing, "a rate of 0 "),
    (state_snapshot, "_put_together", doing_nothing, "a resume"),
])  # fmt: skip
def test_check_training_detects_wrong_optimizer_step(
    module: Any, name: str, wrong: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, wrong)
    refused(words, made())


def test_check_training_detects_accumulated_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they are gone again when the step ends."""

    def twice(
        state: TrainState, plan: TrainPlan, step: int, dropout_scale: float
    ) -> tuple[float, float]:
        real_backward(state, plan, step, dropout_scale)
        return real_backward(state, plan, step, dropout_scale)

    monkeypatch.setattr(loop, "accumulate_gradients", twice)
    refused("other tokens", made())
    monkeypatch.setattr(loop, "accumulate_gradients", real_backward)
    norm = loop.gradient_norm

    def grown(state: TrainState, plan: TrainPlan) -> float:
        for weight in state.model.parameters():
            assert weight.grad is not None
            weight.grad.mul_(1.5)
        return norm(state, plan)

    monkeypatch.setattr(loop, "gradient_norm", grown)
    refused("a norm of", made())


def test_check_training_detects_scaled_float16_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled(state: TrainState, plan: TrainPlan) -> float:
        return loop.clip_grad_norm(state.model, 1.0).item()

    monkeypatch.setattr(loop, "gradient_norm", scaled)
    check_training(*made(), 300, None)  # in float32 there is nothing to unscale
    refused("unscaled", made(precision="float16"))


def test_check_training_detects_module_without_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = transformer.FeedForward.forward
    monkeypatch.setattr(
        transformer.FeedForward, "forward", lambda self, x: forward(self, x.detach()).detach()
    )
    refused("do not move", made())


def test_check_training_detects_evaluation_with_dropout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Transformer, "eval", lambda self: self)
    refused("evaluation mode, without dropout", made(dropout_rate=0.0))


def test_check_training_detects_evaluation_mode_after_evaluation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Transformer, "train", lambda self, mode=True: (
        torch.nn.Module.train(self, mode) if not mode else self
    ))  # fmt: skip
    refused("left in evaluation mode", made())


def test_check_training_detects_missing_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer, "apply_rotary", lambda x, cos, sin: x)
    refused("the order of the tokens", made(architecture="modern"))
