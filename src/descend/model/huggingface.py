"""Conversion to and from the layouts of `transformers`: names, orientation, config.json.

All architectures are networks that `transformers` ships, so a saved folder needs no code of
ours: `gpt` is GPT-2, `modern` is Arcee, `llama` is in `llama_layout`. What differs stands in
tables; the functions below them know no architecture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from descend.data.tokenizer import Tokenizer
from descend.model.header import check_header
from descend.model.llama_layout import (
    DIALECTS,
    drop_computed_tensors,
    is_llama_config,
    llama_weights,
    read_llama_shape,
    write_llama_config,
)
from descend.model.sampling import SamplingOptions
from descend.model.shape import NORM_EPSILON, ROTARY_BASE, Architecture, ModelShape
from descend.model.transformer import Transformer
from descend.model.weight_mapping import (
    OURS_BLOCK,
    RESTORE_HINT,
    WeightMapping,
    config_error,
    weights_error,
)


def _all_three(kind: str) -> tuple[str, ...]:
    return tuple(f"attention.{part}.{kind}" for part in ("query", "key", "value"))


class ArchitectureLayout(NamedTuple):
    """The layout of an architecture in `transformers`."""

    sizes: dict[str, str]
    """Field of `ModelShape` to key of config.json."""
    fixed: dict[str, Any]
    """Keys of config.json that decide what is computed, and are the same for every model."""
    needed: frozenset[str]
    """Those of them without which `transformers` would compute something else."""
    extra_config: dict[str, Any]
    """Keys that decide nothing here; not looked at when reading."""
    outer: tuple[WeightMapping, ...]
    block: tuple[WeightMapping, ...]
    theirs_block: str
    """What stands before the names of block number {}; before ours stands `OURS_BLOCK`."""


LAYOUTS: dict[Architecture, ArchitectureLayout] = {
    "gpt": ArchitectureLayout(
        sizes={
            "vocab_size": "vocab_size",
            "embed_dim": "n_embd",
            "num_heads": "n_head",
            "num_layers": "n_layer",
            "ff_dim": "n_inner",
            "max_seq_len": "n_positions",
        },
        fixed={
            "model_type": "gpt2",
            "activation_function": "gelu_new",
            "layer_norm_epsilon": NORM_EPSILON,
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "reorder_and_upcast_attn": False,
            "add_cross_attention": False,
            "tie_word_embeddings": True,
        },
        needed=frozenset({"model_type"}),
        extra_config={
            "architectures": ["GPT2LMHeadModel"],
            "attn_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "resid_pdrop": 0.0,
        },
        outer=(
            WeightMapping(("token_embedding.weight",), "transformer.wte.weight"),
            WeightMapping(("position_embedding.weight",), "transformer.wpe.weight"),
            WeightMapping(("final_norm.weight",), "transformer.ln_f.weight"),
            WeightMapping(("final_norm.bias",), "transformer.ln_f.bias"),
        ),
        block=(
            WeightMapping(("attention_norm.weight",), "ln_1.weight"),
            WeightMapping(("attention_norm.bias",), "ln_1.bias"),
            WeightMapping(_all_three("weight"), "attn.c_attn.weight", transposed=True),
            WeightMapping(_all_three("bias"), "attn.c_attn.bias"),
            WeightMapping(("attention.output.weight",), "attn.c_proj.weight", transposed=True),
            WeightMapping(("attention.output.bias",), "attn.c_proj.bias"),
            WeightMapping(("ff_norm.weight",), "ln_2.weight"),
            WeightMapping(("ff_norm.bias",), "ln_2.bias"),
            WeightMapping(("ff.up.weight",), "mlp.c_fc.weight", transposed=True),
            WeightMapping(("ff.up.bias",), "mlp.c_fc.bias"),
            WeightMapping(("ff.down.weight",), "mlp.c_proj.weight", transposed=True),
            WeightMapping(("ff.down.bias",), "mlp.c_proj.bias"),
        ),
        theirs_block="transformer.h.{}.",
    ),
    "modern": ArchitectureLayout(
        sizes={
            "vocab_size": "vocab_size",
            "embed_dim": "hidden_size",
            "num_heads": "num_attention_heads",
            "num_layers": "num_hidden_layers",
            "ff_dim": "intermediate_size",
            "max_seq_len": "max_position_embeddings",
        },
        fixed={
            "model_type": "arcee",
            "hidden_act": "relu2",
            "rms_norm_eps": NORM_EPSILON,
            "rope_parameters": {"rope_type": "default", "rope_theta": ROTARY_BASE},
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": False,
        },
        needed=frozenset({"model_type", "rope_parameters"}),
        extra_config={
            "architectures": ["ArceeForCausalLM"],
            "rope_theta": ROTARY_BASE,  # where transformers 4 looks for it
            "attention_dropout": 0.0,
        },
        outer=(
            WeightMapping(("token_embedding.weight",), "model.embed_tokens.weight"),
            WeightMapping(("final_norm.weight",), "model.norm.weight"),
            WeightMapping(("head.weight",), "lm_head.weight"),
        ),
        block=(
            WeightMapping(("attention_norm.weight",), "input_layernorm.weight"),
            WeightMapping(("attention.query.weight",), "self_attn.q_proj.weight"),
            WeightMapping(("attention.key.weight",), "self_attn.k_proj.weight"),
            WeightMapping(("attention.value.weight",), "self_attn.v_proj.weight"),
            WeightMapping(("attention.output.weight",), "self_attn.o_proj.weight"),
            WeightMapping(("ff_norm.weight",), "post_attention_layernorm.weight"),
            WeightMapping(("ff.up.weight",), "mlp.up_proj.weight"),
            WeightMapping(("ff.down.weight",), "mlp.down_proj.weight"),
        ),
        theirs_block="model.layers.{}.",
    ),
}

MAX_DIMENSION = 2**24
"""No size is as large: with it, the number of weights of a matrix stays a 64-bit number."""


def to_huggingface(model: Transformer, end_id: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return config.json and the weights of `model`, on the CPU, by the names of `transformers`."""
    shape, state = model.shape, model.state_dict()
    weights = list(_weights(shape))
    theirs: dict[str, Tensor] = {}
    for weight in weights:
        joined = torch.cat([state[name].detach().cpu() for name in weight.local_names])
        theirs[weight.hf_name] = (joined.T if weight.transposed else joined).contiguous()
    missing_names = {n for n, _ in model.named_parameters()} - {
        n for w in weights for n in w.local_names
    }
    if missing_names:
        raise NotImplementedError(f"{sorted(missing_names)} have no place in LAYOUTS")
    config = _architecture_config(shape)
    config |= {"bos_token_id": end_id, "eos_token_id": end_id, "pad_token_id": None}
    dtype = str(model.token_embedding.weight.dtype).removeprefix("torch.")
    config |= {"use_cache": True, "dtype": dtype}
    if shape.architecture == "gpt":
        config["n_ctx"] = shape.max_seq_len  # llama.cpp's converter asks for it
    return config, theirs


