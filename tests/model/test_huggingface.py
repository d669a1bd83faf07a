"""The layouts of `transformers`: there and back, and what does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from descend.data.tokenizer import train_tokenizer
from descend.errors import RunFolderError
from descend.model.huggingface import (
    from_huggingface,
    generation_config,
    shape_from_config,
    to_huggingface,
    tokenizer_config,
    weights_from_bytes,
    weights_to_bytes,
)
from descend.model.sampling import SamplingOptions
from descend.model.shape import Architecture, ModelShape
from descend.model.transformer import Transformer

ARCHITECTURES: list[Architecture] = ["gpt", "modern"]
SHAPES = [(31, 8, 1, 1, 12, 9), (60, 24, 3, 2, 40, 16), (97, 32, 4, 3, 128, 33)]
END_ID = 3


def noisy(architecture: Architecture, sizes: tuple[int, ...] = SHAPES[1]) -> Transformer:
    """A model with no weight at the value it starts from, zeros and ones among these."""
    model = Transformer(ModelShape(architecture, *sizes)).eval()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.4 * torch.randn(weight.shape, generator=generator) + 0.1)
    return model


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_transformers_computes_the_same(architecture: Architecture, sizes: tuple[int, ...]) -> None:
    model = noisy(architecture, sizes)
    config, state = to_huggingface(model, END_ID)
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config)).eval()
    missing = theirs.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert set(missing.missing_keys) <= {"lm_head.weight"}  # tied
    ids = torch.arange(sizes[5])[None].repeat(2, 1) % sizes[0]
    with torch.no_grad():
        ours_BTV, theirs_BTV = model(ids), theirs(ids).logits
    assert ours_BTV.std() > 0.1
    torch.testing.assert_close(ours_BTV, theirs_BTV, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_huggingface_round_trip_is_bitwise_identical(
    architecture: Architecture, sizes: tuple[int, ...]
) -> None:
    model = noisy(architecture, sizes)
    config, state = to_huggingface(model, END_ID)
    random_before = torch.get_rng_state()
    back = from_huggingface(config, weights_from_bytes(weights_to_bytes(state)))
    assert torch.equal(torch.get_rng_state(), random_before)
    assert back.shape == model.shape
    for (name, ours), again in zip(
        model.state_dict().items(), back.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, again), name
    assert sum(p.numel() for p in back.parameters()) == sum(p.numel() for p in model.parameters())
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(back(ids), model(ids))


def test_exported_weights_do_not_alias_the_model() -> None:
    model = noisy("modern")
    _, state = to_huggingface(model, END_ID)
    before = {name: weight.clone() for name, weight in state.items()}
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert all(torch.equal(state[name], before[name]) for name in state)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_half_precision_weights_are_read_too(architecture: Architecture) -> None:
    model = noisy(architecture)
    config, state = to_huggingface(model.bfloat16(), END_ID)
    assert config["dtype"] == "bfloat16"
    back = from_huggingface(config, state)
    assert {p.dtype for p in back.parameters()} == {torch.float32}
    assert torch.equal(back.token_embedding.weight.bfloat16(), model.token_embedding.weight)


Damage = Callable[[dict[str, Any], dict[str, Tensor]], Any]


def _first(state: dict[str, Tensor]) -> str:
    return sorted(state)[0]


DAMAGES: dict[str, tuple[str, Damage]] = {
    "another model": ("config.json", lambda c, s: c.update(model_type="llama")),
    "no model type": ("config.json", lambda c, s: c.pop("model_type")),
    "a number as model type": ("config.json", lambda c, s: c.update(model_type=[1])),
    "another feed-forward": (
        "config.json",
        lambda c, s: c.update(activation_function="relu", hidden_act="silu"),
    ),
    "another epsilon": (
        "config.json",
        lambda c, s: c.update(layer_norm_epsilon=0.1, rms_norm_eps=0.1),
    ),
    "no size": ("config.json", lambda c, s: c.pop("vocab_size")),
    "a size of another type": ("config.json", lambda c, s: c.update(vocab_size="60")),
    "a size below one": ("config.json", lambda c, s: c.update(vocab_size=0)),
    "a size beyond reason": ("config.json", lambda c, s: c.update(vocab_size=2**40)),
    "another vocabulary": ("model.safetensors", lambda c, s: c.update(vocab_size=61)),
    "layers beyond the weights": (
        "model.safetensors",
        lambda c, s: c.update(n_layer=10**6, num_hidden_layers=10**6),
    ),
    "fewer layers than weights": (
        "model.safetensors",
        lambda c, s: c.update(n_layer=1, num_hidden_layers=1),
    ),
    "heads that do not fit": (
        "config.json",
        lambda c, s: c.update(n_head=5, num_attention_heads=5),
    ),
    "a missing weight": ("model.safetensors", lambda c, s: s.pop(_first(s))),
    "a weight too many": ("model.safetensors", lambda c, s: s.update(extra=torch.zeros(1))),
    "a weight of another shape": (
        "model.safetensors",
        lambda c, s: s.update({_first(s): s[_first(s)][..., :-1]}),
    ),
    "a weight turned round": (
        "model.safetensors",
        lambda c, s: s.update({n: w.T for n, w in s.items() if w.ndim == 2 and "mlp" in n}),
    ),
    "whole numbers": (
        "model.safetensors",
        lambda c, s: s.update({_first(s): s[_first(s)].long()}),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_from_huggingface_rejects_inconsistent_config_or_weights(
    architecture: Architecture, damage: str
) -> None:
    config, state = to_huggingface(noisy(architecture), END_ID)
    from_huggingface(config, state)
    where, change = DAMAGES[damage]
    change(config, state)
    with pytest.raises(RunFolderError) as caught:
        from_huggingface(config, state)
    assert caught.value.location == where


def test_other_rotary_positions_are_another_network() -> None:
    config, _ = to_huggingface(noisy("modern"), END_ID)
    shape_from_config(config)
    scaled = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
    left_out = {k: v for k, v in config.items() if k != "rope_parameters"}
    for other in [config | {"rope_parameters": scaled}, left_out]:
        with pytest.raises(RunFolderError, match="rope_parameters"):
            shape_from_config(other)


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_damaged_weights_are_refused_or_still_weights(data: st.DataObject) -> None:
    content = bytearray(weights_to_bytes(to_huggingface(noisy("gpt", SHAPES[0]), END_ID)[1]))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, 2500))] = data.draw(st.integers(0, 255))
    refused: str | None = None
    try:
        state = weights_from_bytes(bytes(content))
    except RunFolderError as problem:
        refused = problem.location
    if refused is None:
        assert all(isinstance(weight, Tensor) for weight in state.values())
    else:
        assert refused == "model.safetensors"


def test_the_file_says_whose_tensors_it_holds() -> None:
    content = weights_to_bytes({"a": torch.zeros(2)})  # transformers 4 refuses a file without
    assert b'"__metadata__":{"format":"pt"}' in content[:200]


def test_a_cut_file_is_refused() -> None:
    content = weights_to_bytes(to_huggingface(noisy("gpt"), END_ID)[1])
    assert weights_from_bytes(content)
    for length in (0, 4, 100, len(content) - 1):
        with pytest.raises(RunFolderError, match="damaged"):
            weights_from_bytes(content[:length])


def test_the_generation_defaults_are_those_of_the_settings() -> None:
    tokenizer = train_tokenizer("byte", 257, lambda: iter(()))
    written, sampling_options = generation_config(tokenizer), SamplingOptions()
    for key in written.keys() & set(SamplingOptions.__struct_fields__):
        assert written[key] == getattr(sampling_options, key)
    assert written["eos_token_id"] == tokenizer.eos_token_id
    assert tokenizer_config(tokenizer, 77)["model_max_length"] == 77
    assert tokenizer_config(tokenizer, 77)["eos_token"] == "<|endoftext|>"
