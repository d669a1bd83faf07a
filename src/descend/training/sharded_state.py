"""A run whose weights do not fit into each process: FSDP2 (`fully_shard`) divides them by rows.

Gradients, the state of the optimizers, the best weights, and the state to go back to are divided
too. The optimizers see the own rows as plain tensors, so that they compute as in one process. A
checkpoint is gathered in rank 0, file by file, and is that of one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from descend.config import RunConfig
from descend.machine import Execution
from descend.model.shape import ModelShape
from descend.model.transformer import Transformer
from descend.training.checkpoint import ReadFile, checkpoint_reader, decode_state, encode_state
from descend.training.muon import Muon
from descend.training.optimizers import make_optimizers
from descend.training.process_group import ProcessGroup
from descend.training.row_shards import local_tensor
from descend.training.step_inputs import configure_model
from descend.training.train_state import TrainState, load_weights, trained_weights
from descend.training.weight_shards import WeightShards


def shard_state(
    state: TrainState,
    config: RunConfig,
    execution: Execution,
    group: ProcessGroup,
    checkpoint: Path | None = None,
) -> None:
    """Divide the network of `state` among `group`, with the state that rank 0 has: in `checkpoint`,
    or else in `state` itself.

    Called by all processes. Rank 0 reads one file at a time, and each process receives its rows.
    """
    source: ReadFile | None = None
    if group.rank == 0:
        source = checkpoint_reader(checkpoint) if checkpoint else dict(encode_state(state)).get
    state.optimizers = []
    state.model = _shard_network(_build_empty(state.model.shape, config), config, execution)
    own = tuple((p, nn.Parameter(local_tensor(p.detach()))) for p in state.model.parameters())
    state.shards = shards = WeightShards(group, own)
    state.optimizers = make_optimizers(state.model, config, execution, dict(own))
    for optimizer in state.optimizers:
        if isinstance(optimizer, Muon):
            optimizer.divide(shards, shards.full_shapes())

    def read(name: str) -> bytes | None:
        content = source(name) if source else None
        if name.endswith(".json"):
            return group.broadcast_bytes(content or b"") or None
        return (content or b"") if shards.any_process(content is not None) else None

    decode_state(read, state, shards.load_and_scatter)


def gather_model(state: TrainState, config: RunConfig) -> None:
    """Put the whole network, with the weights of now, into the `state` of rank 0, to be saved.

    It is in the main memory. The optimizers go, since nothing is trained any more.
    """
    assert state.shards is not None
    state.optimizers, state.rollback_snapshot = [], None
    whole = {name: state.shards.gather(w) for name, w in trained_weights(state.model).items()}
    if state.shards.group.rank == 0:
        model = _build_empty(state.model.shape, config)
        load_weights(model, {name: weight for name, weight in whole.items() if weight is not None})
        state.model = model.train()


def _build_empty(shape: ModelShape, config: RunConfig) -> Transformer:
    """Return a network whose weights are memory that nobody wrote to, and so costs none yet."""
    with torch.device("meta"):
        model = Transformer(shape, config.dropout_rate)
    model = model.to_empty(device="cpu")
    if shape.is_tied:
        model.head.weight = model.token_embedding.weight
    return model


def _shard_network(model: Transformer, config: RunConfig, execution: Execution) -> Transformer:
    """Have FSDP2 divide `model`: a block is whole while it computes, the rest during a step."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    configure_model(model, config, execution)
    mesh = init_device_mesh(execution.device, (execution.processes,))
    modules: Sequence[nn.Module] = [*model.blocks, model]
    for module in modules:
        fully_shard(module, mesh=mesh)
    register_fsdp_forward_method(model, "hidden_states")  # what the loss calls
    return model.train()
