"""`descend chat`: a conversation with a model that only knows how to go on with a text."""

from __future__ import annotations

import sys

from descend.cli.config_flags import JsonOption
from descend.cli.generate import MaxLength, ModelFolder, Seed, Temperature
from descend.cli.output import print_json, print_status, write_generated

QUIT = ("/quit", "/exit")


def chat(
    model: ModelFolder,
    max_length: MaxLength = 80,
    temperature: Temperature = 0.9,
    seed: Seed = None,
    as_json: JsonOption = False,
) -> None:
    """Take turns with a model: it goes on from all that was said, up to its context.

    A model trained here has read your text and nothing else; it continues, it does not answer.
    End with /quit or Ctrl-D; /new forgets what was said.
    """
    from descend.api import load

    loaded = load(model)
    if sys.stdin.isatty():
        print_status(f"{loaded!r}\ntype a beginning; /new forgets what was said, /quit ends")
    said, exchanges = "", list[dict[str, str]]()
    while (line := _read_user_input()) is not None and line not in QUIT:
        if line == "/new":
            said = ""
            continue
        said += ("\n" if said else "") + line
        number = None if seed is None else seed + len(exchanges)
        chunks = loaded.stream(said, max_length, temperature=temperature, seed=number)
        answer = ""
        for chunk in chunks:
            answer += chunk
            if not as_json:
                write_generated(chunk)
        said += answer
        exchanges.append({"prompt": line, "text": answer})
        if not as_json:
            write_generated("\n")
    if as_json:
        print_json({"turns": exchanges})


def _read_user_input() -> str | None:
    try:
        return input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return None