def _architecture_config(shape: ModelShape) -> dict[str, Any]:
    """Return the keys of config.json that say which network it is."""
    if shape.architecture == "llama":
        return write_llama_config(shape)
    layout = LAYOUTS[shape.architecture]
    sizes = {key: getattr(shape, field) for field, key in layout.sizes.items()}
    return layout.fixed | layout.extra_config | sizes


def from_huggingface(
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
) -> Transformer:
    """Build the network of a config.json and its weights, in float32 on the CPU.

    `RunFolderError` for another kind of network, and for weights that are missing, too many or
    of another shape. Uses no random numbers.
    """
    shape = shape_from_config(config)
    if shape.num_layers > len(state):
        raise weights_error(f"{len(state)} weights", f"those of {shape.num_layers} blocks")
    with torch.device("meta"):  # shapes only: what does not fit is refused before it is built
        expected = {name: w.shape for name, w in Transformer(shape).state_dict().items()}
    weights = list(_weights(shape))
    names = {w.hf_name for w in weights}
    state = _with_full_names(state) if shape.architecture == "gpt" else state
    state = drop_computed_tensors(state, shape) if shape.architecture == "llama" else state
    if unknown := sorted(state.keys() - names):
        raise weights_error(
            f"a weight {unknown[0]} that has no place in it", "those of the network"
        )
    ours = {n: part for w in weights for n, part in _parts(w, state, expected).items()}
    for name, tensor in ours.items():
        if not torch.isfinite(tensor).all():
            raise weights_error(f"numbers in {name} that are not finite", "finite weights")
    if "head.weight" not in ours:  # tied
        ours["head.weight"] = ours["token_embedding.weight"]
    with torch.random.fork_rng(devices=[]):  # building draws weights, which are overwritten
        model = Transformer(shape)
    model.load_state_dict(ours)
    return model.eval()


def shape_from_config(config: Mapping[str, Any]) -> ModelShape:
    """Read the sizes from config.json; `RunFolderError` for another kind of network."""
    if is_llama_config(config):
        return read_llama_shape(config)
    known = {layout.fixed["model_type"]: name for name, layout in LAYOUTS.items()}
    architecture = known.get(str(config.get("model_type")))
    if architecture is None:
        raise config_error(
            f"model_type {config.get('model_type')!r}", ", ".join([*known, *DIALECTS]),
            "use a model of one of these kinds",
        )  # fmt: skip
    layout = LAYOUTS[architecture]
    for key, value in layout.fixed.items():
        if config.get(key, value) != value or (key in layout.needed and key not in config):
            actual = f"{key} {config[key]!r}" if key in config else f"no {key}"
            raise config_error(
                actual, f"{value!r} ({architecture})", "use a folder that descend wrote"
            )
    sizes = {field: config.get(key) for field, key in layout.sizes.items()}
    if architecture == "gpt" and sizes["ff_dim"] is None and isinstance(sizes["embed_dim"], int):
        sizes["ff_dim"] = 4 * sizes["embed_dim"]  # what GPT-2 means by no n_inner
    for field, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < MAX_DIMENSION:
            raise config_error(
                f"{layout.sizes[field]} {value!r}",
                f"a whole number from 1 to {MAX_DIMENSION}",
                RESTORE_HINT,
            )
    shape = msgspec.convert({"architecture": architecture} | sizes, ModelShape)
    if shape.embed_dim % shape.num_heads or (architecture == "modern" and shape.head_dim % 2):
        key = layout.sizes["num_heads"]
        raise config_error(
            f"{key} {shape.num_heads}",
            f"heads of equal{' and even' if architecture == 'modern' else ''} size within "
            f"{layout.sizes['embed_dim']} {shape.embed_dim}",
            RESTORE_HINT,
        )
    return shape


