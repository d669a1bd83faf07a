"""`descend generate`, and the sampling flags it shares with `chat`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption, named_run
from descend.cli.output import print_json, print_result, write_generated

ModelFolder = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="The folder of a trained model.",
        callback=named_run,
    ),
]
MaxLength = Annotated[int, typer.Option("--max-length", help="Most tokens to write.", min=0)]
Temperature = Annotated[float, typer.Option(help="Below 1: safer; above 1: bolder.")]
TopK = Annotated[int, typer.Option("--top-k", help="Only the k likeliest tokens; 0: all.")]
TopP = Annotated[
    float,
    typer.Option("--top-p", help="Only tokens that reach this probability together."),
]
MinP = Annotated[
    float,
    typer.Option("--min-p", help="Only tokens this probable beside the likeliest."),
]
RepetitionPenalty = Annotated[
    float,
    typer.Option("--repetition-penalty", help="Above 1: repeats less."),
]
NoRepeat = Annotated[
    int,
    typer.Option(
        "--no-repeat-ngram-size",
        help="No so long sequence twice; 0: off.",
    ),
]
Stop = Annotated[list[str] | None, typer.Option(help="Stop before this text; may be repeated.")]
Seed = Annotated[int | None, typer.Option(help="The same seed gives the same text.")]


def generate(
    model: ModelFolder,
    prompts: Annotated[
        list[str], typer.Argument(metavar="PROMPT…", help="One or several beginnings; - reads one.")
    ],
    max_length: MaxLength = 100,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always the likeliest token.")] = False,
    temperature: Temperature = 0.9,
    top_k: TopK = 40,
    top_p: TopP = 0.92,
    min_p: MinP = 0.0,
    repetition_penalty: RepetitionPenalty = 1.3,
    no_repeat_ngram_size: NoRepeat = 3,
    stop: Stop = None,
    seed: Seed = None,
    as_json: JsonOption = False,
) -> None:
    """Let a model write on.

    descend generate models/transformer_1735862400 "Once upon a time"
    """
    import sys
    from itertools import chain

    from descend.api import load

    prompt_texts = [sys.stdin.read() if prompt == "-" else prompt for prompt in prompts]
    sampling_options = {
        "greedy": greedy, "temperature": temperature, "top_k": top_k, "top_p": top_p,
        "min_p": min_p, "repetition_penalty": repetition_penalty,
        "no_repeat_ngram_size": no_repeat_ngram_size,
    }  # fmt: skip
    loaded = load(model)
    if not as_json and len(prompt_texts) == 1:
        chunks = loaded.stream(
            prompt_texts[0], max_length, seed=seed, stop=stop or (), **sampling_options
        )
        first = next(chunks, "")  # a mistake in the settings shows here, before anything is printed
        for chunk in chain([prompt_texts[0], first], chunks):
            write_generated(chunk)
        write_generated("\n")
        return
    written = loaded.complete(
        prompt_texts, max_length, seed=seed, stop=stop or (), **sampling_options
    )
    if not as_json:
        print_result("\n\n".join(p + c.text for p, c in zip(prompt_texts, written, strict=True)))
        return
    texts = [
        {"prompt": prompt, "text": prompt + c.text, "new_text": c.text,
         "token_ids": loaded.tokenizer.encode(prompt) + c.token_ids,
         "new_token_ids": c.token_ids, "finish": c.finish}
        for prompt, c in zip(prompt_texts, written, strict=True)
    ]  # fmt: skip
    print_json(texts[0] if len(texts) == 1 else {"texts": texts})
