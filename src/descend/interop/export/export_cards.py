"""What the model card of an exported model says about its files and their use."""

from __future__ import annotations

from descend.interop.export.exported_model import ExportSource
from descend.interop.export.onnx_file import INPUT, OUTPUT
from descend.runs.model_card import CardUsage


def gguf_usage(source: ExportSource, name: str) -> CardUsage:
    """Return the card of a GGUF file called `name`."""
    return CardUsage(
        f'```sh\nllama-cli -m {name} -p "Once upon a time" -n 50 -no-cnv\n```\n\n'
        "```python\n"
        "from llama_cpp import Llama\n\n"
        f'model = Llama("{name}", n_ctx={source.context})\n'
        'print(model("Once upon a time", max_tokens=50)["choices"][0]["text"])\n'
        "```",
        tags=("gguf",),
        files="Each `.gguf` file holds the whole model and its tokenizer. The end of its name is "
        f"the type of the weights. The file states a context of {source.context:,} tokens, with "
        "which the model was trained.",
    )


def onnx_usage(source: ExportSource) -> CardUsage:
    """Return the card of model.onnx."""
    return CardUsage(
        "```python\n"
        "import numpy as np\n"
        "import onnxruntime\n"
        "from tokenizers import Tokenizer\n\n"
        'tokenizer = Tokenizer.from_file("tokenizer.json")\n'
        'session = onnxruntime.InferenceSession("model.onnx")\n'
        'ids = tokenizer.encode("Once upon a time", add_special_tokens=False).ids\n'
        f'logits = session.run(["{OUTPUT}"], {{"{INPUT}": np.array([ids])}})[0]\n'
        "print(tokenizer.decode([int(logits[0, -1].argmax())]))\n"
        "```",
        tags=("onnx",),
        files=f"`model.onnx` takes `{INPUT}` (batch, tokens) in int64 and gives `{OUTPUT}` (batch, "
        f"tokens, vocabulary) in float32. {_limits(source)}",
    )


def torchscript_usage(source: ExportSource) -> CardUsage:
    """Return the card of model.pt."""
    return CardUsage(
        "```python\n"
        "import torch\n"
        "from tokenizers import Tokenizer\n\n"
        'tokenizer = Tokenizer.from_file("tokenizer.json")\n'
        'model = torch.jit.load("model.pt")\n'
        'ids = tokenizer.encode("Once upon a time", add_special_tokens=False).ids\n'
        "logits = model(torch.tensor([ids]))\n"
        "print(tokenizer.decode([int(logits[0, -1].argmax())]))\n"
        "```",
        tags=("torchscript",),
        files="`model.pt` takes token ids (batch, tokens) in int64 and gives logits (batch, "
        f"tokens, vocabulary) in float32. {_limits(source)}",
    )


def _limits(source: ExportSource) -> str:
    return (
        f"It takes at most {source.model.shape.max_seq_len:,} tokens, and was trained with "
        f"{source.context:,}."
    )
