"""The state, and the best model so far, of a run out of its checkpoint."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.data.tokenizer import load_tokenizer
from descend.machine import Execution
from descend.runs.model_files import save_model
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import TOKENIZER
from descend.training.checkpoint import load_checkpoint
from descend.training.lora_adapters import has_adapters, load_frozen_parent, merge_adapters
from descend.training.optimizers import make_optimizers
from descend.training.precision import make_grad_scaler
from descend.training.step_inputs import build_network
from descend.training.train_state import TrainState, load_weights


def save_checkpoint_model(run: Path, target: Path) -> float | None:
    """Write the best model of the unfinished `run` into the folder `target`; None without one.

    Returns the seconds of training up to its checkpoint.

    It has the weights of the best epoch, or those of the last step where no epoch is over. The run
    stays as it is, and can be resumed.
    """
    recorded_run = RecordedRun(run)
    if recorded_run.checkpoint is None:
        return None
    execution = msgspec.structs.replace(recorded_run.execution, device="cpu", compiled=False)
    state = load_checkpoint_state(recorded_run, recorded_run.checkpoint, execution)
    if state.best is not None:
        load_weights(state.model, state.best.weights)
    if has_adapters(state.model):
        merge_adapters(state.model)
    state.model.eval()
    save_model(target, state.model, load_tokenizer(run / TOKENIZER), recorded_run.metadata)
    return state.elapsed_seconds


def load_checkpoint_state(run: RecordedRun, checkpoint: Path, execution: Execution) -> TrainState:
    """Return the state of `run` at `checkpoint`, with its adapters if it trains those.

    `RunFolderError` for a checkpoint or a frozen model that does not fit.
    """
    model = build_network(run.config, run.shape, load_frozen_parent(run.metadata))
    model.set_attention(execution.attention)
    optimizers = make_optimizers(model, run.config, execution)
    state = TrainState(model, optimizers, make_grad_scaler(execution))
    load_checkpoint(checkpoint, state, run.metadata.run_id)
    return state
