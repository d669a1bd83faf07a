"""`descend corpus add` and `descend corpus stats`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from descend.cli.config_flags import (
    CORPUS_HELP,
    NO_DATA_KEYS,
    ConfigFile,
    JsonOption,
    Preset,
    resolve_flags,
    with_config_flags,
)
from descend.cli.help_format import HelpCommand, HelpGroup
from descend.cli.output import print_report, set_up_logging

corpus_app = typer.Typer(cls=HelpGroup, help="Build a corpus and measure it.", no_args_is_help=True)

DropBoilerplate = Annotated[
    bool, typer.Option("--drop-boilerplate", help="Drop text that recurs across documents.")
]
Encoding = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        rich_help_panel="Data",
        help="Encoding of text files. Default: UTF-8, else detected.",
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        "--text-column",
        metavar="TEXT",
        rich_help_panel="Data",
        help="Columns or keys with the text. Default: chosen by name and length.",
    ),
]
DatasetSplit = Annotated[
    str | None,
    typer.Option(
        "--dataset-split",
        metavar="TEXT",
        rich_help_panel="Data",
        help="Split of a dataset to read. Default: all.",
    ),
]


Extensions = Annotated[
    str | None,
    typer.Option(metavar=".py,.md", help="File extensions to include. Default: all."),
]
SplitInto = Annotated[
    Literal["document", "line", "chunk"],
    typer.Option(
        metavar="NAME", help="How files are split into documents: document, line, or chunk."
    ),
]
ChunkChars = Annotated[
    int,
    typer.Option(
        "--chunk-chars",
        metavar="INT",
        rich_help_panel="Data",
        help="Characters per chunk. Range: 1 or more.",
    ),
]
OverlapChars = Annotated[
    int,
    typer.Option(
        "--overlap-chars",
        metavar="INT",
        rich_help_panel="Data",
        help="Overlap between chunks, in characters. Range: 0 to below --chunk-chars.",
    ),
]
MinLength = Annotated[
    int,
    typer.Option(
        "--min-length",
        metavar="INT",
        help="Drop shorter documents (in characters). Range: 0 or more.",
    ),
]
MaxFiles = Annotated[
    int | None,
    typer.Option(
        "--max-files",
        metavar="INT",
        help="Maximum number of files to read. Range: 1 or more. Default: all.",
    ),
]
SampleSize = Annotated[
    int | None,
    typer.Option(
        "--sample-size",
        metavar="INT",
        help="Number of documents to sample. Range: 1 or more. Default: all.",
    ),
]
Deduplicate = Annotated[
    Literal["none", "exact", "near"],
    typer.Option(metavar="NAME", help="Duplicates to drop: none, exact, or near."),
]


def add(
    src: Annotated[list[Path], typer.Argument(metavar="SRC…", help="Files or folders to read.")],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="The corpus folder to add to.")],
    extensions: Extensions = None,
    split: SplitInto = "document",
    chunk_chars: ChunkChars = 2000,
    overlap_chars: OverlapChars = 0,
    min_length: MinLength = 1,
    max_files: MaxFiles = None,
    sample_size: SampleSize = None,
    seed: Annotated[int, typer.Option(metavar="INT", help="Seed of the sample.")] = 0,
    deduplicate: Deduplicate = "exact",
    drop_boilerplate: DropBoilerplate = False,
    encoding: Encoding = None,
    text_column: TextColumn = None,
    dataset_split: DatasetSplit = None,
    as_json: JsonOption = False,
) -> None:
    """Add text from files of many formats to a corpus folder."""
    from descend.data.corpus_builder import build_corpus
    from descend.data.readers.options import ReadOptions
    from descend.report.text.corpus_summary import describe_corpus_build

    set_up_logging("info")
    endings = tuple(e.strip() for e in extensions.split(",")) if extensions else None
    done = build_corpus(
        src, dest, extensions=endings, split=split, chunk_chars=chunk_chars,
        overlap_chars=overlap_chars, min_length=min_length, max_files=max_files,
        sample_size=sample_size, seed=seed, deduplicate=deduplicate,
        drop_boilerplate=drop_boilerplate,
        options=ReadOptions(encoding, text_column, dataset_split),
    )  # fmt: skip
    print_report("corpus add", done, lambda: describe_corpus_build(done, drop_boilerplate), as_json)


def stats(
    values: dict[str, Any],
    corpus: Annotated[
        str | None,
        typer.Argument(metavar="CORPUS", help=CORPUS_HELP),
    ] = None,
    config: ConfigFile = None,
    preset: Preset = None,
    as_json: JsonOption = False,
) -> None:
    """Show documents, tokens, duplicates, and the n-gram baselines of a corpus."""
    from descend.api import measure_corpus
    from descend.report.text.corpus_summary import format_corpus_stats

    where = {} if corpus is None else {"corpus_dir": corpus}
    resolved = resolve_flags(values | where, config, preset)
    set_up_logging(resolved.config.log_level)
    corpus_stats = measure_corpus(resolved.config)
    print_report(
        "corpus stats", corpus_stats, lambda: "\n".join(format_corpus_stats(corpus_stats)), as_json
    )


corpus_app.command("add", cls=HelpCommand)(add)
corpus_app.command("stats", cls=HelpCommand)(
    with_config_flags(stats, leave_out=("corpus_dir", *NO_DATA_KEYS))
)
