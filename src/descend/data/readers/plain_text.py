"""Plain text: txt, Markdown, source code, logs, and all else that is text as it stands."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePath

from descend.data.document import Document
from descend.data.readers import decompression
from descend.data.readers.charset import Blocks, decode_blocks
from descend.data.readers.chunking import document_chunks, split_into_lines
from descend.data.readers.options import DEFAULT_OPTIONS, ReadOptions
from descend.data.readers.paged_text import strip_paged_text
from descend.data.readers.whatsapp import is_whatsapp, whatsapp_text

_HEAD_CHARS = 1 << 14
# Elsewhere a form feed divides sections, as in source code.
_PAGED_SUFFIXES = ("", ".txt", ".text")
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
    """Yield the text of one file as one document, in parts; raises `CorpusError` on binary data.

    Of a chat that WhatsApp exported the messages are taken, and of pages divided by form feeds
    running headers and page numbers are left out, each with a warning.
    """
    texts = decode_blocks(blocks, name, options)
    first = next(texts, "")
    texts = chain((first,), texts)
    if name.lower().endswith(".txt") and is_whatsapp(first[:_HEAD_CHARS]):
        logging.getLogger("descend").warning(
            "%s: a chat exported from WhatsApp, read without times, notices, deleted messages, and "
            "attachments, with names such as Person 1 for phone numbers",
            name,
        )
        texts = whatsapp_text(split_into_lines(texts, name))
    elif _suffix(name) in _PAGED_SUFFIXES:
        texts = strip_paged_text(texts, name)
    yield from document_chunks(texts, name)


def _suffix(name: str) -> str:
    """Return the suffix of a file, of a compressed one that before its last."""
    path = PurePath(name.lower())
    return PurePath(path.stem).suffix if path.suffix in decompression.SUFFIXES else path.suffix
