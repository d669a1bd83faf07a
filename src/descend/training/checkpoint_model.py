"""The best model so far of a run that is not finished, out of its checkpoint."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.data.tokenizer import load_tokenizer
from descend.model.transformer import Transformer
from descend.runs.model_files import save_model
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import TOKENIZER
from descend.training.checkpoint import load_checkpoint
from descend.training.optimizers import make_optimizers
from descend.training.precision import make_grad_scaler
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
    model = Transformer(recorded_run.shape)
    optimizers = make_optimizers(model, recorded_run.config, execution)
    state = TrainState(model, optimizers, make_grad_scaler(execution))
    load_checkpoint(recorded_run.checkpoint, state)
    if state.best is not None:
        load_weights(model, state.best.weights)
    model.eval()
    save_model(target, model, load_tokenizer(run / TOKENIZER), recorded_run.metadata)
    return state.elapsed_seconds
