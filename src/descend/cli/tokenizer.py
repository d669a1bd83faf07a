"""`descend tokenizer train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from descend.cli.config_flags import (
    NO_DATA_KEYS,
    ConfigFile,
    JsonOption,
    Preset,
    resolve_flags,
    with_config_flags,
)
from descend.cli.help_format import HelpCommand, HelpGroup
from descend.cli.json_outputs import TokenizerFile
from descend.cli.output import print_report, set_up_logging

tokenizer_app = typer.Typer(
    cls=HelpGroup, help="Train a tokenizer separately.", no_args_is_help=True
)


@tokenizer_app.callback()
def _only_a_group() -> None:
    """Keep `train` a verb of its own although it is the only one."""


def train(
    values: dict[str, Any],
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="Text to train the tokenizer on.")
    ],
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The tokenizer.json to write.")],
    config: ConfigFile = None,
    preset: Preset = None,
    as_json: JsonOption = False,
) -> None:
    """Train a tokenizer that several runs can share through --vocab-path."""
    from descend.report.text.corpus_summary import describe_tokenizer
    from descend.training.tokenizer_training import train_and_save_tokenizer

    resolved = resolve_flags(values | {"corpus_dir": corpus}, config, preset)
    set_up_logging(resolved.config.log_level)
    made = train_and_save_tokenizer(resolved.config, output)
    file = TokenizerFile(str(output), made.vocab_size, made.bytes_per_token)
    print_report(
        "tokenizer train",
        file,
        lambda: describe_tokenizer(output, made.vocab_size, made.bytes_per_token),
        as_json,
    )


tokenizer_app.command("train", cls=HelpCommand)(
    with_config_flags(train, leave_out=("corpus_dir", "vocab_path", *NO_DATA_KEYS))
)
