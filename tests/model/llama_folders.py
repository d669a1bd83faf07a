"""Tiny folders of Llama, Mistral, Qwen2, and Qwen3, written by `transformers` itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

TEXT = "".join(f"The fox number {n} sees {n * 7 % 90} hens.\n" for n in range(600))

SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "eos_token_id": 1, "bos_token_id": 0,
}  # fmt: skip

LLAMA3_SCALING = {
    "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
}  # fmt: skip

VARIANTS: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "llama tied": {"model_type": "llama", "tie_word_embeddings": True},
    "llama full heads": {"model_type": "llama", "num_key_value_heads": 4},
    "llama biases": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "llama head size": {"model_type": "llama", "head_dim": 12, "rms_norm_eps": 1e-5},
    "llama3 scaling": {"model_type": "llama", "rope_parameters": LLAMA3_SCALING},
    "linear scaling": {
        "model_type": "llama",
        "rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0},
    },
    "mistral": {"model_type": "mistral", "sliding_window": None},
    "mistral window": {"model_type": "mistral", "sliding_window": 7},
    "qwen2": {"model_type": "qwen2", "tie_word_embeddings": True},
    "qwen3": {"model_type": "qwen3", "head_dim": 16, "tie_word_embeddings": True},
    "qwen3 untied biases": {"model_type": "qwen3", "head_dim": 8, "attention_bias": True},
    "qwen3 windows": {
        "model_type": "qwen3", "head_dim": 8, "use_sliding_window": True, "sliding_window": 6,
        "max_window_layers": 1,
    },
}  # fmt: skip


def make_byte_tokenizer(end: str = "<|end_of_text|>", start: str = "<|begin|>") -> Tokenizer:
    """Byte-level BPE that puts a start token before a text, as Llama 3's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=[start, end], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single=f"{start} $A", pair=f"{start} $A {start} $B", special_tokens=[(start, 0)]
    )
    return tokenizer


def make_sentencepiece_tokenizer() -> Tokenizer:
    """BPE that spells spaces as a sign and falls back to bytes, as that of Llama 2 and Mistral."""
    alphabet = sorted(set(TEXT.replace(" ", "\u2581") + "the fox") - {"\n", " "})
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = ["<s>", "</s>", "<unk>", *bytes_, *alphabet]
    words = ["\u2581t", "\u2581th", "\u2581the", "\u2581f", "\u2581fo", "\u2581fox"]
    vocabulary = {token: index for index, token in enumerate([*tokens, *words, "he"])}
    merges = [("\u2581", "t"), ("\u2581t", "h"), ("\u2581th", "e"), ("\u2581t", "he"),
              ("\u2581", "f"), ("\u2581f", "o"), ("\u2581fo", "x"), ("h", "e")]  # fmt: skip
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence(  # type: ignore[assignment]
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = decoders.Sequence(  # type: ignore[assignment]
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in ("<s>", "</s>", "<unk>")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)]
    )
    return tokenizer


def write_folder(
    folder: Path,
    variant: dict[str, Any],
    tokenizer: Tokenizer | None = None,
    unnamed_ids: int = 0,
    max_shard_size: str = "1GB",
) -> Path:
    """Write a random model of `variant` and its tokenizer by `save_pretrained`."""
    tokenizer = tokenizer or make_byte_tokenizer()
    values = SIZES | variant | {"vocab_size": tokenizer.get_vocab_size() + unnamed_ids}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**values)).float()
    with torch.no_grad():  # as after a training: no weight is 0 or 1, and attention is not flat
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokenizer.id_to_token(0),
        eos_token=tokenizer.id_to_token(1),
    ).save_pretrained(folder)
    return folder
