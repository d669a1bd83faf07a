"""A model as one GGUF file for llama.cpp and the programs on top of it.

llama.cpp's own converter refuses a tokenizer that it does not know by its hash, so the file is
written here, with the `gguf` package of llama.cpp. `gpt` is its architecture `gpt2`, `modern` its
`arcee`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from descend.data.readers.chats import CHAT_TEMPLATE
from descend.interop.export.exported_model import ExportSource, WeightType, missing_export_extra
from descend.interop.export.gguf_vocabulary import gguf_vocabulary
from descend.model.shape import NORM_EPSILON, ROTARY_BASE, ModelShape

if TYPE_CHECKING:
    from gguf import GGUFWriter

BLOCK = 32
"""Numbers that share a scale in `q8_0` and `q4_0`: rows of other lengths stay float16."""

ARCHITECTURES = {"gpt": "gpt2", "modern": "arcee"}

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
    "attention.output": "attn_output",
    "ff_norm": "ffn_norm",
    "ff.up": "ffn_up",
    "ff.down": "ffn_down",
}


def write_gguf(source: ExportSource, path: Path, weight_type: WeightType) -> list[str]:
    """Write the model to `path`; returns the matrices that stay float16, by llama.cpp's names.

    Raises `MissingDependencyError` without the package `gguf`, `TokenizerError` for a tokenizer
    that llama.cpp would read differently.
    """
    try:
        from gguf import GGUFWriter
    except ImportError:
        raise missing_export_extra("gguf") from None
    writer = GGUFWriter(path, ARCHITECTURES[source.model.shape.architecture])
    try:
        _add_sizes(writer, source)
        _add_tokenizer(writer, source)
        float16_tensors = [
            name
            for name, array in _tensors(source)
            if not _add_tensor(writer, name, array, weight_type)
        ]
        writer.add_file_type(_file_type(weight_type))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return float16_tensors


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
    writer.add_head_count_kv(shape.num_heads)
    if shape.architecture == "gpt":
        writer.add_layer_norm_eps(NORM_EPSILON)
    else:
        writer.add_layer_norm_rms_eps(NORM_EPSILON)
        writer.add_rope_dimension_count(shape.head_dim)
        writer.add_rope_freq_base(ROTARY_BASE)


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
        writer.add_token_scores([0.0] * len(vocabulary.tokens))
    for add_id in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_unk_token_id,
                   writer.add_pad_token_id):  # fmt: skip
        add_id(end_id)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    if tokenizer.knows_roles:
        writer.add_chat_template(CHAT_TEMPLATE)


def _tensors(source: ExportSource) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each weight in float32 by llama.cpp's name, matrices as (outputs, inputs)."""
    shape = source.model.shape
    state = {k: v.detach().float().cpu().numpy() for k, v in source.model.state_dict().items()}
    for module, name in _OUTER.items():
        for kind in ("weight", "bias"):
            array = state.get(f"{module}.{kind}")
            if array is None or (module == "head" and shape.architecture == "gpt"):
                continue  # llama.cpp takes the embedding as the head, too
            if module == "position_embedding":
                array = array[: source.context]
            yield f"{name}.{kind}", array
    for n in range(shape.num_layers):
        yield from _block_tensors(shape, state, n)


def _block_tensors(
    shape: ModelShape, state: dict[str, Any], n: int
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
            if name in ("attn_q", "attn_k"):
                array = _interleave_pairs(array, shape.num_heads)
            yield f"blk.{n}.{name}.{kind}", array
        if joined:
            yield f"blk.{n}.attn_qkv.{kind}", np.concatenate(joined)


def _interleave_pairs(weight: NDArray[np.float32], num_heads: int) -> NDArray[np.float32]:
    """Rows (i, i + K/2) of each head, which rotate together, side by side, as `arcee` has them."""
    rows, columns = weight.shape
    halves = weight.reshape(num_heads, 2, rows // num_heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


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
