"""What a network costs, from its sizes alone: parameters, floating-point operations, bytes.

Needs no torch. The parameter count is exact; operations count a multiplication and an addition
as two, and matrix products only; bytes of training are an estimate.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from descend.config import RunConfig
from descend.model.shape import ModelShape

Precision = Literal["float32", "bfloat16", "float16"]

FLOAT32 = 4
"""Bytes of a number in float32."""

EVALUATION_WINDOWS = 32
"""Windows of a text that an evaluation reads at once."""

SMALL_BYTES = 2**26
"""Memory that an evaluation may take whatever a step takes."""


def parameter_count(shape: ModelShape) -> int:
    """Count the trained parameters; a tied head counts once."""
    V, D, L = shape.vocab_size, shape.embed_dim, shape.num_layers
    total = V * D + L * block_matrix_parameters(shape)
    if shape.architecture == "llama":
        total += (0 if shape.is_tied else V * D) + (2 * L + 1) * D
        return total + L * _llama_vector_parameters(shape)
    if shape.architecture == "gpt":
        biases = 3 * D + D + shape.ff_dim + D
        norms = 2 * 2 * D
        return total + shape.max_seq_len * D + L * (biases + norms) + 2 * D
    return total + V * D + (2 * L + 1) * D  # a head of its own; norms


def _llama_vector_parameters(shape: ModelShape) -> int:
    """Count biases, and the norms of queries and keys, of one block."""
    details, K = shape.details, shape.head_dim
    qkv = (shape.num_heads + 2 * shape.num_kv_heads) * K if details.qkv_bias else 0
    output = shape.embed_dim if details.output_bias else 0
    ff = 2 * shape.ff_dim + shape.embed_dim if details.ff_bias else 0
    return qkv + output + ff + (2 * K if details.query_key_norm else 0)


def block_matrix_parameters(shape: ModelShape) -> int:
    """Count the parameters in the matrices of one block.

    Attention 4 D², or 2 D (H + G) K where keys and values have G heads; feed-forward 2 D M, or
    3 D M with a gate.
    """
    heads = 2 * (shape.num_heads + shape.num_kv_heads) * shape.head_dim
    matrices = 3 if shape.architecture == "llama" else 2
    return shape.embed_dim * (heads + matrices * shape.ff_dim)


def forward_flops_per_token(shape: ModelShape, seq_len: int) -> int:
    """Return 2 (matrices of all blocks + head) + 4 L T D, with T = `seq_len`.

    The last term is attention over all T positions, as it is computed, the masked half too.
    Source: Chowdhery et al. 2022 (PaLM), appendix B, whose 6 N + 12 L H Q T counts three times
    this; a lookup in an embedding is no matrix product.
    """
    matrices = (
        shape.num_layers * block_matrix_parameters(shape) + shape.vocab_size * shape.embed_dim
    )
    return 2 * matrices + 4 * shape.num_layers * seq_len * shape.num_heads * shape.head_dim


def training_flops_per_token(
    shape: ModelShape, seq_len: int, activation_checkpointing: bool = False
) -> int:
    """Return three times the forward pass: going back takes two products for each going forward
    (Kaplan et al. 2020, section 2.1); with checkpointing the blocks go forward once more."""
    forward = forward_flops_per_token(shape, seq_len)
    blocks = forward - 2 * shape.vocab_size * shape.embed_dim
    return 3 * forward + (blocks if activation_checkpointing else 0)


def adapter_parameter_count(shape: ModelShape, rank: int) -> int:
    """Count the parameters of LoRA adapters of `rank` beside all matrices of the blocks.

    A matrix of m inputs and n outputs gets rank (m + n) of them (Hu et al. 2021).
    """
    D, K = shape.embed_dim, shape.head_dim
    attention = 2 * (D + shape.num_heads * K) + 2 * (D + shape.num_kv_heads * K)
    matrices = 3 if shape.architecture == "llama" else 2
    return rank * shape.num_layers * (attention + matrices * (D + shape.ff_dim))


class TrainingMemory(msgspec.Struct, frozen=True):
    """The peak memory of training in bytes, by purpose."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    best_weights: int
    """The best weights so far, which become the model at the end."""
    rollback_snapshot: int
    """Weights and optimizer state that a rollback would go back to."""
    save: int
    """The largest file of a checkpoint, and its copy while it is made."""

    @property
    def total(self) -> int:
        """Return bytes at the peak: a step has gradients with activations or a new snapshot, and a
        save has none of them. Python and torch themselves (some 300 MB) are not included."""
        return self.resident + max(self.step, self.save)

    @property
    def resident(self) -> int:
        """Return bytes that are there all the time."""
        return self.weights + self.optimizer + self.best_weights + self.rollback_snapshot

    @property
    def step(self) -> int:
        """Return bytes that a step takes beside them."""
        return self.gradients + max(self.activations, self.rollback_snapshot)

    @property
    def on_gpu(self) -> int:
        """Return bytes on a GPU: the best weights and what is saved are in the main memory."""
        return self.resident - self.best_weights + self.step


def training_memory(config: RunConfig, shape: ModelShape) -> int:
    """Return bytes that training `shape` as `config` says takes at its peak; see
    `training_memory_breakdown`.

    A precision of `auto` counts as float32, which takes most.
    """
    return training_memory_breakdown(config, shape).total


