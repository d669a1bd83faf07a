"""What must hold before the first step of a training, checked on the training itself.

Of the bugs that `descend check` finds in other people's programs, each that can be seen on our own
network before its first step is looked for here:

- `weights`: weights and optimizers as they stand (weights_frozen, weights_not_in_optimizer,
  left_in_evaluation_mode, decay_on_norms, initialization_symmetric, checkpoint_not_loaded, moments
  that a resume forgot, float16_unscaled);
- `network`: a network as it was drawn, in evaluation mode on some tokens of its first batch
  (causal_mask_missing and _leaky, dropout_in_evaluation, initialization_exploding); where weights
  were loaded, which may hold anything, the miniature of `dry_run` alone;
- `batch_order`: the order in which they read the text (not_shuffled, batches_repeated), their
  tokens (tokenizer_mismatch) and the rates of the run (scheduler_step_misplaced);
- `dry_run`: the loop itself, stepping a miniature of the network in the precision and with the
  optimizers of the run. The loss and gradient of each step are held against ones worked out apart
  from it (targets_unshifted and _shifted_twice, loss_not_averaged, softmax_before_cross_entropy,
  accumulation_misreduced, gradients_not_zeroed, step_never_called, float16 gradients left scaled,
  labels that do not count), and so are evaluation, resume (optimizer_state_not_resumed), attention
  (`descend.training.self_check`) and positions (positions_missing).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from descend.training.loop import get_batch
from descend.training.train_plan import TrainPlan
from descend.training.train_state import TrainState

from .batch_order import (
    check_batch_order,
    check_lr_schedule,
    check_tokens,
)
from .dry_run import dry_run
from .network import check_network
from .weights import check_weights


def check_training(
    state: TrainState, plan: TrainPlan, vocab_size: int, loaded: Mapping[str, Tensor] | None
) -> None:
    """Raise `AssertionError` where `state` and `plan` are not fit for the step that comes next.

    `vocab_size`: of the tokenizer. `loaded`: the weights that the network was filled with, by name;
    None where they are as they were drawn.
    """
    first_batch = get_batch(state, plan, state.step)
    check_weights(state, plan.execution, loaded)
    check_tokens(first_batch, vocab_size, state.model)
    check_batch_order(plan.batches)
    check_lr_schedule(plan)
    if loaded is None:
        check_network(state.model, first_batch)
    dry_run(state.model, plan)
