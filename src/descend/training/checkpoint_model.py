"""The best model so far of a run that is not finished, out of its checkpoint."""

from __future__ import annotations

from pathlib import Path

import msgspec

from descend.config import make_config
from descend.data.tokenizer import load_tokenizer
from descend.machine import Execution
from descend.model.shape import shape_from_run_config
from descend.model.transformer import Transformer
from descend.runs.model_files import save_model
from descend.runs.run_files import TOKENIZER, latest_checkpoint, read_info
from descend.training.checkpoint import load_checkpoint
from descend.training.execution.precision import make_grad_scaler
from descend.training.optimizers import make_optimizers
from descend.training.train_state import TrainState, load_weights


def save_checkpoint_model(run: Path, target: Path) -> float | None:
    """Write the best model of the unfinished `run` into the folder `target`; None without one.

    Returns the seconds of training up to its checkpoint.

    It has the weights of the best epoch, or those of the last step where no epoch is over. The run
    stays as it is, and can be resumed.
    """
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        return None
    info = read_info(run)
    config = make_config(info.resolved_config)
    execution = msgspec.structs.replace(
        msgspec.convert(info.execution, Execution), device="cpu", compiled=False
    )
    tokenizer = load_tokenizer(run / TOKENIZER)
    model = Transformer(shape_from_run_config(config, tokenizer.vocab_size))
    optimizers = make_optimizers(model, config, execution)
    state = TrainState(model, optimizers, make_grad_scaler(execution))
    load_checkpoint(checkpoint, state)
    if state.best is not None:
        load_weights(model, state.best.weights)
    model.eval()
    save_model(target, model, tokenizer, info)
    return state.elapsed_seconds
