"""This machine in numbers: a few small networks are timed for a second or so each."""

from __future__ import annotations

import msgspec
import numpy as np

from descend.config import RunConfig, make_config
from descend.data.batches import BatchSampler
from descend.machine import Execution
from descend.model.shape import shape_from_run_config
from descend.planner.step_time import StepTimeModel, StepWorkload, TimedStep, fit_step_time
from descend.training.execution.autotune import autotune_execution
from descend.training.execution.backends import describe_execution
from descend.training.execution.candidate_timing import time_training_step
from descend.training.step_inputs import make_step_inputs

BENCHMARK_SHAPES = ((32, 2, 512), (128, 2, 1024), (192, 4, 2048))
"""Width, layers and vocabulary of what is timed: as good as four or sixteen shapes in predicting
widths up to 512 (see `rates`)."""

SEQ_LEN, BATCH_SIZE = 64, 16


class MachineBenchmark(msgspec.Struct, frozen=True):
    """How fast this machine trains."""

    rates: StepTimeModel
    execution: str
    """How it computes, in words."""
    timings: list[TimedStep]
    correction_factor: float = 1.0
    """What `rates` were multiplied by after a planned network itself was timed."""


def benchmark_machine(device: str = "auto") -> MachineBenchmark:
    """Time the probes with the fastest execution here."""
    execution: Execution | None = None
    timed = []
    for width, layers, vocab in sorted(BENCHMARK_SHAPES, key=lambda p: p[0] != MIDDLE_WIDTH):
        config = _config(width, layers, device)
        shape = shape_from_run_config(config, vocab)
        batches = BatchSampler(_tokens(vocab), SEQ_LEN, BATCH_SIZE, config.seed)
        inputs = make_step_inputs(config, shape, batches)
        execution = execution or autotune_execution(inputs).execution
        per_token, update = time_training_step(execution, inputs, float("inf"))
        work = StepWorkload(shape, BATCH_SIZE, SEQ_LEN)
        timed.append(TimedStep(work, per_token * work.tokens, update))
    assert execution is not None
    return MachineBenchmark(fit_step_time(timed), describe_execution(execution), timed)


def calibrate_to_config(
    machine: MachineBenchmark, config: RunConfig, steps: int, expected: float
) -> MachineBenchmark:
    """Return `machine` corrected by the network of `config` itself, timed as a run of so many steps
    will compute it (compiled, where that is earned), `expected` being the seconds of a step so far.

    What is found out is remembered: the run itself need not find it out again.
    """
    assert config.vocab_size is not None
    tokens = _tokens(config.vocab_size, config.batch_size * config.seq_len)
    batches = BatchSampler(tokens, config.seq_len, config.batch_size, config.seed)
    shape = shape_from_run_config(config, config.vocab_size)
    choice = autotune_execution(make_step_inputs(config, shape, batches), steps)
    factor = choice.seconds(batches.tokens_per_step, steps) / steps / expected
    rates = StepTimeModel(*(factor * rate for rate in msgspec.structs.astuple(machine.rates)))
    return MachineBenchmark(rates, describe_execution(choice.execution), machine.timings, factor)


MIDDLE_WIDTH = 128
"""The probe on which the execution is chosen."""


def _config(width: int, layers: int, device: str) -> RunConfig:
    return make_config({
        "embed_dim": width, "num_heads": width // 32, "num_layers": layers, "ff_dim": 4 * width,
        "seq_len": SEQ_LEN, "max_seq_len": SEQ_LEN, "batch_size": BATCH_SIZE, "device": device,
    })  # fmt: skip


def _tokens(vocab: int, of_a_batch: int = SEQ_LEN * BATCH_SIZE) -> np.ndarray:
    """Return any tokens, for some batches: what they say costs no time."""
    return np.random.default_rng(0).integers(0, vocab, 4 * of_a_batch).astype(np.uint16)
