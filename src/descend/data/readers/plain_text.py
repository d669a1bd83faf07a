"""Plain text: txt, Markdown, source code, logs, and all else that is text as it stands."""

from __future__ import annotations

from collections.abc import Iterator

from descend.data.document import Document
from descend.data.readers.charset import Blocks, decode_blocks
from descend.data.readers.chunking import document_chunks
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions

_NAMES = """
    .txt .text .md .markdown .mdx .rst .adoc .asciidoc .org .tex .bib .log .po .diff
    .patch .py .pyi .pyx .js .mjs .cjs .jsx .ts .tsx .vue .svelte .css .scss .less .c .h .cc
    .cpp .cxx .hh .hpp .hxx .m .mm .cs .java .kt .kts .scala .groovy .gradle .swift .go .rs .zig
    .nim .d .dart .rb .php .pl .pm .lua .r .jl .hs .lhs .ml .mli .fs .fsx .clj .cljs .edn .erl
    .ex .exs .lisp .el .scm .rkt .f .f90 .f95 .for .pas .ada .adb .cob .asm .s .v .sv .vhd
    .sh .bash .zsh .fish .ps1 .bat .cmd .awk .sed .tcl .sql .graphql .proto .thrift .sol
    .toml .yaml .yml .ini .cfg .conf .properties .xsl .xsd .svg .tf .nix .cmake .mk .dockerfile
"""
# What is read as it stands, by the end of the file's name.
SUFFIXES: tuple[str, ...] = tuple(_NAMES.split())


def read_plain(
    blocks: Blocks, name: str, options: ReadOptions = DEFAULT_OPTIONS
) -> Iterator[Document]:
    """The text of one file as one document, in parts; raises `CorpusError` on binary data."""
    yield from document_chunks(decode_blocks(blocks, name, options), name)
