"""What is judged of a loss log, and what a judgment says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from descend.loss_logs.curve_features import CurveFeatures
from descend.loss_logs.expected_loss import ExpectedLoss
from descend.loss_logs.log import LossLog

EvidenceFacts = tuple[str, float, str, tuple[float | None, float | None], str]


@dataclass(frozen=True)
class Shape:
    """What is judged."""

    log: LossLog
    features: CurveFeatures | None
    """None where no loss is a number."""
    band: ExpectedLoss

    @property
    def curve(self) -> CurveFeatures:
        """The features, for all rules behind the one that answers where there are none."""
        assert self.features is not None
        return self.features


@dataclass(frozen=True)
class LogVerdict:
    """What the rules say."""

    reason: str
    normal: str = "cannot tell"
    probability: float = 0.5
    cause: str | None = None
    evidence: list[EvidenceFacts] = field(default_factory=list)
    recommended_config: dict[str, Any] = field(default_factory=dict)
    advice: str = ""
    ruled_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_too_low: bool = False
    """Whether the loss is lower than any text allows: the reason names the leak that this takes,
    and no cause of too high a loss is open."""
    state: str = "unknown"
    """The verdict where no cause is named."""

    @property
    def verdict(self) -> str:
        """What the verdict is called."""
        return self.cause or self.state
