"""What a training step works on: a configuration, a network and batches, handed down as one."""

from __future__ import annotations

from dataclasses import dataclass

from descend.config import RunConfig
from descend.data.batches import BatchSampler
from descend.machine import Execution
from descend.model.initialization import initialize
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer


@dataclass(frozen=True)
class StepInputs:
    """A configuration, its network, and the batches that it reads."""

    config: RunConfig
    shape: ModelShape
    batches: BatchSampler
    model: Transformer
    """The network, built once for timing and training; `reset_model` fills it."""

    def reset_model(self, execution: Execution) -> Transformer:
        """Put the network back to its first weights, where and as `execution` computes.

        torch's own first weights make probabilities of gpt's tied head so small that a processor
        leaves its quick arithmetic for them: a step took twelve times what it does in training.
        """
        model = self.model.to("cpu")  # the random numbers of the weights are drawn there
        model.zero_grad(set_to_none=True)
        self.fill_weights(model)
        model.checkpoint_activations = self.config.activation_checkpointing
        model.token_dropout = self.config.token_dropout or 0.0
        model.set_attention(execution.attention)
        return model.to(execution.device).train()

    def fill_weights(self, model: Transformer) -> None:
        """Fill `model` with the weights that training starts from."""
        initialize(model, self.config.seed)


def make_step_inputs(config: RunConfig, shape: ModelShape, batches: BatchSampler) -> StepInputs:
    """Build the network of `config`, and hold it together with what it trains on."""
    return StepInputs(config, shape, batches, Transformer(shape, config.dropout_rate))
