"""`descend export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from descend.cli.config_flags import JsonOption
from descend.cli.generate import ModelFolder
from descend.cli.output import print_report


def export(
    model: ModelFolder,
    to: Annotated[
        Literal["gguf", "onnx", "torchscript", "safetensors"],
        typer.Option(
            "--to",
            help="Format, required. gguf: llama.cpp, Ollama. onnx: onnxruntime. torchscript: "
            "libtorch. safetensors: transformers.",
        ),
    ],
    weight_type: Annotated[
        Literal["float32", "float16", "bfloat16", "q8_0", "q4_0"] | None,
        typer.Option(
            "--type",
            metavar="NAME",
            help="Type of the weights. gguf: float32, float16, q8_0, or q4_0. safetensors: "
            "float32, float16, or bfloat16. Default: float16 for gguf, float32 for others.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder to write into. Default: MODEL-FORMAT beside the model."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model in the format of another program, with a model card."""
    from descend.interop.export.export_model import export_model
    from descend.report.text.export_summary import describe_export

    exported = export_model(model, to, weight_type, output)
    print_report("export", exported, lambda: describe_export(exported), as_json)