def training_memory_breakdown(config: RunConfig, shape: ModelShape) -> TrainingMemory:
    """Return weights and gradients in float32; optimizer state: two numbers a weight for AdamW, one
    a weight of the blocks' matrices for Muon; activations of one micro-batch.

    Mixed precision keeps a second copy of the matrices in 16 bits while it computes. With LoRA
    adapters only these are trained, and all but the weights is theirs.
    """
    parameters = parameter_count(shape)
    trained = parameters
    if config.lora_rank:
        trained = adapter_parameter_count(shape, config.lora_rank)
        parameters += trained
    in_blocks = shape.num_layers * block_matrix_parameters(shape)
    states = 2 * trained - (in_blocks if config.optimizer == "muon" else 0)
    precision: Precision = "float32" if config.precision == "auto" else config.precision
    in_adamw = 2 * (trained - (in_blocks if config.optimizer == "muon" else 0))
    return TrainingMemory(
        weights=FLOAT32 * parameters + (0 if precision == "float32" else 2 * parameters),
        gradients=FLOAT32 * trained,
        optimizer=FLOAT32 * states,
        activations=activation_bytes(
            shape,
            config.micro_batch_size,
            config.seq_len,
            precision=precision,
            dropout=config.dropout_rate > 0,
            activation_checkpointing=config.activation_checkpointing,
        ),
        best_weights=FLOAT32 * trained,
        rollback_snapshot=FLOAT32 * (trained + states) if config.divergence_rollback == "on" else 0,
        save=2 * FLOAT32 * max(parameters, in_adamw, states - in_adamw),
    )


def sharded_memory_breakdown(config: RunConfig, shape: ModelShape) -> TrainingMemory:
    """Return the same for one of the processes that divide the weights.

    Beside its part each has the weights outside the blocks, two blocks, the gradients of one, and
    for the backward pass the joined matrices of query, key, and value, and in a mixed precision all
    matrices. What is saved is whole, in one process.
    """
    whole, count = training_memory_breakdown(config, shape), config.num_processes or 1
    parameters, block = parameter_count(shape), block_matrix_parameters(shape)
    outside = parameters - shape.num_layers * block
    joined = (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim * shape.embed_dim
    rounded = whole.weights - FLOAT32 * parameters
    gathered = outside + min(2, shape.num_layers) * block + shape.num_layers * joined
    return msgspec.structs.replace(
        whole,
        weights=FLOAT32 * (parameters // count + gathered) + rounded,
        gradients=FLOAT32 * (parameters // count + outside + block),
        optimizer=whole.optimizer // count,
        best_weights=whole.best_weights // count,
        rollback_snapshot=whole.rollback_snapshot // count,
    )


def activation_bytes(
    shape: ModelShape,
    sequences: int,
    seq_len: int,
    *,
    precision: Precision = "float32",
    dropout: bool = False,
    activation_checkpointing: bool = False,
) -> int:
    """Estimate the peak bytes that the forward pass stores for the backward pass.

    A block keeps, a token: `RESIDUAL_STREAM_TENSORS` times D (inputs and outputs of norms and
    matrices, query, key and value), 2 M (feed-forward before and after its bend) and H T attention
    weights (written out, as the matmul kernel does; the fused one keeps none). On top comes what
    the way back holds at once: in the head 2 V (logits and their gradient; in float16 their
    logarithms too), in a block three times the attention weights. Method: Korthikanti et al. 2022,
    "Reducing activation recomputation", section 4, counted anew for this network. With
    checkpointing a block keeps its input, and one block at a time all of it.
    """
    D, T, HT = shape.embed_dim, seq_len, shape.num_heads * seq_len
    short = FLOAT32 if precision == "float32" else 2
    ff_tensors = 4 if shape.architecture == "llama" else 2  # gate, its bend, up, and the product
    block = (
        RESIDUAL_STREAM_TENSORS[shape.architecture] * D + ff_tensors * shape.ff_dim
    ) * short + HT * FLOAT32
    if dropout:  # torch on a CPU keeps its masks as numbers, and the weights after it
        block += 2 * HT * short + 2 * D * FLOAT32
    num_logits = 3 if precision == "float16" else 2  # `can_use_custom_cross_entropy`
    head, going_back = num_logits * shape.vocab_size * FLOAT32, 3 * HT * FLOAT32
    if activation_checkpointing:
        per_token = shape.num_layers * D * FLOAT32 + max(head, block + going_back)
    else:
        per_token = shape.num_layers * block + max(head, going_back)
    return sequences * T * (per_token + 2 * D * FLOAT32)


RESIDUAL_STREAM_TENSORS = {"gpt": 9, "modern": 11, "llama": 11}
"""Activations of width D that a block keeps, fitted to what torch 2.13 allocates at its peak
(tests/model/test_cost.py measures it anew)."""


def evaluation_bytes(shape: ModelShape, sequences: int, seq_len: int) -> int:
    """Estimate the peak bytes of a forward pass that stores nothing, with the losses after it.

    At once there are, a token: in the feed-forward network three of its inner tensors (two with
    GELU) and four of D; in attention eight of D and two of the weights; in the head the logits and
    their logarithms.
    """
    D, HT = shape.embed_dim, shape.num_heads * seq_len
    ff_tensors = 2 if shape.architecture == "gpt" else 3
    per_token = max(4 * D + ff_tensors * shape.ff_dim, 8 * D + 2 * HT, D + 2 * shape.vocab_size)
    return FLOAT32 * sequences * seq_len * per_token


def evaluation_windows(config: RunConfig, shape: ModelShape) -> int:
    """Return how many windows of `seq_len` are evaluated at once: so few that the memory that a
    step takes is enough for them."""
    room = max(training_memory_breakdown(config, shape).step, SMALL_BYTES)
    each = evaluation_bytes(shape, 1, config.seq_len)
    return min(EVALUATION_WINDOWS, max(1, room // each))
