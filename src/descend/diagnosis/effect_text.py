"""What a change did to the loss, as one says it: better, worse, or what taking away costs."""

from __future__ import annotations


def describe_effect(
    change: str, loss_reduction: float, ci95: tuple[float, float] | None, is_ablation: bool = False
) -> str:
    """`twice the width ends 0.020 nats better (95 %: -0.010 to 0.050)`.

    `loss_reduction` and its interval in nats per token, above 0: the loss fell. With `is_ablation`
    the gain is what the run loses by a change that made it worse on purpose, such as half the text.
    The interval is reported in the direction of the word before it.
    """
    sign = 1.0 if is_ablation or loss_reduction >= 0 else -1.0
    nats = f"{sign * loss_reduction:.3f} nats"
    text = f"costs {nats}" if is_ablation else f"ends {nats} {'better' if sign > 0 else 'worse'}"
    if ci95 is None:
        return f"{change} {text}"
    low, high = sorted(sign * bound for bound in ci95)
    return f"{change} {text} (95 %: {low:.3f} to {high:.3f})"
