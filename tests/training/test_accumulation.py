"""Computing a batch in parts gives the gradients of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from descend.config import make_config
from descend.errors import OutOfMemoryError
from descend.model.cost import training_memory
from descend.report.text.run_notices import run_notices
from descend.training import memory
from descend.training.execution import candidate_timing
from descend.training.loop import accumulate_gradients
from descend.training.step_inputs import StepInputs
from descend.training.training_run import create_run


def gradients(tiny: dict[str, Any]) -> tuple[dict[str, torch.Tensor], float, float]:
    run = create_run(make_config(tiny), Path("run"))
    loss, accuracy = accumulate_gradients(run.state, run.plan, 3)
    gradients_by_name = {name: p.grad for name, p in run.state.model.named_parameters()}
    assert all(g is not None for g in gradients_by_name.values())
    return gradients_by_name, loss, accuracy  # type: ignore[return-value]


@pytest.mark.parametrize(("architecture", "batch_size"), [("gpt", 8), ("modern", 7)])
def test_parts_add_up_to_the_whole(
    tiny: dict[str, Any], architecture: str, batch_size: int
) -> None:
    tiny |= {"architecture": architecture, "batch_size": batch_size, "label_smoothing": 0.1}
    whole, loss, accuracy = gradients(tiny)
    for parts in (2, 3, 4, batch_size):
        gradients_by_name, part_loss, part_accuracy = gradients(
            tiny | {"gradient_accumulation_steps": parts}
        )
        assert part_loss == pytest.approx(loss, abs=1e-5)
        assert part_accuracy == accuracy
        for name, gradient in whole.items():
            torch.testing.assert_close(
                gradients_by_name[name], gradient, atol=1e-5, rtol=1e-5, msg=name
            )


def test_recomputing_activations_changes_nothing(tiny: dict[str, Any]) -> None:
    whole, loss, _ = gradients(tiny)
    gradients_by_name, again, _ = gradients(tiny | {"activation_checkpointing": True})
    assert again == loss
    for name, gradient in whole.items():
        torch.testing.assert_close(
            gradients_by_name[name], gradient, atol=1e-6, rtol=1e-5, msg=name
        )


def test_gradient_accumulation_is_minimal_for_available_memory(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny | {"batch_size": 8, "seq_len": 16, "max_seq_len": 16})
    shape = create_run(config, Path("run")).shape
    room = training_memory(config.model_copy(update={"gradient_accumulation_steps": 4}), shape)
    monkeypatch.setattr(memory, "free_memory_bytes", lambda device: room)
    run = create_run(config, Path("run"))
    assert run.plan.config.gradient_accumulation_steps == 4
    assert (
        run.info.resolved_config["gradient_accumulation_steps"] == 4
    )  # so a resumed run has it too
    assert run.info.requested_config["gradient_accumulation_steps"] is None
    assert any("in 4 parts" in note for note in run_notices(run))
    monkeypatch.setattr(
        memory, "free_memory_bytes", lambda device: 2 * training_memory(config, shape)
    )
    run = create_run(config, Path("run"))
    assert run.plan.config.gradient_accumulation_steps == 1
    assert not any("parts" in note for note in run_notices(run))
    monkeypatch.setattr(memory, "free_memory_bytes", lambda device: 1000)
    with pytest.raises(OutOfMemoryError):
        create_run(config, Path("run"))


def test_gradient_accumulation_grows_after_out_of_memory(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = candidate_timing.time_training_step

    def small(execution: Any, inputs: StepInputs, *rest: Any, **more: Any) -> tuple[float, float]:
        config = inputs.config
        if config.batch_size / (config.gradient_accumulation_steps or 1) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(execution, inputs, *rest, **more)

    monkeypatch.setattr(candidate_timing, "time_training_step", small)
    run = create_run(make_config(tiny | {"batch_size": 7}), Path("run"))
    assert run.plan.config.gradient_accumulation_steps == 4
    assert any("in 4 parts" in note for note in run_notices(run))
    with pytest.raises(OutOfMemoryError, match="Set gradient_accumulation_steps to 7"):
        create_run(
            make_config(tiny | {"batch_size": 7, "gradient_accumulation_steps": 1}), Path("run")
        )
