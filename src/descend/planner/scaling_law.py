"""What loss a run will end with, before it is made: a formula fitted to measured trials.

In units of how hard the text is by counts of its tokens (`CorpusProfile.difficulty`), the bits per
byte of a run are

    e + a N^-alpha + d B^-beta + h (V / T)^0.5 + k (ln rate - ln best rate)^2 - q ln(context)
      - p ln(bytes per token) - r ln(batch) + m R^2 (N / U)^0.5 V

with N numbers in the matrices of the blocks (in 100,000), V the vocabulary, T the tokens trained on
and B the bytes they stand for (in millions). T and B count less when repeated, R passes at most
being worth anything (Muennighoff et al. 2023), and when a step takes many at once:
T / (1 + batch / C) (the critical batch of McCandlish et al. 2018). The first three terms are those
of Hoffmann et al. 2022; the rest came from where the trials of benchmarks/plan strayed from them:
a larger batch ends with less noise; long tokens reach further back and need fewer guesses, which
their rarity (h) costs at first; the last term is what is memorized in R epochs after the first of a
text of U tokens: more by a larger network, and of tokens that are rarer. With these powers of R
and of N / U the formula fits runs of the recipe with BPE-dropout to 0.8 %, and to 1.3 % if N / U
counts in full (benchmarks/plan/update_law.py).
"""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files

import msgspec
import numpy as np

from descend.forecast.curve_model import Floats

PARAMETERS = (
    "floor", "size", "size_power", "text", "text_power", "passes", "batch", "vocabulary",
    "rate_curve", "memorization", "best_rate", "rate_by_batch", "rate_by_width", "context",
    "long_tokens", "less_noise",
)  # fmt: skip
"""Logarithms, but for `best_rate` (already one), `rate_by_batch`, `rate_by_width`, `context`,
`long_tokens`, `less_noise`."""

LOGARITHMS = 10
"""The first so many of `PARAMETERS` are logarithms of what they stand for."""

MIDDLE_NUMBERS, MIDDLE_BYTES, MIDDLE_BATCH, MIDDLE_WIDTH, MIDDLE_CONTEXT = 1e5, 1e6, 1024, 128, 64
MIDDLE_TOKEN, MIDDLE_VOCABULARY, MIDDLE_REPEATED_EPOCHS = 2.25, 1024, 5
"""Units, near the middle of the trials, so that the parameters mean something there."""


class ScalingLawInput(msgspec.Struct, frozen=True):
    """A run to be made, as far as its loss follows from it."""

    text_difficulty: float
    """Of the text, in bits per byte (`CorpusProfile.difficulty`)."""
    block_parameters: int
    width: int
    vocab_size: int
    bytes_per_token: float
    train_tokens: float
    """Tokens of the training text, each counted once."""
    tokens: float
    """Tokens trained on, repeats counted."""
    batch_tokens: int
    context: int
    learning_rate: float | None = None
    """None: the best rate of the formula."""
    regularity: float = 0.0
    """Bits per byte by which contexts tell more than in prose (`CorpusProfile.regularity`)."""

    @property
    def repeated_epochs(self) -> float:
        """Passes over the text after the first."""
        return max(self.tokens / self.train_tokens - 1, 0.0)


class ScalingLaw(msgspec.Struct, frozen=True):
    """The formula with its parameters as fitted, and how far from it runs end."""

    parameters: list[float]
    covariance: list[list[float]]
    text_deviation: float
    """One standard deviation, as a fraction of the loss, by which a whole corpus strays. From
    texts that the law was not fitted to (benchmarks/plan/difficulty.py)."""
    run_deviation: float
    """The same for one run on a corpus."""
    fitted_on: str

    def bits_per_byte(self, setting: ScalingLawInput) -> float:
        """Return the expected at the end of the run."""
        return bits_per_byte(np.array(self.parameters), setting)

    def interval(self, setting: ScalingLawInput) -> tuple[float, float]:
        """Return 80 % around `bits_per_byte`: uncertain parameters, corpora and runs together, and
        how far the text is shorter than any that the law was fitted to."""
        z, here = np.array(self.parameters), self.bits_per_byte(setting)
        slope = np.array([
            (bits_per_byte(z + step, setting) - here) / 1e-4 for step in np.eye(len(z)) * 1e-4
        ])  # fmt: skip
        variance = slope @ np.array(self.covariance) @ slope / here**2
        train_bytes = setting.train_tokens * setting.bytes_per_token
        beyond = EXTRAPOLATION_DEVIATION * max(math.log(MIN_FITTED_BYTES / train_bytes), 0.0)
        young = UNLEARNED_DEVIATION * unlearned_bits(setting) / here
        deviation = math.sqrt(
            variance + self.text_deviation**2 + self.run_deviation**2 + beyond**2 + young**2
        )
        return here * math.exp(-Z_80_PERCENT * deviation), here * math.exp(Z_80_PERCENT * deviation)

    def ratio(self, now: ScalingLawInput, then: ScalingLawInput) -> tuple[float, float, float]:
        """Return bits per byte of `then` over those of `now`, on one text, with an interval of 80
        %.

        By how much the text itself strays is in both and cancels. The parameters are uncertain in
        both alike, and each run strays by itself.
        """
        z = np.array(self.parameters)

        def log_ratio(at: Floats) -> float:
            return math.log(bits_per_byte(at, then) / bits_per_byte(at, now))

        here = log_ratio(z)
        slope = np.array([(log_ratio(z + step) - here) / 1e-4 for step in np.eye(len(z)) * 1e-4])
        variance = slope @ np.array(self.covariance) @ slope + 2 * self.run_deviation**2
        half = Z_80_PERCENT * math.sqrt(variance)
        return math.exp(here), math.exp(here - half), math.exp(here + half)

    def optimal_learning_rate(self, batch_tokens: int, width: int) -> float:
        """Return the learning rate with the lowest loss expected."""
        return math.exp(_log_best_rate(np.array(self.parameters), batch_tokens, width))


