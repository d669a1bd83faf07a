"""Exported models, read by the programs that they are for."""

from __future__ import annotations

import builtins
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as FastTokenizer

import descend
from descend.cli.main import run as run_command
from descend.data.readers.chats import MARKERS
from descend.data.tokenizer import Tokenizer, TokenizerKind, train_tokenizer
from descend.errors import ConfigError, MissingDependencyError, TokenizerError
from descend.interop.export.export_model import export_model
from descend.interop.export.gguf_file import _interleave_pairs
from descend.interop.export.gguf_vocabulary import SPLITS, gguf_vocabulary
from descend.model.shape import Architecture, ModelShape
from descend.model.transformer import Transformer
from descend.runs.model_files import save_model

from ..model.llama_folders import (
    TEXT as LLAMA_TEXT,
)
from ..model.llama_folders import (
    VARIANTS,
    make_byte_tokenizer,
    make_sentencepiece_tokenizer,
    write_folder,
)

TEXT = "The cat sat on the mat, didn't it?  é ü 漢字 🙂\n\tand the dog sat on 12 logs. " * 9
CHAT = "<|user|>\nWho sat?\n<|assistant|>\nThe cat.\n" * 20
PROMPTS = ["the cat", " dog  é🙂\n", "On the log, 漢 ñ", "a <|endoftext|> b"]
WINDOW = 64
LLAMA_CPP = Path(__file__).parents[2] / "tools" / "llama_cpp"
ARCHITECTURES: list[Architecture] = ["gpt", "modern"]
SAME_TOKENS = {"greedy": True, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}


def make_model(
    folder: Path, architecture: Architecture, kind: TokenizerKind = "bpe", embed_dim: int = 64,
    text: str = TEXT,
) -> Path:  # fmt: skip
    """A model folder with weights far from their start, so that no two tensors are alike."""
    tokenizer = train_tokenizer(kind, 290, lambda: iter([text]))
    shape = ModelShape(architecture, tokenizer.vocab_size, embed_dim, 2, 2, 96, WINDOW)
    model = Transformer(shape).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            mean = 1.0 if name.endswith("norm.weight") else 0.0
            weight.copy_(mean + 0.3 * torch.randn(weight.shape, generator=generator))
    save_model(folder, model, tokenizer)
    return folder


