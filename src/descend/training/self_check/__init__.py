"""What must hold before the first step of every training of our own; some fifty milliseconds, and
no bit of the run changes.

Of the bugs that `descend check` finds in other people's programs, each that can be seen on our own
network before its first step is looked for here, wherever training begins: new, continued or
resumed. (Trials are of settings that a run had before them.) What is looked at is

- `weights`: weights and optimizers as they stand (weights_frozen, weights_not_in_optimizer,
  left_in_evaluation_mode, decay_on_norms, initialization_symmetric, checkpoint_not_loaded, moments
  that a resume forgot, float16_unscaled);
- `network`: a network as it was drawn, in evaluation mode on some tokens of its first batch
  (causal_mask_missing and _leaky, dropout_in_evaluation, initialization_exploding); where weights
  were loaded, which may hold anything, the miniature of `dry_run` alone;
- `batches`: the order in which they read the text (not_shuffled, batches_repeated), their tokens
  (tokenizer_mismatch) and the rates of the run (scheduler_step_misplaced);
- `dry_run`: the loop itself, stepping a miniature of the network in the precision and with the
  optimizers of the run. The loss and gradient of each step are held against ones worked out apart
  from it (targets_unshifted and _shifted_twice, loss_not_averaged, softmax_before_cross_entropy,
  accumulation_misreduced, gradients_not_zeroed, step_never_called, float16 gradients left scaled,
  labels that do not count), and so are evaluation, resume
  (optimizer_state_not_resumed), and attention with
  its positions (attention_scale_missing, positions_missing).

Not looked for: padding_in_loss, since no batch of ours has padding (that every token weighs alike
is looked at); tokens that another tokenizer of the same size made, which only the text could tell;
what compiling or recording makes of a step, which a test holds against the plain one.

Nothing here hangs on what the text is or how it was set: a failure is a fault in descend (or in
what was changed of it), never the user's.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from descend.training.loop import get_batch
from descend.training.self_check.batch_order import (
    check_batch_order,
    check_lr_schedule,
    check_tokens,
)
from descend.training.self_check.dry_run import dry_run
from descend.training.self_check.network import check_network
from descend.training.self_check.weights import check_weights
from descend.training.train_plan import TrainPlan
from descend.training.train_state import TrainState


def run_self_check(
    state: TrainState, plan: TrainPlan, vocab_size: int, loaded: Mapping[str, Tensor] | None
) -> None:
    """Raise `SelfCheckError` where `state` and `plan` are not fit for the step that comes next.

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
