"""What the steps and evaluations of a session take, measured as they are made."""

from __future__ import annotations

from dataclasses import dataclass

from descend.training.end_step import MIN_MEASURED_STEPS

EVALUATION_STEP_RATIO = 1 / 3
"""Time to evaluate a token over the time to train on it: forward against forward and backward."""

SMOOTHING = 0.9


@dataclass
class StepTimes:
    """Seconds of steps and evaluations."""

    evaluation_steps: float
    """Tokens of one evaluation, in training steps."""
    step_seconds: float = 0.0
    """Of a step, smoothed over the last ones."""
    last_evaluation_seconds: float = 0.0
    _evaluated: float = 0.0
    """Seconds of all evaluations so far, in this session."""
    _num_steps: int = 0
    """Steps made in this session. Those that a rollback undid took time too, so they count."""
    _mark: tuple[int, float] | None = None
    """`_num_steps` and seconds, without evaluations, from which the pace is measured."""

    def add_step(self, seconds: float) -> None:
        """Take note of how long a step took."""
        self._num_steps += 1
        before = self.step_seconds or seconds
        self.step_seconds = SMOOTHING * before + (1 - SMOOTHING) * seconds

    def add_evaluation(self, seconds: float) -> None:
        """Take note of how long an evaluation took."""
        self.last_evaluation_seconds = seconds
        self._evaluated += seconds

    @property
    def evaluation_seconds(self) -> float:
        """Expected seconds of an evaluation: as the last one, or reckoned from the steps."""
        reckoned = self.evaluation_steps * EVALUATION_STEP_RATIO * self.step_seconds
        return self.last_evaluation_seconds or reckoned

    def start_measuring(self, elapsed: float) -> None:
        """Measure from the steps after `elapsed` seconds of training, if nothing is measured."""
        if self._mark is None:  # the step before may have been slower
            self._mark = (self._num_steps, elapsed - self._evaluated)

    def measure_step(self, elapsed: float) -> float | None:
        """Return the mean seconds of a step since the last call, with what is done between steps.

        None where that are too few steps; then they are measured on.
        """
        assert self._mark is not None
        num_before, since = self._mark
        num_measured = self._num_steps - num_before
        if num_measured < MIN_MEASURED_STEPS:
            return None
        stepped = elapsed - self._evaluated
        self._mark = (self._num_steps, stepped)
        return (stepped - since) / num_measured
