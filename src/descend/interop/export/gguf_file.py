"""A model as one GGUF file for llama.cpp and the programs on top of it.

llama.cpp's own converter refuses a tokenizer that it does not know by its hash, so the file is
written here, with the `gguf` package of llama.cpp. `gpt` is its architecture `gpt2`, `modern` its
`arcee`, and Mistral its `llama`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from descend.data.readers.chats import CHAT_TEMPLATE
from descend.errors import ConfigError
from descend.interop.export.exported_model import ExportSource, WeightType, missing_export_extra
from descend.interop.export.gguf_vocabulary import gguf_vocabulary
from descend.model.rotary import rotary_frequencies, scale_frequencies
from descend.model.shape import NORM_EPSILON, ModelShape

if TYPE_CHECKING:
    from gguf import GGUFWriter

BLOCK = 32
"""Numbers that share a scale in `q8_0` and `q4_0`: rows of other lengths stay float16."""

_PAIRED = ("llama", "arcee")
"""Architectures whose rotated numbers stand side by side; others hold them in two halves."""

# Our name of a weight, without the number of its block, to llama.cpp's.
_OUTER = {
    "token_embedding": "token_embd",
    "position_embedding": "position_embd",
    "final_norm": "output_norm",
    "head": "output",
}
_BLOCK = {
    "attention_norm": "attn_norm",
    "attention.query": "attn_q",
    "attention.key": "attn_k",
    "attention.value": "attn_v",
    "attention.query_norm": "attn_q_norm",
    "attention.key_norm": "attn_k_norm",
    "attention.output": "attn_output",
    "ff_norm": "ffn_norm",
    "ff.gate": "ffn_gate",
    "ff.up": "ffn_up",
    "ff.down": "ffn_down",
}


def write_gguf(source: ExportSource, path: Path, weight_type: WeightType) -> list[str]:
    """Write the model to `path`; returns the matrices that stay float16, by llama.cpp's names.

    Raises `MissingDependencyError` without the package `gguf`, `TokenizerError` for a tokenizer
    that llama.cpp would read differently, and `ConfigError` for a network that it cannot compute.
    """
    architecture = _choose_architecture(source.model.shape)
    try:
        from gguf import GGUFWriter
    except ImportError:
        raise missing_export_extra("gguf") from None
    writer = GGUFWriter(path, architecture)
    try:
        _add_sizes(writer, source)
        _add_tokenizer(writer, source)
        float16_tensors = [
            name
            for name, array in _tensors(source, architecture)
            if not _add_tensor(writer, name, array, weight_type)
        ]
        writer.add_file_type(_file_type(weight_type))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return float16_tensors


def max_gguf_context(shape: ModelShape) -> int | None:
    """Return the smallest window of attention, or None.

    llama.cpp has no windows for these architectures. Within one, all positions are seen anyway.
    """
    return min((window for window in shape.details.windows if window), default=None)


def _choose_architecture(shape: ModelShape) -> str:
    """Return the name of the network in llama.cpp; `ConfigError` for what it does not compute."""
    if shape.architecture != "llama":
        return {"gpt": "gpt2", "modern": "arcee"}[shape.architecture]
    details = shape.details
    name = "llama" if details.model_type == "mistral" else details.model_type
    scaling = details.rotary_scaling
    refused = None
    if name != "llama" and scaling is not None and scaling.kind == "llama3":
        refused = "Llama 3 scaling of its positions"
    elif name == "qwen3" and details.qkv_bias:
        refused = "biases in its attention"
    if refused is None:
        return name
    raise ConfigError(
        "--to", f"gguf for a {name} model with {refused}", "onnx or safetensors for it",
        "export to one of them: llama.cpp does not compute such a model",
    )  # fmt: skip


def _add_sizes(writer: GGUFWriter, source: ExportSource) -> None:
    shape = source.model.shape
    writer.add_type("model")
    writer.add_name(source.name)
    writer.add_vocab_size(shape.vocab_size)
    # Of the positions after the trained context the model knows nothing.
    writer.add_context_length(source.context)
    writer.add_embedding_length(shape.embed_dim)
    writer.add_block_count(shape.num_layers)
    writer.add_feed_forward_length(shape.ff_dim)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_kv_heads)
    if shape.architecture == "gpt":
        writer.add_layer_norm_eps(NORM_EPSILON)
    else:
        details = shape.details
        writer.add_layer_norm_rms_eps(details.norm_epsilon)
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.head_dim)
        writer.add_rope_dimension_count(shape.head_dim)
        writer.add_rope_freq_base(details.rotary_base)
        if details.rotary_scaling is not None and details.rotary_scaling.kind == "linear":
            from gguf import RopeScalingType

            writer.add_rope_scaling_type(RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(details.rotary_scaling.factor)


def _add_tokenizer(writer: GGUFWriter, source: ExportSource) -> None:
    tokenizer = source.tokenizer
    vocabulary, end_id = gguf_vocabulary(tokenizer), tokenizer.eos_token_id
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre_tokenizer)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    else:
        writer.add_token_scores(vocabulary.scores)
    writer.add_bos_token_id(tokenizer.start_ids[0] if tokenizer.start_ids else end_id)
    for add_id in (writer.add_eos_token_id, writer.add_unk_token_id, writer.add_pad_token_id):
        add_id(end_id)
    writer.add_add_bos_token(bool(tokenizer.start_ids))
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(vocabulary.adds_space)
    if tokenizer.knows_roles:
        writer.add_chat_template(CHAT_TEMPLATE)


def _tensors(source: ExportSource, architecture: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each weight in float32 by llama.cpp's name, matrices as (outputs, inputs)."""
    shape = source.model.shape
    state = {k: v.detach().float().cpu().numpy() for k, v in source.model.state_dict().items()}
    for module, name in _OUTER.items():
        for kind in ("weight", "bias"):
            array = state.get(f"{module}.{kind}")
            if array is None or (module == "head" and shape.is_tied):
                continue  # llama.cpp takes the embedding as the head, too
            if module == "position_embedding":
                array = array[: source.context]
            yield f"{name}.{kind}", array
    for n in range(shape.num_layers):
        yield from _block_tensors(shape, state, n, architecture)
    scaling = shape.details.rotary_scaling
    if scaling is not None and scaling.kind == "llama3":
        # llama.cpp divides the frequencies by these.
        frequencies_J = rotary_frequencies(shape)
        divisors_J = frequencies_J / scale_frequencies(frequencies_J, scaling)
        yield "rope_freqs.weight", divisors_J.numpy()


