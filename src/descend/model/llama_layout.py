"""The layouts of Llama, Mistral, Qwen2, and Qwen3 in `transformers`: one network, four dialects.

What descend cannot compute exactly is refused. Defaults are those of the configuration classes of
`transformers`, which leave out keys that have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from descend.errors import RunFolderError, shorten
from descend.model.shape import ModelShape, NetworkDetails, RotaryScaling
from descend.model.weight_mapping import OURS_BLOCK, WeightMapping, config_error

FIX = "use a model without it, or train it with the program that made it"

DEFAULT_EPSILON, DEFAULT_ROTARY_BASE = 1e-6, 10_000.0

MAX_INTEGER = 2**24


class Dialect(NamedTuple):
    """What a model type means by a key that its config.json leaves out."""

    architecture: str
    num_kv_heads: int | None = None
    head_size: int | None = None
    window: int | None = None


DIALECTS = {
    "llama": Dialect("LlamaForCausalLM"),
    "mistral": Dialect("MistralForCausalLM", num_kv_heads=8, window=4096),
    "qwen2": Dialect("Qwen2ForCausalLM", num_kv_heads=32, window=4096),
    "qwen3": Dialect("Qwen3ForCausalLM", num_kv_heads=32, head_size=128, window=4096),
}

SIZES = {
    "vocab_size": "vocab_size",
    "embed_dim": "hidden_size",
    "num_heads": "num_attention_heads",
    "num_layers": "num_hidden_layers",
    "ff_dim": "intermediate_size",
    "max_seq_len": "max_position_embeddings",
}
"""Field of `ModelShape` to key of config.json."""


def is_llama_config(config: Mapping[str, Any]) -> bool:
    """Return whether config.json is of a model type of this file."""
    return str(config.get("model_type")) in DIALECTS


def read_llama_shape(config: Mapping[str, Any]) -> ModelShape:
    """Return the network of config.json; `RunFolderError` for one that descend does not compute."""
    model_type = str(config["model_type"])
    _refuse_unsupported(config)
    sizes = {field: _read_size(config, key) for field, key in SIZES.items()}
    details = _read_details(model_type, config, sizes)
    shape = ModelShape(architecture="llama", **sizes, details=details)
    if shape.num_heads % shape.num_kv_heads:
        raise config_error(
            f"num_key_value_heads {shape.num_kv_heads}",
            f"a divisor of num_attention_heads {shape.num_heads}", FIX,
        )  # fmt: skip
    if details.head_size is None and shape.embed_dim % shape.num_heads:
        raise config_error(
            f"num_attention_heads {shape.num_heads}",
            f"a divisor of hidden_size {shape.embed_dim}", FIX,
        )  # fmt: skip
    if shape.head_dim % 2:
        raise config_error(f"heads of size {shape.head_dim}", "an even size", FIX)
    return shape


def write_llama_config(shape: ModelShape) -> dict[str, Any]:
    """Return the keys of config.json that `read_llama_shape` reads."""
    details = shape.details
    parameters, scaling = _rope_parameters(details), details.rotary_scaling
    config: dict[str, Any] = {key: getattr(shape, field) for field, key in SIZES.items()}
    config |= {
        "model_type": details.model_type,
        "architectures": [DIALECTS[details.model_type].architecture],
        "num_key_value_heads": shape.num_kv_heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": details.norm_epsilon,
        "rope_parameters": parameters,
        "rope_theta": details.rotary_base,  # where transformers 4 looks for it
        "attention_dropout": 0.0,
        "tie_word_embeddings": details.is_tied,
    }
    if scaling is not None:
        config["rope_scaling"] = parameters
    if details.model_type in ("llama", "qwen3"):
        config["attention_bias"] = details.qkv_bias
    if details.model_type == "llama":
        config["mlp_bias"] = details.ff_bias
        return config
    window = max(details.windows, default=0)
    config["sliding_window"] = window or None
    if details.model_type != "mistral":
        config["use_sliding_window"] = bool(window)
        config["layer_types"] = [
            "sliding_attention" if index < len(details.windows) and details.windows[index]
            else "full_attention"
            for index in range(shape.num_layers)
        ]  # fmt: skip
        config["max_window_layers"] = config["layer_types"].count("full_attention")
    return config


def llama_weights(shape: ModelShape) -> Iterator[WeightMapping]:
    """List all weights of the network by their full names."""
    yield WeightMapping(("token_embedding.weight",), "model.embed_tokens.weight")
    yield WeightMapping(("final_norm.weight",), "model.norm.weight")
    if not shape.is_tied:
        yield WeightMapping(("head.weight",), "lm_head.weight")
    for index in range(shape.num_layers):
        for ours, theirs in _block_names(shape.details):
            yield WeightMapping(
                (OURS_BLOCK.format(index) + ours,), f"model.layers.{index}.{theirs}"
            )


def drop_computed_tensors(state: Mapping[str, Any], shape: ModelShape) -> dict[str, Any]:
    """Return `state` without what old files hold besides weights, and without a tied head."""
    return {
        name: tensor
        for name, tensor in state.items()
        if not name.endswith(".rotary_emb.inv_freq")
        and not (name == "lm_head.weight" and shape.is_tied)
    }


def _block_names(details: NetworkDetails) -> Iterator[tuple[str, str]]:
    """Yield our name and theirs of each weight of a block."""
    yield "attention_norm.weight", "input_layernorm.weight"
    yield "ff_norm.weight", "post_attention_layernorm.weight"
    for ours, theirs in (("query", "q"), ("key", "k"), ("value", "v"), ("output", "o")):
        yield f"attention.{ours}.weight", f"self_attn.{theirs}_proj.weight"
        if details.output_bias if ours == "output" else details.qkv_bias:
            yield f"attention.{ours}.bias", f"self_attn.{theirs}_proj.bias"
    if details.query_key_norm:
        yield "attention.query_norm.weight", "self_attn.q_norm.weight"
        yield "attention.key_norm.weight", "self_attn.k_norm.weight"
    for name in ("gate", "up", "down"):
        yield f"ff.{name}.weight", f"mlp.{name}_proj.weight"
        if details.ff_bias:
            yield f"ff.{name}.bias", f"mlp.{name}_proj.bias"


def _refuse_unsupported(config: Mapping[str, Any]) -> None:
    """Raise `RunFolderError` for a key that changes what is computed in a way that is not built
    here."""
    if config.get("hidden_act", "silu") != "silu":
        raise _unsupported(config, "hidden_act", "'silu'")
    if config.get("quantization_config") is not None:
        raise config_error("quantized weights", "weights in float32, float16, or bfloat16", FIX)
    for key in ("partial_rotary_factor", "pretraining_tp"):
        if config.get(key) not in (None, 1, 1.0):
            raise _unsupported(config, key, "1")


def _unsupported(config: Mapping[str, Any], key: str, expected: str) -> RunFolderError:
    return config_error(f"{key} {shorten(repr(config.get(key)), 80)}", expected, FIX)


def _read_details(
    model_type: str, config: Mapping[str, Any], sizes: Mapping[str, int]
) -> NetworkDetails:
    dialect = DIALECTS[model_type]
    # Without these keys each class means its own default; null is as many as the query heads.
    kv_heads = config.get("num_key_value_heads", dialect.num_kv_heads)
    head_size = config.get("head_dim", dialect.head_size) if model_type != "qwen2" else None
    if model_type == "qwen3" and head_size is None:
        raise _unsupported(config, "head_dim", "a whole number")
    base, scaling = _read_rotary(config, sizes["max_seq_len"])
    attention_bias = model_type in ("llama", "qwen3") and _read_flag(config, "attention_bias")
    return NetworkDetails(
        model_type=model_type,
        num_kv_heads=None if kv_heads is None else _check_size("num_key_value_heads", kv_heads),
        head_size=None if head_size is None else _check_size("head_dim", head_size),
        norm_epsilon=_read_number(config, "rms_norm_eps", DEFAULT_EPSILON),
        rotary_base=base,
        rotary_scaling=scaling,
        windows=_read_windows(model_type, config, sizes["num_layers"]),
        query_key_norm=model_type == "qwen3",
        qkv_bias=attention_bias or model_type == "qwen2",
        output_bias=attention_bias,
        ff_bias=model_type == "llama" and _read_flag(config, "mlp_bias"),
        is_tied=_read_flag(config, "tie_word_embeddings"),
    )


def _read_rotary(config: Mapping[str, Any], max_seq_len: int) -> tuple[float, RotaryScaling | None]:
    """Return the base and scaling: in `rope_parameters` (transformers 5) or beside `rope_scaling`
    (4)."""
    parameters = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(parameters, dict):
        raise _unsupported(config, "rope_parameters", "an object")
    base = _read_number(
        parameters if "rope_theta" in parameters else config, "rope_theta", DEFAULT_ROTARY_BASE
    )
    kind = parameters.get("rope_type", parameters.get("type", "default"))
    if parameters.get("partial_rotary_factor") not in (None, 1, 1.0):
        raise _unsupported(parameters, "partial_rotary_factor", "1")
    if kind == "default":
        return base, None
    if kind == "linear":
        return base, RotaryScaling("linear", _read_number(parameters, "factor"))
    if kind != "llama3":
        raise config_error(
            f"rope_type {shorten(repr(kind), 40)}", "'default', 'linear', or 'llama3'", FIX
        )
    key = "original_max_position_embeddings"
    scaling = RotaryScaling(
        "llama3",
        _read_number(parameters, "factor"),
        _read_number(parameters, "low_freq_factor"),
        _read_number(parameters, "high_freq_factor"),
        _check_size(key, parameters.get(key, config.get(key, max_seq_len))),
    )
    if scaling.high_freq_factor <= scaling.low_freq_factor:
        raise _unsupported(parameters, "high_freq_factor", "more than low_freq_factor")
    return base, scaling


def _read_windows(model_type: str, config: Mapping[str, Any], num_layers: int) -> tuple[int, ...]:
    """Return the window of each layer; empty where all layers see everything."""
    window = config.get("sliding_window", DIALECTS[model_type].window)
    if model_type == "llama" or window is None:
        return ()
    if model_type == "mistral":
        return (_check_size("sliding_window", window),) * num_layers
    if not _read_flag(config, "use_sliding_window"):
        return ()
    window = _check_size("sliding_window", window)
    types = config.get("layer_types")
    if types is None:
        first = config.get("max_window_layers", 28)
        return tuple(window if index >= first else 0 for index in range(num_layers))
    known = {"sliding_attention": window, "full_attention": 0}
    if not isinstance(types, list) or len(types) != num_layers or not known.keys() >= set(types):
        raise _unsupported(config, "layer_types", f"{num_layers} times {' or '.join(known)}")
    return tuple(known[name] for name in types)


def _rope_parameters(details: NetworkDetails) -> dict[str, Any]:
    scaling = details.rotary_scaling
    if scaling is None:
        return {"rope_type": "default", "rope_theta": details.rotary_base}
    values = {"rope_type": scaling.kind, "rope_theta": details.rotary_base,
              "factor": scaling.factor}  # fmt: skip
    if scaling.kind == "linear":
        return values
    return values | {
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_max_seq_len,
    }


def _read_size(config: Mapping[str, Any], key: str) -> int:
    return _check_size(key, config.get(key))


def _check_size(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < MAX_INTEGER:
        raise config_error(
            f"{key} {shorten(repr(value), 40)}", f"a whole number from 1 to {MAX_INTEGER}", FIX
        )
    return value


def _read_flag(config: Mapping[str, Any], key: str) -> bool:
    value = config.get(key, False)
    if not isinstance(value, bool):
        raise _unsupported(config, key, "true or false")
    return value


def _read_number(config: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = config.get(key, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1e12:
        raise _unsupported(config, key, "a positive number")
    return float(value)
