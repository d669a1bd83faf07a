"""What is printed of models that are trained one after the other and learn from each other."""

from __future__ import annotations

from descend.units import format_duration


def generation_line(number: int, num_models: int, num_teachers: int) -> str:
    """Say which model is trained now, and what it learns from."""
    line = f"model {number} of {num_models}"
    if num_teachers == 0:
        return f"{line}: the next one learns from the text and from its predictions"
    teachers = "the model before" if num_teachers == 1 else f"the {num_teachers} models before"
    return f"{line}: learns from the text and from the predictions of {teachers}"


def generations_end_line(
    seconds: float, bits_per_byte: list[float], best: int, expected: float | None
) -> str:
    """Say what the models took together, how far each one came, and which one is kept."""
    values = " → ".join(f"{value:.3f}" for value in bits_per_byte)
    line = (
        f"{format_duration(seconds)} from the start to the saved model; validation loss of the"
        f" models {values} bits per byte"
    )
    if expected is not None:
        line += f" (expected of the last {expected:.2f})"
    return f"{line}; model {best + 1} is kept"