def _block_tensors(
    shape: ModelShape, state: dict[str, Any], n: int, architecture: str
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for kind in ("weight", "bias"):
        joined = []
        for module, name in _BLOCK.items():
            array = state.get(f"blocks.{n}.{module}.{kind}")
            if array is None:
                continue
            if name in ("attn_q", "attn_k", "attn_v") and shape.architecture == "gpt":
                joined.append(array)
                continue
            if name in ("attn_q", "attn_k") and architecture in _PAIRED:
                heads = shape.num_heads if name == "attn_q" else shape.num_kv_heads
                array = _interleave_pairs(array, heads)
            yield f"blk.{n}.{name}.{kind}", array
        if joined:
            yield f"blk.{n}.attn_qkv.{kind}", np.concatenate(joined)


def _interleave_pairs(weight: NDArray[np.float32], num_heads: int) -> NDArray[np.float32]:
    """Return rows (i, i + K/2) of each head, which rotate together, side by side."""
    rows, *columns = weight.shape
    halves = weight.reshape(num_heads, 2, rows // num_heads // 2, *columns)
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _add_tensor(
    writer: GGUFWriter, name: str, array: NDArray[np.float32], weight_type: WeightType
) -> bool:
    """Add a weight; returns whether it has the type that was asked for.

    Vectors and positions are always float32, as llama.cpp's converter leaves them.
    """
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    array = np.ascontiguousarray(array)
    if weight_type == "float32" or array.ndim == 1 or name.startswith("position_embd"):
        writer.add_tensor(name, array)
        return True
    if weight_type == "float16" or array.shape[-1] % BLOCK:
        writer.add_tensor(name, array.astype(np.float16))
        return weight_type == "float16"
    kind = GGMLQuantizationType[weight_type.upper()]
    writer.add_tensor(name, quantize(array, kind), raw_dtype=kind)
    return True


def _file_type(weight_type: WeightType) -> int:
    from gguf import LlamaFileType

    return int(
        {
            "float32": LlamaFileType.ALL_F32,
            "float16": LlamaFileType.MOSTLY_F16,
            "q8_0": LlamaFileType.MOSTLY_Q8_0,
            "q4_0": LlamaFileType.MOSTLY_Q4_0,
        }[weight_type]
    )
