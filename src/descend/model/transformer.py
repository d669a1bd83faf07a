"""The whole network, to be read from top to bottom.

Three architectures share one file. `gpt` is the guide's: learned positions, LayerNorm, GELU,
biases; the network of GPT-2 (Radford et al. 2019). `modern` has rotary positions (Su et al.
2021), RMSNorm (Zhang and Sennrich 2019) and a squared-ReLU feed-forward (So et al. 2021), no
biases, and a head of its own; the network that `transformers` and llama.cpp know as Arcee. `llama`
is for models of other programs: Llama, Mistral, Qwen2, and Qwen3. It has a gated feed-forward
(Shazeer 2020) and what `NetworkDetails` says. None is tied to a machine: which attention kernel
runs is an argument.

Shapes: B batch, T position, S positions attended to, D embed_dim, H heads, G heads of keys and
values, K head size, M ff_dim, V vocabulary, L layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from descend.model.custom_autograd import RMSNorm, apply_rotary, squared_relu
from descend.model.kv_cache import KeyValueCache
from descend.model.rotary import rotary_angles
from descend.model.shape import ModelShape

Attention = Literal["matmul", "fused"]
BlockFn = Callable[[nn.Module, Tensor, tuple[Tensor, Tensor] | None], Tensor]


def run_block(block: nn.Module, x_BTD: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
    """Run a block on whole sequences: (B, T, D) to (B, T, D). No argument depends on its layer."""
    output_BTD: Tensor = block(x_BTD, rotation, 0, None)
    return output_BTD


class Transformer(nn.Module):
    """Token ids (B, T) to logits over the next token (B, T, V).

    `attention` picks the kernel: `matmul` writes the products out (faster on a CPU at small
    sizes), `fused` calls torch's scaled_dot_product_attention (faster on a GPU, less memory).
    """

    def __init__(
        self, shape: ModelShape, dropout_rate: float = 0.0, attention: Attention = "matmul"
    ) -> None:
        super().__init__()
        self.shape = shape
        self.checkpoint_activations = False
        self.token_dropout = 0.0
        self.token_embedding = _embedding(shape.vocab_size, shape.embed_dim)
        self.position_embedding = (
            _embedding(shape.max_seq_len, shape.embed_dim) if shape.architecture == "gpt" else None
        )
        self.blocks = nn.ModuleList(
            Block(shape, dropout_rate, attention, layer) for layer in range(shape.num_layers)
        )
        self.final_norm = _norm(shape)
        self.dropout = nn.Dropout(dropout_rate)
        self.head = nn.Linear(shape.embed_dim, shape.vocab_size, bias=False)
        if shape.is_tied:
            self.head.weight = self.token_embedding.weight

    def set_attention(self, kernel: Attention) -> None:
        """Switch attention to another `kernel`. The weights stay."""
        for module in self.modules():
            if isinstance(module, SelfAttention):
                module.kernel = kernel

    def forward(
        self, ids_BT: Tensor, cache: KeyValueCache | None = None, last_only: bool = False
    ) -> Tensor:
        """Return logits (B, T, V). With a `cache`, `ids_BT` continue its positions.

        `last_only` gives (B, 1, V): who generates needs no logits of the positions before.
        """
        x_BTD = self.hidden_states(ids_BT, cache)
        if last_only:
            x_BTD = x_BTD[:, -1:]
        logits_BTV: Tensor = self.head(self.final_norm(x_BTD))
        return logits_BTV

    def hidden_states(
        self, ids_BT: Tensor, cache: KeyValueCache | None = None, block_fn: BlockFn = run_block
    ) -> Tensor:
        """Return what the last block gives (B, T, D), before the last norm.

        `block_fn` runs each block where there is no `cache`.
        """
        if cache is None:
            positions = torch.arange(0, ids_BT.shape[1], device=ids_BT.device)
        else:
            positions = cache.next_positions(ids_BT.shape[1], ids_BT.device)
        x_BTD: Tensor = self.token_embedding(ids_BT)
        if self.training and self.token_dropout:
            # Blank noising (Xie et al. 2017): some tokens must be distinguished from the others.
            keep_mask_BT = torch.rand(ids_BT.shape, device=ids_BT.device) >= self.token_dropout
            x_BTD = x_BTD * keep_mask_BT[..., None]
        if self.position_embedding is not None:
            x_BTD = x_BTD + self.position_embedding(positions)
        x_BTD = self.dropout(x_BTD)
        rotation = self._rotation(positions, cache) if self.position_embedding is None else None
        for layer, block in enumerate(self.blocks):
            if self.checkpoint_activations and self.training:
                x_BTD = checkpoint(block, x_BTD, rotation, layer, cache, use_reentrant=False)
            elif cache is None:
                x_BTD = block_fn(block, x_BTD, rotation)
            else:
                x_BTD = block(x_BTD, rotation, layer, cache)
        if cache is not None:
            cache.advance(ids_BT.shape[1])
        return x_BTD

    def _rotation(self, positions: Tensor, cache: KeyValueCache | None) -> tuple[Tensor, Tensor]:
        """Return `rotary_angles` of the positions; with a `cache`, looked up in what it holds for
        all of them."""
        if cache is None:
            return rotary_angles(positions, self.shape)
        if cache.rotation is None:
            everywhere_S = torch.arange(self.shape.max_seq_len, device=positions.device)
            cache.rotation = rotary_angles(everywhere_S, self.shape)
        return cache.select_rotation(positions)


class Block(nn.Module):
    """Attention, then feed-forward, each added to its input (pre-norm)."""

    def __init__(
        self, shape: ModelShape, dropout_rate: float, attention: Attention, layer: int = 0
    ) -> None:
        super().__init__()
        self.attention_norm = _norm(shape)
        self.attention = SelfAttention(shape, dropout_rate, attention, layer)
        self.ff_norm = _norm(shape)
        self.ff = FeedForward(shape)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(
        self,
        x_BTD: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        layer: int,
        cache: KeyValueCache | None,
    ) -> Tensor:
        """Return (B, T, D) to (B, T, D)."""
        attended = self.attention(self.attention_norm(x_BTD), rotation, layer, cache)
        x_BTD = x_BTD + self.dropout(attended)
        x_BTD = x_BTD + self.dropout(self.ff(self.ff_norm(x_BTD)))
        return x_BTD


class SelfAttention(nn.Module):
    """Causal attention: each position reads itself and the positions before it."""

    def __init__(
        self, shape: ModelShape, dropout_rate: float, kernel: Attention, layer: int = 0
    ) -> None:
        super().__init__()
        self.num_heads, self.dropout_rate, self.kernel = shape.num_heads, dropout_rate, kernel
        self.num_kv_heads, self.head_dim = shape.num_kv_heads, shape.head_dim
        details = shape.details
        self.window = details.windows[layer] if layer < len(details.windows) else 0
        bias = shape.architecture == "gpt" or details.qkv_bias
        wide, narrow = shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
        # Three weights, not one: Muon makes each orthogonal by itself, worth 0.04 nat in an epoch.
        self.query = nn.Linear(shape.embed_dim, wide, bias=bias)
        self.key = nn.Linear(shape.embed_dim, narrow, bias=bias)
        self.value = nn.Linear(shape.embed_dim, narrow, bias=bias)
        has_output_bias = shape.architecture == "gpt" or details.output_bias
        self.output = nn.Linear(wide, shape.embed_dim, bias=has_output_bias)
        self.query_norm, self.key_norm = (
            RMSNorm(shape.head_dim, eps=details.norm_epsilon) if details.query_key_norm else None
            for _ in range(2)
        )

    def forward(
        self,
        x_BTD: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        layer: int,
        cache: KeyValueCache | None,
    ) -> Tensor:
        """Return (B, T, D) to (B, T, D)."""
        B, T, _ = x_BTD.shape
        q_BHTK, k_BGTK, v_BGTK = self.project(x_BTD, rotation, layer, cache)
        if cache is not None:
            k_BGTK, v_BGTK = cache.append(layer, k_BGTK, v_BGTK)
        k_BHTK, v_BHTK = self.share_heads(k_BGTK), self.share_heads(v_BGTK)
        dropout_rate = self.dropout_rate if self.training else 0.0
        # For a single position torch's kernel is the faster one at every size.
        fused = self.kernel == "fused" or (cache is not None and T == 1)
        attend = _fused_attention if fused else _matmul_attention
        mask = self._mask(q_BHTK, k_BHTK, cache)
        if mask is not None:
            mixed_BHTK = F.scaled_dot_product_attention(
                q_BHTK, k_BHTK, v_BHTK, attn_mask=mask, dropout_p=dropout_rate
            )
        else:
            mixed_BHTK = attend(q_BHTK, k_BHTK, v_BHTK, dropout_rate)
        gathered: Tensor = self.output(mixed_BHTK.transpose(1, 2).reshape(B, T, -1))
        return gathered

    def project(
        self,
        x_BTD: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        layer: int = 0,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return query (B, H, T, K), key, and value (B, G, T, K), normalized and rotated."""
        B, T, _ = x_BTD.shape
        H, G = self.num_heads, self.num_kv_heads
        if isinstance(self.query, nn.Linear):
            joined = F.linear(x_BTD, *self.fused_qkv(layer, cache))
        else:  # with LoRA adapters, whose part is not in the weights
            joined = torch.cat([self.query(x_BTD), self.key(x_BTD), self.value(x_BTD)], dim=-1)
        heads = joined.view(B, T, H + 2 * G, self.head_dim).transpose(1, 2)
        q_BHTK, k_BGTK, v_BGTK = torch.split(heads, [H, G, G], dim=1)
        if self.query_norm is not None and self.key_norm is not None:
            q_BHTK, k_BGTK = self.query_norm(q_BHTK), self.key_norm(k_BGTK)
        if rotation is not None:
            q_BHTK, k_BGTK = apply_rotary(q_BHTK, *rotation), apply_rotary(k_BGTK, *rotation)
        return q_BHTK, k_BGTK, v_BGTK

    def share_heads(self, x_BGSK: Tensor) -> Tensor:
        """Return keys or values (B, H, S, K): each head of (B, G, S, K) serves H / G queries."""
        if self.num_kv_heads == self.num_heads:
            return x_BGSK
        return x_BGSK.repeat_interleave(self.num_heads // self.num_kv_heads, dim=1)

    def _mask(self, q: Tensor, k: Tensor, cache: KeyValueCache | None) -> Tensor | None:
        """Return which positions are seen, True or 0 for those, where plain causality does not say
        it."""
        mask = None if cache is None else cache.mask_B11S
        T, S = q.shape[-2], k.shape[-2]
        if not self.window or self.window >= S:
            return mask
        if mask is not None:  # one position of each text, the last that its row sees
            last_B11 = mask.sum(-1, keepdim=True) - 1
            columns_S = torch.arange(S, device=q.device)
            return mask & (columns_S > last_B11 - self.window)
        return _future_mask(T, S, q) + _distant_mask(T, S, q, self.window)

    def fused_qkv(
        self, layer: int = 0, cache: KeyValueCache | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Weight ((H + 2 G) K, D) and bias of query, key and value: one product is faster than 3.

        Joining them costs as much as the product of a single position, so a `cache` keeps it.
        """
        if cache is not None and layer in cache.joined:
            return cache.joined[layer]
        parts = (self.query, self.key, self.value)
        weight = torch.cat([part.weight for part in parts])
        bias = None if self.query.bias is None else torch.cat([part.bias for part in parts])
        if cache is not None:
            cache.joined[layer] = (weight, bias)
        return weight, bias


class FeedForward(nn.Module):
    """A feed-forward network a position: expand, activate, project."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.gelu = shape.architecture == "gpt"
        bias = self.gelu or shape.details.ff_bias
        self.gate = (
            nn.Linear(shape.embed_dim, shape.ff_dim, bias=bias)
            if shape.architecture == "llama"
            else None
        )
        self.up = nn.Linear(shape.embed_dim, shape.ff_dim, bias=bias)
        self.down = nn.Linear(shape.ff_dim, shape.embed_dim, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return (B, T, D) to (B, T, D)."""
        h_BTM = self.up(x_BTD)
        if self.gate is not None:
            h_BTM = F.silu(self.gate(x_BTD)) * h_BTM
        else:
            h_BTM = F.gelu(h_BTM, approximate="tanh") if self.gelu else squared_relu(h_BTM)
        narrowed: Tensor = self.down(h_BTM)
        return narrowed


def _matmul_attention(q: Tensor, k: Tensor, v: Tensor, dropout_rate: float) -> Tensor:
    """softmax(q k / sqrt(K)) v over (B, H, T, K) and (B, H, S, K), written out."""
    scores_BHTS = (q * (1.0 / math.sqrt(q.shape[-1]))) @ k.transpose(-2, -1)
    T, S = scores_BHTS.shape[-2:]
    if T > 1:
        scores_BHTS = scores_BHTS + _future_mask(T, S, scores_BHTS)
    weights_BHTS = scores_BHTS.softmax(-1)
    if dropout_rate:
        weights_BHTS = F.dropout(weights_BHTS, dropout_rate)
    return weights_BHTS.to(v.dtype) @ v


def _fused_attention(q: Tensor, k: Tensor, v: Tensor, dropout_rate: float) -> Tensor:
    T, S = q.shape[-2], k.shape[-2]
    mask = None if T in (1, S) else _future_mask(T, S, q)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout_rate, is_causal=mask is None and T > 1
    )


def _future_mask(T: int, S: int, like: Tensor) -> Tensor:
    """Return (T, S): -inf where a position would see a later one; the T queries are the last of the
    S."""
    full = torch.full((T, S), -torch.inf, dtype=like.dtype, device=like.device)
    return full.triu(S - T + 1)


def _distant_mask(T: int, S: int, like: Tensor, window: int) -> Tensor:
    """Return (T, S): -inf where a position is `window` or more before the one that reads."""
    full = torch.full((T, S), -torch.inf, dtype=like.dtype, device=like.device)
    return full.tril(S - T - window)


def _embedding(count: int, width: int) -> nn.Embedding:
    """Return an embedding; of shapes alone (device `meta`) without drawing its weights.

    To draw on `meta`, torch loads its whole compiler, which takes three seconds of a core.
    """
    if torch.get_default_device().type == "meta":
        weights = torch.empty(count, width)
        embedding = nn.Embedding.from_pretrained(weights, freeze=False)  # type: ignore[no-untyped-call]
        return cast(nn.Embedding, embedding)
    return nn.Embedding(count, width)


def _norm(shape: ModelShape) -> nn.Module:
    kind = nn.LayerNorm if shape.architecture == "gpt" else RMSNorm
    return kind(shape.embed_dim, eps=shape.details.norm_epsilon)