def _with_full_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """GPT-2's weights by the names of `GPT2LMHeadModel`.

    Published folders hold those of `GPT2Model`, without `transformer.`. Some hold the causal masks
    and the head, which is tied to the embedding, as well.
    """
    full = {}
    for name, tensor in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")) or name == "lm_head.weight":
            continue
        full[name if name.startswith("transformer.") else f"transformer.{name}"] = tensor
    return full


def _weights(shape: ModelShape) -> Iterator[WeightMapping]:
    """List all weights of a network by their full names."""
    if shape.architecture == "llama":
        yield from llama_weights(shape)
        return
    layout = LAYOUTS[shape.architecture]
    yield from layout.outer
    for n in range(shape.num_layers):
        ours, theirs = OURS_BLOCK.format(n), layout.theirs_block.format(n)
        for weight in layout.block:
            names = tuple(ours + name for name in weight.local_names)
            yield WeightMapping(names, theirs + weight.hf_name, weight.transposed)


def _parts(
    weight: WeightMapping, state: Mapping[str, Tensor], expected: Mapping[str, torch.Size]
) -> dict[str, Tensor]:
    """Return our weights from theirs; the shape is checked before anything is copied."""
    rows, *columns = expected[weight.local_names[0]]
    expected_shape = (rows * len(weight.local_names), *columns)[:: -1 if weight.transposed else 1]
    weight_tensor = state.get(weight.hf_name)
    if weight_tensor is None:
        raise weights_error(f"no weight {weight.hf_name}", "every weight of the network")
    if weight_tensor.shape != expected_shape or not weight_tensor.is_floating_point():
        raise weights_error(
            f"weight {weight.hf_name} of shape {tuple(weight_tensor.shape)} in"
            f" {weight_tensor.dtype}",
            f"real numbers of shape {expected_shape}, as config.json says",
        )
    parts = (weight_tensor.T if weight.transposed else weight_tensor).chunk(len(weight.local_names))
    return dict(zip(weight.local_names, parts, strict=True))


def weights_to_bytes(state: Mapping[str, Tensor]) -> bytes:
    """Return the content of model.safetensors."""
    return save(dict(state), metadata={"format": "pt"})  # transformers 4 expects it


def weights_from_bytes(content: bytes) -> dict[str, Tensor]:
    """Read the weights of a model.safetensors; `RunFolderError` if it is damaged."""
    try:
        check_header(content)
        return load(content)
    except (
        msgspec.DecodeError,
        SafetensorError,
        ValueError,
        KeyError,
        RuntimeError,
        OverflowError,
    ) as problem:
        reason = str(problem).splitlines()[0][:80] if str(problem) else type(problem).__name__
        raise weights_error(
            f"a damaged file ({reason})", "the weights in safetensors format"
        ) from None


def generation_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return generation_config.json with the defaults of descend, for `transformers`."""
    sampling_options = SamplingOptions()
    end_id = tokenizer.eos_token_id
    return {
        "do_sample": not sampling_options.greedy,
        "temperature": sampling_options.temperature,
        "top_k": sampling_options.top_k,
        "top_p": sampling_options.top_p,
        "repetition_penalty": sampling_options.repetition_penalty,
        "no_repeat_ngram_size": sampling_options.no_repeat_ngram_size,
        "bos_token_id": tokenizer.start_ids[0] if tokenizer.start_ids else end_id,
        "eos_token_id": end_id,
        "pad_token_id": end_id,
    }


def tokenizer_config(
    tokenizer: Tokenizer, max_seq_len: int, chat_template: str | None = None
) -> dict[str, Any]:
    """Return a tokenizer_config.json with which `AutoTokenizer` reads tokenizer.json as it is.

    `split_special_tokens`: as with us, text that spells the end token does not become it.
    """
    end = tokenizer.end_token
    start = tokenizer.backend.id_to_token(tokenizer.start_ids[0]) if tokenizer.start_ids else end
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_seq_len,
        # Without it, transformers 4 gives token_type_ids too, and GPT-2 adds an embedding for them.
        "model_input_names": ["input_ids", "attention_mask"],
        "bos_token": start,
        "eos_token": end,
        "pad_token": end,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
    }
    return config if chat_template is None else config | {"chat_template": chat_template}
