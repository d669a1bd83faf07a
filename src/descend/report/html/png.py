"""Small pictures without a script: shares from 0 to 1 as a PNG whose shade is its opacity."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

COLOUR = (14, 124, 123)
"""Of every dot; the page's background shines through where a share is small, light or dark."""


def png_data_uri(fractions_HW: NDArray[np.floating]) -> str:
    """Return a `data:` address of a PNG of one dot a share; a page enlarges it without
    smoothing."""
    return "data:image/png;base64," + base64.b64encode(encode_png(fractions_HW)).decode()


def encode_png(fractions_HW: NDArray[np.floating]) -> bytes:
    """Return the picture as bytes: 8 bits of red, green, blue and opacity."""
    height, width = fractions_HW.shape
    dots = np.empty((height, width, 4), dtype=np.uint8)
    dots[..., :3] = COLOUR
    # The root makes small shares visible: most of a row's attention is spread thin.
    dots[..., 3] = np.rint(np.sqrt(np.clip(fractions_HW, 0, 1)) * 255)
    lines = b"".join(b"\0" + line.tobytes() for line in dots)  # each line: no filter
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [_chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(lines, 9)), _chunk(b"IEND", b"")]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
