"""What Keras prints: `Epoch 1/10`, then a progress line that is drawn over itself.

`5/5 [====] - 1s 2ms/step - loss: 0.6931 - accuracy: 0.51 - val_loss: 0.69`; since version 3 in
colours, with a bar of `━`. Its `loss` is the mean over the epoch so far: the last one of an epoch
is that of the epoch, and the held-out loss stands in it alone.
Source: keras, utils/progbar.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from descend.doctor.logs.log import Log, log_of

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LINE_END = re.compile(r"[\r\n\x08]+")
"""A line is drawn over by going back to its beginning, or back by so many characters."""
_EPOCH = re.compile(r"^Epoch (\d+)(?:/\d+)?$")
_PROGRESS = re.compile(r"^(\d+)/(\d+|Unknown)\b.*\bloss: ")
_PAIR = re.compile(
    r"\b([A-Za-z]\w*): (nan|[-+]?inf|[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?)", re.IGNORECASE
)


def parse(text: str) -> Log | None:
    """The epochs in `text`, or None if it holds no progress lines of Keras."""
    epochs: dict[int, Mapping[str, Any]] = {}
    epoch = skipped = 0
    begun = only_ends = True
    for line in _LINE_END.split(_COLOUR.sub("", text)):
        line = line.strip()
        if heading := _EPOCH.match(line):
            epoch, begun, only_ends = int(heading[1]), False, False
        elif progress := _PROGRESS.match(line):
            at_end = progress[1] == progress[2]
            only_ends = only_ends and at_end
            # Where the headings were left out; and with them all lines but the last of each epoch.
            if begun and (progress[1] == "1" or only_ends):
                epoch += 1
            begun = at_end
            epochs[max(epoch, 1)] = {"epoch": max(epoch, 1), **dict(_PAIR.findall(line))}
        else:
            skipped += bool(line)
    return log_of("Keras, progress lines", list(epochs.values()), skipped) if epochs else None