MIN_FITTED_BYTES = 90_000
"""Training text of the smallest corpus that the law was fitted to."""

EXTRAPOLATION_DEVIATION = 0.062
"""Fraction of the loss by which runs stray more for each factor e that their text is shorter than
that: three runs of 20 to 60 kB (benchmarks/results/improve/law_errors.jsonl, by
benchmarks/improve/law_spread.py)."""

UNLEARNED_FRACTION, UNLEARNED_TOKENS, UNLEARNED_POWER = 0.19, 200_000, 0.8
"""Of the regularity of a text, what a run has not learned yet after so many tokens, and the power
with which that falls: 12 runs of 32,000 to a million tokens on regular and other texts
(benchmarks/results/improve/law_errors.jsonl). Prose has it in the other terms."""

UNLEARNED_DEVIATION = 0.7
"""One standard deviation of those runs, as a fraction of that."""

Z_80_PERCENT = 1.2816
"""Standard deviations beyond which a tenth of a normal distribution lies."""


@cache
def load_scaling_law() -> ScalingLaw:
    """Return the outlook that comes with the package."""
    text = files("descend.planner").joinpath("scaling_law.json").read_bytes()
    return msgspec.json.decode(text, type=ScalingLaw)


def effective_tokens(z: Floats, setting: ScalingLawInput) -> float:
    """Return tokens trained on, repeats and large batches counted for what they are worth."""
    repetition_half_life, batch = np.exp(z[5:7])
    unique_tokens = min(setting.tokens, setting.train_tokens)
    effective = unique_tokens + setting.train_tokens * repetition_half_life * (
        1 - math.exp(-setting.repeated_epochs / repetition_half_life)
    )
    return float(effective / (1 + setting.batch_tokens / (MIDDLE_BATCH * batch)))


def bits_per_byte(z: Floats, setting: ScalingLawInput) -> float:
    """Return the formula at parameters `z`."""
    floor, size, size_power, text, text_power, _, _, vocabulary, curve, memorization = np.exp(
        z[:LOGARITHMS]
    )
    tokens = effective_tokens(z, setting)
    nbytes = tokens * setting.bytes_per_token / MIDDLE_BYTES
    normalized_loss = (
        floor
        + size * (setting.block_parameters / MIDDLE_NUMBERS) ** -size_power
        + text * nbytes**-text_power
        + vocabulary * math.sqrt(setting.vocab_size / tokens)
        - z[13] * math.log(setting.context / MIDDLE_CONTEXT)
        - z[14] * math.log(setting.bytes_per_token / MIDDLE_TOKEN)
        - z[15] * math.log(setting.batch_tokens / MIDDLE_BATCH)
        + memorization
        * (setting.repeated_epochs / MIDDLE_REPEATED_EPOCHS) ** 2
        * math.sqrt(setting.block_parameters / setting.train_tokens)
        * (setting.vocab_size / MIDDLE_VOCABULARY)
    )
    if setting.learning_rate is not None:
        best = _log_best_rate(z, setting.batch_tokens, setting.width)
        normalized_loss += curve * (math.log(setting.learning_rate) - best) ** 2
    return float(setting.text_difficulty * normalized_loss) + unlearned_bits(setting)


def unlearned_bits(setting: ScalingLawInput) -> float:
    """Return bits per byte that a short run has not learned yet of what a text repeats."""
    return unlearned_fraction(setting.tokens) * setting.regularity


def unlearned_fraction(tokens: float) -> float:
    """Return how much of the regularity of a text is not learned yet after so many tokens."""
    fraction = UNLEARNED_FRACTION * math.pow(UNLEARNED_TOKENS / tokens, UNLEARNED_POWER)
    return min(fraction, 1.0)


def _log_best_rate(z: Floats, batch_tokens: int, width: int) -> float:
    return float(
        z[10]
        + z[11] * math.log(batch_tokens / MIDDLE_BATCH)
        + z[12] * math.log(width / MIDDLE_WIDTH)
    )
