"""`descend chat`: a conversation with a model that only knows how to go on with a text."""

from __future__ import annotations

import sys

from descend.cli.config_flags import JsonOption
from descend.cli.generate import MaxNewTokens, ModelFolder, Seed, Temperature
from descend.cli.json_outputs import ChatTurn, ChatTurns
from descend.cli.output import print_json, print_status, write_generated

QUIT = ("/quit", "/exit")


def chat(
    model: ModelFolder,
    max_new_tokens: MaxNewTokens = 80,
    temperature: Temperature = 0.9,
    seed: Seed = None,
    as_json: JsonOption = False,
) -> None:
    """Chat with a model: it continues the conversation.

    A model trained here has read only your text. It continues a text and does not answer
    questions. /new clears the context, /quit or Ctrl-D exits.
    """
    from descend.api import load

    loaded = load(model)
    if sys.stdin.isatty():
        print_status(f"Chatting with {model}. Type a prompt. /new clears the context, /quit exits.")
    said, exchanges = "", list[ChatTurn]()
    while (line := _read_user_input()) is not None and line not in QUIT:
        if line == "/new":
            said = ""
            continue
        said += ("\n" if said else "") + line
        number = None if seed is None else seed + len(exchanges)
        chunks = loaded.stream(said, max_new_tokens, temperature=temperature, seed=number)
        answer = ""
        for chunk in chunks:
            answer += chunk
            if not as_json:
                write_generated(chunk)
        said += answer
        exchanges.append(ChatTurn(line, answer))
        if not as_json:
            write_generated("\n")
    if as_json:
        print_json("chat", ChatTurns(exchanges))


def _read_user_input() -> str | None:
    try:
        return input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return None
