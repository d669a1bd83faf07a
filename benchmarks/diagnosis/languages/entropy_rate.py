"""What is known of a language: the best loss that any model can reach on it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntropyRate:
    """Exact expectations over the documents of a language, not estimates from a sample."""

    nats_per_document: float
    """Entropy of a document, its end included (nats)."""
    bytes_per_document: float
    """Expected length of a document in UTF-8 bytes, without any end mark."""

    @property
    def nats_per_byte(self) -> float:
        """The rate of many documents in a row: a ratio of expectations, not their mean ratio."""
        return self.nats_per_document / self.bytes_per_document

    @property
    def bits_per_byte(self) -> float:
        return self.nats_per_byte / math.log(2)
