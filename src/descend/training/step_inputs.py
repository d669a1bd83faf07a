"""What a training step works on: a configuration, a network and batches, handed down as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from descend.config import RunConfig
from descend.data.batches import BatchSampler
from descend.machine import Execution
from descend.model.initialization import initialize
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer
from descend.training.lora_adapters import add_adapters, reset_adapters


@dataclass(frozen=True)
class StepInputs:
    """A configuration, its network, and the batches that it reads."""

    config: RunConfig
    shape: ModelShape
    batches: BatchSampler
    build_model: Callable[[], Transformer]
    """Builds the network at its first call and returns the same one from then on."""
    parent: Transformer | None = None
    """The network that is trained further."""

    @property
    def model(self) -> Transformer:
        """The network, built once for timing and training; `reset_model` fills it."""
        return self.build_model()

    def reset_model(self, execution: Execution) -> Transformer:
        """Put the network back to its first weights, where and as `execution` computes.

        torch's own first weights make probabilities of gpt's tied head so small that a processor
        leaves its quick arithmetic for them: a step took twelve times what it does in training.
        """
        model = self.model.to("cpu")  # the random numbers of the weights are drawn there
        model.zero_grad(set_to_none=True)
        self.fill_weights(model)
        configure_model(model, self.config, execution)
        return model.to("cpu" if execution.sharded else execution.device).train()

    def fill_weights(self, model: Transformer) -> None:
        """Fill `model` with the weights that training starts from."""
        if self.parent is None:
            initialize(model, self.config.seed)
        elif self.config.lora_rank:  # its weights are those of the parent, and frozen
            reset_adapters(model, self.config.seed)
        else:
            model.load_state_dict(self.parent.state_dict())


def configure_model(model: Transformer, config: RunConfig, execution: Execution) -> None:
    """Have `model` compute as `config` and `execution` say."""
    model.checkpoint_activations = config.activation_checkpointing
    model.token_dropout = config.token_dropout or 0.0
    model.set_attention(execution.attention)


def make_step_inputs(
    config: RunConfig, shape: ModelShape, batches: BatchSampler, parent: Transformer | None = None
) -> StepInputs:
    """Hold `config` and its batches together with its network, which is built when it is used.

    `parent`: the network that is trained further.
    """
    build = partial(build_network, config, shape, parent)
    return StepInputs(config, shape, batches, cache(build), parent)


def build_network(config: RunConfig, shape: ModelShape, parent: Transformer | None) -> Transformer:
    """Return the network of `config`, with adapters beside the weights of `parent` if it asks for
    them; its trained weights have yet to be filled."""
    if parent is not None and config.lora_rank:
        return add_adapters(parent, config.dropout_rate, config.lora_rank)
    return Transformer(shape, config.dropout_rate)
