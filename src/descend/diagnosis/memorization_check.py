"""Whether the network of a run can memorize a few random sequences, as the run learned.

The only signal that trains, so it is taken of a diagnosis that may try things, and for a fraction
of the time that it may take. What it reads is reported, and weighed in no verdict: a low rate
leaves the same trace as a fault, and rates are tried by trial.
"""

from __future__ import annotations

import math

from descend.diagnosis.run_context import RunContext
from descend.diagnosis.sentences import MEMORIZATION_DIVERGED, describe_slow_check
from descend.metrics.measurement import Measurement
from descend.metrics.memorization import MAX_STEPS, train_on_random_tokens
from descend.model.initialization import initialize
from descend.model.transformer import Transformer
from descend.training.loss import mean_cross_entropy
from descend.training.optimizers import make_optimizers, set_learning_rate

SEQUENCES = 4
"""Few, so that room is no question: what fails here fails for another reason."""
MAX_SEQ_LEN = 32
"""Tokens of a sequence at most: with them no preset takes more than some seconds on one core
(benchmarks/results/ranges/memorization.json)."""
MAX_TIME_FRACTION = 0.1
"""Of the time that trials may take; beyond it the probe is given up."""


def check_memorization(
    recorded_run: RunContext, seconds: float
) -> tuple[dict[str, Measurement], list[str]]:
    """Measure `memorization_loss` and, where the sequences were learned, `memorization_steps`; and
    what there is to note. No measurements where it took more than `seconds`, or the numbers ran
    away.

    Fresh weights of the run's shape and seed, on the CPU in float32, with the run's optimizer at
    the peak of its rate from the first step on. Without dropout: whether the question is whether
    the network can. Nothing for LoRA adapters, which need a trained model beside them.
    """
    if not recorded_run.steps or recorded_run.config.lora_rank:
        return {}, []
    model = Transformer(recorded_run.shape, 0.0, recorded_run.execution.attention)
    initialize(model, recorded_run.config.seed)
    optimizers = make_optimizers(model, recorded_run.config)
    set_learning_rate(optimizers, max(s.learning_rate for s in recorded_run.steps))
    result = train_on_random_tokens(
        model,
        optimizers,
        SEQUENCES,
        min(recorded_run.config.seq_len, MAX_SEQ_LEN),
        loss=lambda logits, targets: mean_cross_entropy(logits.float(), targets, 0.0),
        max_seconds=seconds,
        seed=recorded_run.config.seed,
    )
    if not math.isfinite(result.loss):
        return {}, [MEMORIZATION_DIVERGED]
    if result.steps is None and result.num_updates < MAX_STEPS:
        return {}, [describe_slow_check(seconds)]
    measurements = [Measurement("memorization_loss", result.loss, "nats per token")]
    if result.steps is not None:
        measurements.append(Measurement("memorization_steps", float(result.steps), "steps"))
    return {r.metric: r for r in measurements}, []
