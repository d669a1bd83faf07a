"""A counter of steps as a log prints it: from the start each epoch, or on through the run.

Where it falls back to its beginning an epoch has begun and places count on, by the epoch's length
where the log tells it (`10/500`), else by one interval more than the last. Where it falls back to
somewhere in the middle the run was resumed from there. Where the loss is back at its first value as
well, another run begins.
"""

from __future__ import annotations

from dataclasses import dataclass

RUN_BEGINS = 0.5
"""Fraction of the fall so far that a loss must have gone back for another run to begin there."""
MIN_FALL_FRACTION = 0.5
"""Nats that must have been gained before that can be determined."""


@dataclass
class Counter:
    """Places so far. `rewound`: where the last value went back to; `began_epoch`, `restarted_run`:
    what the last value began."""

    offset: float = 0.0
    raw: float | None = None
    last: float | None = None
    interval: float = 0.0
    begin: float = 0.0
    epoch: float | None = None
    first_epoch: float | None = None
    length: float | None = None
    first_loss: float | None = None
    loss: float | None = None
    rewound: float | None = None
    previous: float | None = None
    """The value before the last one that differs from it."""
    began_epoch: bool = False
    restarted_run: bool = False

    def place(
        self, raw: float, total: float | None, epoch: float | None, loss: float | None
    ) -> float:
        """Return the place of a value `raw` of `total`, in `epoch`, beside a loss."""
        self.rewound, self.began_epoch, self.restarted_run = None, False, False
        if self.raw is None:
            self.begin, self.first_epoch = raw, epoch
            self.first_loss = loss
        elif raw == self.previous and self.raw > raw > self.begin + 2 * self.interval:
            return raw + self.offset  # of another process, which is a line behind
        elif self._fell_back(raw, total, epoch):
            self._fall_back(raw, total, epoch, loss)
        elif self.length is not None and self._whole_epochs(epoch) and epoch is not None:
            assert self.first_epoch is not None
            self.offset = self.length * (epoch - self.first_epoch)
        elif raw > self.raw:
            self.interval = raw - self.raw
        if raw != self.raw:
            self.previous = self.raw
        place = raw + self.offset
        self.raw, self.last = raw, place
        self.epoch = epoch if epoch is not None else self.epoch
        self.loss = loss if loss is not None else self.loss
        return place

    def _fell_back(self, raw: float, total: float | None, epoch: float | None) -> bool:
        assert self.raw is not None
        if raw < self.raw:
            return True
        # One line an epoch, always at the same step.
        next_epoch = self._whole_epochs(epoch) and epoch is not None and epoch > (self.epoch or 0.0)
        return raw == self.raw and raw > 0 and next_epoch and total is not None

    def _whole_epochs(self, epoch: float | None) -> bool:
        return None not in (epoch, self.epoch, self.first_epoch) and float(epoch or 0).is_integer()

    def _fall_back(
        self, raw: float, total: float | None, epoch: float | None, loss: float | None
    ) -> None:
        assert self.raw is not None
        assert self.last is not None
        later = self._whole_epochs(epoch) and (epoch or 0.0) > (self.epoch or 0.0)
        near = raw <= self.begin + self.interval or raw <= 1
        if total is not None:
            near = near or raw <= 0.1 * total < self.raw
        if not later and not near:
            self.rewound = raw + self.offset - 1e-9
            return
        # Where the epochs begin anew as well, a small fall tells another run.
        is_first_epoch = self._whole_epochs(epoch) and (epoch or 0) <= (self.first_epoch or 0) < (
            self.epoch or 0
        )
        if not later and self._back_at_start(loss, 0.0 if is_first_epoch else MIN_FALL_FRACTION):
            self.restarted_run = True
            self.offset, self.begin, self.first_loss = 0.0, raw, loss
            self.first_epoch, self.length = epoch, None
            return
        self.began_epoch = True
        passed = 1.0
        if later and epoch is not None and self.epoch is not None:
            passed = epoch - self.epoch
        if total is not None and total >= self.raw:
            self.offset += total * passed
            if self._whole_epochs(epoch) and later:
                self.length = total
                assert epoch is not None
                assert self.first_epoch is not None
                self.offset = total * (epoch - self.first_epoch)
        else:
            self.offset = self.last + (self.interval or 1.0) - raw

    def _back_at_start(self, loss: float | None, min_fall: float) -> bool:
        if loss is None or self.loss is None or self.first_loss is None:
            return False
        fall = self.first_loss - self.loss
        return fall > min_fall and loss > self.loss + RUN_BEGINS * fall