def forget_module(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `import name` fail, as where the package is not installed."""
    real = builtins.__import__

    def refuse(module: str, *rest: Any) -> Any:
        if module.split(".")[0] == name:
            raise ImportError(name)
        return real(module, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)


def read_with_llama_cpp(
    file: str, prompts: list[str], num_tokens: int, add_start: bool = False
) -> list[dict[str, Any]]:
    """What llama.cpp makes of each prompt: `ids`, `written`, `read_back`, `log_probabilities`."""
    node = shutil.which("node")
    if node is None or not (LLAMA_CPP / "node_modules").exists():
        pytest.skip("llama.cpp is not installed (npm, as `make test-slow` calls it)")
    question = {"file": file, "context": WINDOW, "prompts": prompts, "num_tokens": num_tokens,
                "add_start": add_start}  # fmt: skip
    process = subprocess.run(
        [node, "read_gguf.mjs"], input=json.dumps(question), cwd=LLAMA_CPP,
        capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return list(json.loads(process.stdout)["answers"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bpe", "char", "byte"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_llama_cpp_writes_the_same_greedy_text(
    tmp_path: Path, architecture: Architecture, kind: TokenizerKind
) -> None:
    pytest.importorskip("gguf", reason="the extra `export` is not installed")
    folder = make_model(tmp_path / "model", architecture, kind)
    exported = export_model(folder, "gguf", "float32")
    theirs = read_with_llama_cpp(exported.files[0].path, PROMPTS, 20)
    model = descend.load(folder)
    ours = model.complete(PROMPTS, 20, **SAME_TOKENS)
    assert len({tuple(answer.token_ids) for answer in ours}) > 1
    for prompt, their, our in zip(PROMPTS, theirs, ours, strict=True):
        assert their["ids"] == model.tokenizer.encode(prompt)
        assert their["written"] == our.token_ids
        assert their["read_back"] == prompt


@pytest.mark.slow
@pytest.mark.parametrize("weight_type", ["float32", "float16", "q8_0", "q4_0"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_llama_cpp_gives_close_probabilities_when_weights_are_smaller(
    tmp_path: Path, architecture: Architecture, weight_type: Any
) -> None:
    pytest.importorskip("gguf", reason="the extra `export` is not installed")
    folder = make_model(tmp_path / "model", architecture)
    exported = export_model(folder, "gguf", weight_type)
    prompt = "the cat sat on the mat"
    (answer,) = read_with_llama_cpp(exported.files[0].path, [prompt], 1)
    model = descend.load(folder)
    with torch.no_grad():
        ours = model.network(torch.tensor([model.tokenizer.encode(prompt)]))[0, -1].log_softmax(-1)
    likeliest = [(i, value) for i, value in answer["log_probabilities"] if ours[i] > -10]
    theirs = torch.tensor([value for _, value in likeliest])
    ours = ours[[i for i, _ in likeliest]]
    assert len(likeliest) > 20
    error = float((theirs - ours).norm() / ours.norm())
    # Relative size of the rounding: 2^-11 of float16, 1/254 of 8 bits, 1/16 of 4 bits, times a few.
    assert error < {"float32": 1e-4, "float16": 0.005, "q8_0": 0.03, "q4_0": 0.3}[weight_type]


def make_split_tokenizer(pattern: str, ignore_merges: bool) -> FastTokenizer:
    """A byte-level tokenizer that splits text by `pattern`, as those of Llama 3 and Qwen do."""
    tokenizer = FastTokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    if not ignore_merges:
        tokenizer.normalizer = normalizers.NFC()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<|begin|>", "<|end_of_text|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([TEXT], trainer)
    if ignore_merges:
        tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
            single="<|begin|> $A", pair="<|begin|> $A $B", special_tokens=[("<|begin|>", 0)]
        )
    return tokenizer


def make_converted_tokenizer() -> FastTokenizer:
    """A SentencePiece vocabulary of 400 tokens with its merges as `transformers` converts them."""
    trained = FastTokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(vocab_size=140, show_progress=False)
    trained.train_from_iterator([TEXT, LLAMA_TEXT], trainer)
    pieces = sorted(trained.get_vocab(), key=lambda piece: trained.token_to_id(piece))
    toy = json.loads(make_sentencepiece_tokenizer().to_str())
    fixed = list(toy["model"]["vocab"])[: 3 + 256]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*fixed, *pieces]))}
    splits = [
        (i, len(piece[:cut]), [piece[:cut], piece[cut:]])
        for piece, i in vocabulary.items()
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    toy["model"] |= {"vocab": vocabulary, "merges": [pair for _, _, pair in sorted(splits)]}
    toy["normalizer"] = None
    toy["pre_tokenizer"] = {
        "type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False,
    }  # fmt: skip
    return FastTokenizer.from_str(json.dumps(toy))


LLAMA_FOLDERS: dict[str, tuple[str, str]] = {
    "llama": ("llama", "gpt-2"),
    "llama tied": ("llama tied", "llama-bpe"),
    "llama biases": ("llama biases", "sentencepiece"),
    "llama head size": ("llama head size", "llama-bpe"),
    "llama3 scaling": ("llama3 scaling", "llama-bpe"),
    "linear scaling": ("linear scaling", "gpt-2"),
    "mistral": ("mistral", "sentencepiece"),
    "mistral converted": ("mistral", "converted"),
    "qwen2": ("qwen2", "qwen2"),
    "qwen3": ("qwen3", "qwen2"),
}


def write_llama_folder(folder: Path, variant: str, kind: str) -> Path:
    if kind == "sentencepiece":
        tokenizer = make_sentencepiece_tokenizer()
    elif kind == "converted":
        tokenizer = make_converted_tokenizer()
    elif kind == "gpt-2":
        tokenizer = make_byte_tokenizer()
    else:
        pattern = next(text for text, name in SPLITS.items() if name == kind)
        tokenizer = make_split_tokenizer(pattern, kind == "llama-bpe")
    return write_folder(folder, VARIANTS[variant], tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("name", LLAMA_FOLDERS)
def test_llama_cpp_writes_the_same_greedy_text_for_models_of_other_programs(
    tmp_path: Path, name: str
) -> None:
    pytest.importorskip("gguf", reason="the extra `export` is not installed")
    folder = write_llama_folder(tmp_path / "model", *LLAMA_FOLDERS[name])
    exported = export_model(folder, "gguf", "float32")
    model = descend.load(folder)
    prompts = ["the fox number 123", "It's 12 a <s> b <|begin|>\r\n\n  it", TEXT[:30]]
    if name != "mistral converted":  # `tokenizers` adds no space before one, SentencePiece does
        prompts.append(" dog  é🙂\n")
    theirs = read_with_llama_cpp(exported.files[0].path, prompts, 20, add_start=True)
    ours = model.complete(prompts, 20, **SAME_TOKENS)
    start = list(model.tokenizer.start_ids)
    assert (start == []) == (name in ("qwen2", "qwen3"))
    for prompt, their, our in zip(prompts, theirs, ours, strict=True):
        assert their["ids"] == [*start, *model.tokenizer.encode(prompt)]
        assert their["written"] == our.token_ids


@pytest.mark.slow
def test_gguf_of_windows_states_a_context_within_them(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the extra `export` is not installed")
    folder = write_llama_folder(tmp_path / "model", "mistral window", "gpt-2")
    exported = export_model(folder, "gguf", "float32")
    assert exported.context == 7


def test_gguf_refuses_what_llama_cpp_does_not_compute(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the extra `export` is not installed")
    folder = write_llama_folder(tmp_path / "model", "qwen3 untied biases", "gpt-2")
    with pytest.raises(ConfigError, match=r"qwen3 model with biases.*Fix: Export to one of them"):
        export_model(folder, "gguf")


def test_gguf_vocabulary_refuses_merges_that_llama_cpp_would_add() -> None:
    fast = make_sentencepiece_tokenizer()
    content = json.loads(fast.to_str())
    content["model"]["merges"] = content["model"]["merges"][1:]
    tokenizer = Tokenizer(FastTokenizer.from_str(json.dumps(content)))
    with pytest.raises(TokenizerError, match=r"no merge of '▁' and 't'"):
        gguf_vocabulary(tokenizer)


def test_gguf_vocabulary_refuses_an_unknown_split_into_words() -> None:
    tokenizer = Tokenizer(make_split_tokenizer(r"\w+", ignore_merges=True))
    with pytest.raises(TokenizerError, match="another split into words"):
        gguf_vocabulary(tokenizer)


@pytest.mark.parametrize("weight_type", ["float32", "float16", "q8_0", "q4_0"])
def test_gguf_holds_the_weights(tmp_path: Path, weight_type: Any) -> None:
    gguf = pytest.importorskip("gguf", reason="the extra `export` is not installed")
    folder = make_model(tmp_path / "model", "gpt")
    exported = export_model(folder, "gguf", weight_type)
    reader = gguf.GGUFReader(exported.files[0].path)
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    state = descend.load(folder).network.state_dict()
    pairs = {
        "token_embd.weight": "token_embedding.weight",
        "position_embd.weight": "position_embedding.weight",
        "blk.1.ffn_down.weight": "blocks.1.ff.down.weight",
        "blk.0.attn_output.bias": "blocks.0.attention.output.bias",
        "output_norm.weight": "final_norm.weight",
    }
    limit = {"float32": 0.0, "float16": 1e-3, "q8_0": 0.01, "q4_0": 0.15}[weight_type]
    for theirs, ours in pairs.items():
        stored = torch.from_numpy(tensors[theirs].astype(np.float32))
        error = (stored - state[ours]).norm() / state[ours].norm()
        assert error <= limit, theirs
    assert len(tensors) == 4 + 2 * 12
    sizes = reader.fields["gpt2.context_length"]
    assert int(sizes.parts[sizes.data[0]][0]) == WINDOW


def test_gguf_keeps_float16_where_rows_are_no_blocks(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the extra `export` is not installed")
    folder = make_model(tmp_path / "model", "modern", embed_dim=48)
    exported = export_model(folder, "gguf", "q8_0")
    assert "blk.0.attn_q.weight" in exported.float16_tensors
    assert "blk.0.ffn_down.weight" not in exported.float16_tensors  # rows of 96


def test_gguf_states_the_trained_context(trained: Path, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf", reason="the extra `export` is not installed")
    exported = export_model(trained, "gguf", output=tmp_path / "out")
    assert exported.context == 16
    reader = gguf.GGUFReader(exported.files[0].path)
    field = next(f for name, f in reader.fields.items() if name.endswith(".context_length"))
    assert int(field.parts[field.data[0]][0]) == 16


def test_interleave_pairs_puts_rotated_rows_side_by_side() -> None:
    weight = np.arange(8, dtype=np.float32)[:, None]
    order = _interleave_pairs(weight, num_heads=2)[:, 0].tolist()
    assert order == [0, 2, 1, 3, 4, 6, 5, 7]


def test_gguf_vocabulary_marks_special_tokens() -> None:
    tokenizer = train_tokenizer("bpe", 300, lambda: iter([CHAT]))
    vocabulary = gguf_vocabulary(tokenizer)
    assert len(vocabulary.tokens) == len(set(vocabulary.tokens)) == tokenizer.vocab_size
    by_type = {kind: vocabulary.tokens[i] for i, kind in enumerate(vocabulary.types) if kind == 3}
    assert by_type == {3: "<|endoftext|>"}
    defined = {t for t, kind in zip(vocabulary.tokens, vocabulary.types, strict=True) if kind == 4}
    assert defined == {MARKERS[1], MARKERS[2]}


def test_gguf_vocabulary_refuses_a_character_that_means_a_space() -> None:
    tokenizer = train_tokenizer("char", 0, lambda: iter(["a \u2581 b"]))
    with pytest.raises(TokenizerError, match="means a space"):
        gguf_vocabulary(tokenizer)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # onnxscript's own
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_onnxruntime_gives_the_same_logits(tmp_path: Path, architecture: Architecture) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    folder = make_model(tmp_path / "model", architecture)
    exported = export_model(folder, "onnx")
    session = onnxruntime.InferenceSession(exported.files[0].path)
    model = descend.load(folder)
    generator = torch.Generator().manual_seed(1)
    for size in [(1, 1), (1, WINDOW), (3, 17)]:
        ids = torch.randint(model.tokenizer.vocab_size, size, generator=generator)
        (theirs,) = session.run(["logits"], {"input_ids": ids.numpy()})
        with torch.no_grad():
            ours = model.network(ids)
        assert ours.std() > 0.1
        torch.testing.assert_close(torch.from_numpy(theirs), ours, atol=1e-3, rtol=0)


WINDOWED = ["mistral window", "qwen3 windows"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # onnxscript's own
@pytest.mark.parametrize("variant", WINDOWED)
def test_onnx_has_the_sliding_window(tmp_path: Path, variant: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    folder = write_folder(tmp_path / "model", VARIANTS[variant])
    session = onnxruntime.InferenceSession(export_model(folder, "onnx").files[0].path)
    for size in [(1, 3), (3, 40)]:
        ids = torch.randint(300, size, generator=torch.Generator().manual_seed(1))
        (theirs,) = session.run(["logits"], {"input_ids": ids.numpy()})
        with torch.no_grad():
            ours = descend.load(folder).network(ids)
        torch.testing.assert_close(torch.from_numpy(theirs), ours, atol=1e-3, rtol=0)


READ_TORCHSCRIPT = """
import sys, torch
model = torch.jit.load(sys.argv[1])
torch.save([model(ids) for ids in torch.load(sys.argv[2])], sys.argv[3])
assert "descend" not in sys.modules
"""


@pytest.mark.parametrize("variant", ["gpt", "modern", *WINDOWED])
def test_torchscript_gives_the_same_logits_without_descend(tmp_path: Path, variant: str) -> None:
    if variant in ARCHITECTURES:
        folder = make_model(tmp_path / "model", variant)
    else:
        folder = write_folder(tmp_path / "model", VARIANTS[variant])
    exported = export_model(folder, "torchscript")
    model = descend.load(folder)
    generator = torch.Generator().manual_seed(1)
    sizes = [(1, 1), (1, WINDOW), (3, 17)]
    ids = [torch.randint(model.tokenizer.vocab_size, size, generator=generator) for size in sizes]
    torch.save(ids, tmp_path / "ids")
    files = [exported.files[0].path, str(tmp_path / "ids"), str(tmp_path / "logits")]
    command = [sys.executable, "-W", "ignore", "-c", READ_TORCHSCRIPT, *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for theirs, rows in zip(torch.load(files[2]), ids, strict=True):
        with torch.no_grad():
            ours = model.network(rows)
        assert ours.std() > 0.1
        torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("weight_type", "tolerance"), [("float32", 1e-4), ("float16", 0.05)])
def test_transformers_loads_exported_safetensors(
    trained: Path, tmp_path: Path, weight_type: Any, tolerance: float
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    exported = export_model(trained, "safetensors", weight_type, tmp_path / "out")
    assert not (tmp_path / "out" / "run.json").exists()
    theirs = AutoModelForCausalLM.from_pretrained(exported.folder)
    assert str(theirs.dtype) == f"torch.{weight_type}"
    ids = AutoTokenizer.from_pretrained(exported.folder)("The cat", return_tensors="pt").input_ids
    with torch.no_grad():
        ours = descend.load(trained).network(ids)
        torch.testing.assert_close(theirs.float()(ids).logits, ours, atol=tolerance, rtol=0.01)


def test_export_writes_a_model_card(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the extra `export` is not installed")
    from huggingface_hub import ModelCard

    export_model(trained, "gguf", "q8_0", tmp_path / "out")
    content = (tmp_path / "out" / "README.md").read_text()
    card = ModelCard(content)
    assert card.data.tags == ["descend", "gguf"]
    assert card.data.pipeline_tag == "text-generation"
    for part in ("## Training", "## On validation text", "## Files", "## Use", "## Limits"):
        assert part in content
    assert "finished-q8_0.gguf" in content


@pytest.mark.parametrize(
    ("export_format", "package"), [("gguf", "gguf"), ("onnx", "onnx"), ("onnx", "onnxscript")]
)
def test_missing_extra_names_the_command(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, export_format: Any, package: str
) -> None:
    forget_module(package, monkeypatch)
    find_spec = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: object() if name != package and "onnx" in name
        else None if name == package else find_spec(name, *rest),
    )  # fmt: skip
    with pytest.raises(MissingDependencyError, match=r"pip install 'descend\[export\]'"):
        export_model(trained, export_format, output=tmp_path / "out")


def test_export_command_refuses_a_type_of_another_format(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["export", str(trained), "--to", "onnx", "--type", "q8_0"]) == 2
    assert "--type: expected float32 for onnx, but found q8_0." in capsys.readouterr().err


def test_export_command_prints_files(
    trained: Path, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["export", str(trained), "--to", "safetensors", "--output", "out", "--json"]
    assert run_command(line) == 0
    printed = json.loads(capsys.readouterr().out)
    names = {Path(file["path"]).name for file in printed["files"]}
    assert {"model.safetensors", "tokenizer.json", "README.md"} <= names
    assert all(Path(file["path"]).stat().st_size == file["size_bytes"] for file in printed["files"])
