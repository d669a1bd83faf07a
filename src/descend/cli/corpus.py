"""`descend corpus add` and `descend corpus stats`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from descend.cli.config_flags import (
    ConfigFile,
    JsonOption,
    Preset,
    resolve_flags,
    with_config_flags,
)
from descend.cli.output import print_json, print_result, set_up_logging
from descend.units import format_count

if TYPE_CHECKING:
    from descend.data.corpus_builder import CorpusBuildSummary

corpus_app = typer.Typer(help="Gather and measure text.", no_args_is_help=True)

DropBoilerplate = Annotated[
    bool, typer.Option("--drop-boilerplate", help="Drop passages that recur across documents.")
]
Encoding = Annotated[
    str | None, typer.Option(help="Encoding of text files without a byte-order mark.")
]
TextColumn = Annotated[
    str | None, typer.Option("--text-column", help="Columns or keys that hold the text.")
]
DatasetSplit = Annotated[
    str | None, typer.Option("--dataset-split", help="Split of a data set to read.")
]


def add(
    src: Annotated[
        list[Path], typer.Argument(metavar="SRC…", help="Files or folders to take from.")
    ],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="The corpus folder to add to.")],
    extensions: Annotated[
        str | None, typer.Option(metavar=".py,.md", help="Only files ending so.")
    ] = None,
    split: Annotated[
        Literal["document", "line", "chunk"], typer.Option(help="What becomes one document.")
    ] = "document",
    chunk_chars: Annotated[
        int, typer.Option("--chunk-chars", help="Characters in a chunk.")
    ] = 2000,
    overlap_chars: Annotated[
        int, typer.Option("--overlap-chars", help="Characters chunks share.")
    ] = 0,
    min_length: Annotated[
        int,
        typer.Option("--min-length", help="Drop shorter documents (characters)."),
    ] = 1,
    max_files: Annotated[
        int | None, typer.Option("--max-files", help="Read at most so many files.")
    ] = None,
    sample_size: Annotated[
        int | None, typer.Option("--sample-size", help="Keep so many documents.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which documents are sampled.")] = 0,
    deduplicate: Annotated[
        Literal["none", "exact", "near"], typer.Option(help="Which repeated documents to drop.")
    ] = "exact",
    drop_boilerplate: DropBoilerplate = False,
    encoding: Encoding = None,
    text_column: TextColumn = None,
    dataset_split: DatasetSplit = None,
    as_json: JsonOption = False,
) -> None:
    """Gather text from files of many formats into a corpus folder.

    descend corpus add notes/ papers/ my-corpus --extensions .md,.pdf
    """
    from descend.data.corpus_builder import build_corpus
    from descend.data.readers.options import ReadOptions

    set_up_logging("info")
    endings = tuple(e.strip() for e in extensions.split(",")) if extensions else None
    done = build_corpus(
        src, dest, extensions=endings, split=split, chunk_chars=chunk_chars,
        overlap_chars=overlap_chars, min_length=min_length, max_files=max_files,
        sample_size=sample_size, seed=seed, deduplicate=deduplicate,
        drop_boilerplate=drop_boilerplate,
        options=ReadOptions(encoding, text_column, dataset_split),
    )  # fmt: skip
    if as_json:
        print_json(done)
        return
    print_result(_gathered_line(done, drop_boilerplate))


def _gathered_line(done: CorpusBuildSummary, drop_boilerplate: bool) -> str:
    count = done.num_unreadable_files
    unreadable = f" ({count} of them could not be read)" if count else ""
    recurring = f", {done.boilerplate_fraction:.1%} of the text as boilerplate" * drop_boilerplate
    return (
        f"{format_count(done.documents, 'document')} ({done.bytes:,} bytes) from "
        f"{format_count(done.files, 'file')}{unreadable} {'is' if done.documents == 1 else 'are'} "
        f"in {done.path}; dropped: {done.too_short} too short, "
        f"{done.exact_duplicates} exact and {done.near_duplicates} near duplicates, "
        f"{done.num_not_sampled} not sampled{recurring}"
    )


def stats(
    values: dict[str, Any],
    corpus: Annotated[
        str | None,
        typer.Argument(metavar="CORPUS", help="A folder, a file, - or an embedded corpus."),
    ] = None,
    config: ConfigFile = None,
    preset: Preset = None,
    as_json: JsonOption = False,
) -> None:
    """Documents, bytes, tokens, repeats, and the losses that any model must beat.

    descend corpus stats my/texts
    """
    from descend.api import measure_corpus
    from descend.report.text.run_summary import format_corpus_stats

    where = {} if corpus is None else {"corpus_dir": corpus}
    resolved = resolve_flags(values | where, config, preset)
    set_up_logging(resolved.config.log_level)
    corpus_stats = measure_corpus(resolved.config)
    if as_json:
        print_json(corpus_stats)
    else:
        print_result("\n".join(format_corpus_stats(corpus_stats)))


corpus_app.command("add")(add)
corpus_app.command("stats")(with_config_flags(stats, leave_out=("corpus_dir",)))
