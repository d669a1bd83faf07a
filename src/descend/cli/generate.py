"""`descend generate`, and the sampling flags it shares with `chat`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption, named_run
from descend.cli.json_outputs import GeneratedText, GeneratedTexts
from descend.cli.output import print_json, print_result, write_generated

ModelFolder = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A run or model folder, or `latest`.",
        callback=named_run,
    ),
]
MaxNewTokens = Annotated[
    int,
    typer.Option(
        "--max-new-tokens", metavar="INT", min=0, help="Maximum number of tokens to generate."
    ),
]
Temperature = Annotated[
    float,
    typer.Option(
        metavar="FLOAT",
        help="Sampling temperature. Lower values are more deterministic. Range: above 0.",
    ),
]
TopK = Annotated[
    int,
    typer.Option(
        "--top-k",
        metavar="INT",
        help="Sample from the k most likely tokens. 0: from all tokens. Range: 0 or more.",
    ),
]
TopP = Annotated[
    float,
    typer.Option(
        "--top-p",
        metavar="FLOAT",
        help="Nucleus sampling: keep the smallest set of tokens with this total probability. "
        "Range: above 0 to 1.",
    ),
]
MinP = Annotated[
    float,
    typer.Option(
        "--min-p",
        metavar="FLOAT",
        help="Drop tokens below this fraction of the top token's probability. Range: 0 to 1.",
    ),
]
RepetitionPenalty = Annotated[
    float,
    typer.Option(
        "--repetition-penalty",
        metavar="FLOAT",
        help="Penalty for repeated tokens. 1 disables it. Range: 0.01 to 100.",
    ),
]
NoRepeat = Annotated[
    int,
    typer.Option(
        "--no-repeat-ngram-size",
        metavar="INT",
        help="Never repeat an n-gram of this length. 0 disables it. Range: 0 or more.",
    ),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="Stop before this text. May be repeated."),
]
Seed = Annotated[
    int | None, typer.Option(metavar="INT", help="Random seed. Default: a new one each time.")
]


def generate(
    model: ModelFolder,
    prompts: Annotated[
        list[str],
        typer.Argument(
            metavar="PROMPT…", help="One or more prompts. - reads one from standard input."
        ),
    ],
    max_new_tokens: MaxNewTokens = 100,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Always pick the most likely token.")
    ] = False,
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
    """Continue a text with a trained model."""
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
            prompt_texts[0], max_new_tokens, seed=seed, stop=stop or (), **sampling_options
        )
        first = next(chunks, "")  # a mistake in the settings shows here, before anything is printed
        for chunk in chain([prompt_texts[0], first], chunks):
            write_generated(chunk)
        write_generated("\n")
        return
    written = loaded.complete(
        prompt_texts, max_new_tokens, seed=seed, stop=stop or (), **sampling_options
    )
    if not as_json:
        print_result("\n\n".join(p + c.text for p, c in zip(prompt_texts, written, strict=True)))
        return
    texts = [
        GeneratedText(
            prompt=prompt, text=prompt + c.text, new_text=c.text,
            token_ids=loaded.tokenizer.encode(prompt) + c.token_ids,
            new_token_ids=c.token_ids, finish=c.finish,
        )
        for prompt, c in zip(prompt_texts, written, strict=True)
    ]  # fmt: skip
    print_json("generate", texts[0] if len(texts) == 1 else GeneratedTexts(texts))
