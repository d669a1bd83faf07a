"""Every bug that is looked for, in the order in which they are reported."""

from __future__ import annotations

from descend.program_check.bug import Bug
from descend.program_check.bugs import (
    accumulation_misreduced,
    attention_scale_missing,
    batches_repeated,
    causal_mask_leaky,
    causal_mask_missing,
    checkpoint_not_loaded,
    decay_on_norms,
    dropout_in_evaluation,
    examples_mixed,
    float16_unscaled,
    gradients_not_zeroed,
    initialization_exploding,
    initialization_symmetric,
    labels_all_masked,
    left_in_evaluation_mode,
    loss_not_averaged,
    not_shuffled,
    optimizer_state_not_resumed,
    padding_in_loss,
    padding_mask_inverted,
    positions_missing,
    scheduler_step_misplaced,
    softmax_before_cross_entropy,
    step_never_called,
    targets_broadcast,
    targets_shifted_twice,
    targets_unshifted,
    tokenizer_mismatch,
    weights_frozen,
    weights_not_in_optimizer,
)

BUGS: tuple[Bug, ...] = (
    causal_mask_missing.BUG,
    causal_mask_leaky.BUG,
    examples_mixed.BUG,
    targets_unshifted.BUG,
    targets_shifted_twice.BUG,
    dropout_in_evaluation.BUG,
    left_in_evaluation_mode.BUG,
    gradients_not_zeroed.BUG,
    weights_frozen.BUG,
    weights_not_in_optimizer.BUG,
    step_never_called.BUG,
    scheduler_step_misplaced.BUG,
    tokenizer_mismatch.BUG,
    padding_in_loss.BUG,
    padding_mask_inverted.BUG,
    not_shuffled.BUG,
    batches_repeated.BUG,
    accumulation_misreduced.BUG,
    loss_not_averaged.BUG,
    softmax_before_cross_entropy.BUG,
    targets_broadcast.BUG,
    decay_on_norms.BUG,
    float16_unscaled.BUG,
    attention_scale_missing.BUG,
    positions_missing.BUG,
    initialization_symmetric.BUG,
    initialization_exploding.BUG,
    optimizer_state_not_resumed.BUG,
    labels_all_masked.BUG,
    checkpoint_not_loaded.BUG,
)

REMARKS = (positions_missing.BUG.name, decay_on_norms.BUG.name)
"""Those of which a check only makes a remark."""

ABOUT_TOKENS = frozenset(
    bug.BUG.name for bug in (
        causal_mask_missing, causal_mask_leaky, targets_unshifted, targets_shifted_twice,
        tokenizer_mismatch, padding_in_loss, padding_mask_inverted, positions_missing,
        labels_all_masked,
    )
)  # fmt: skip
"""Those that only a network which is given token ids can have."""
