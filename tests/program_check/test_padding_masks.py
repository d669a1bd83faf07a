"""Masks of padding that are the wrong way round, in torch and in transformers."""

from __future__ import annotations

import pytest

from .check_source import check_source

BUG = "padding_mask_inverted"
DATA = """
import random
import torch
from torch import nn

random.seed(1)
torch.manual_seed(1)
PAD = 0
rows = [torch.randint(1, 30, (random.randrange(3, 9),)) for _ in range(64)]
loader = torch.utils.data.DataLoader(
    rows, batch_size=8, shuffle=True,
    collate_fn=lambda picked: nn.utils.rnn.pad_sequence(picked, batch_first=True))
"""
TRANSFORMERS = (
    DATA
    + """
from transformers import BertConfig, BertForMaskedLM

model = BertForMaskedLM(BertConfig(vocab_size=30, hidden_size=16, num_hidden_layers=1,
    num_attention_heads=2, intermediate_size=32, max_position_embeddings=16, pad_token_id=PAD))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for epoch in range(4):
    for ids in loader:
        optimizer.zero_grad()
        labels = ids.masked_fill(ids == PAD, -100)
        loss = model(input_ids=ids, attention_mask=MASK, labels=labels).loss
        loss.backward()
        optimizer.step()
"""
)
ENCODER_DECODER = (
    DATA
    + """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.head = nn.Embedding(30, 16, padding_idx=PAD), nn.Linear(16, 30)
        self.both = nn.Transformer(16, 2, 1, 1, 32, batch_first=True)

    def forward(self, source, target):
        empty = MASK
        return self.head(self.both(
            self.tokens(source), self.tokens(target),
            tgt_mask=nn.Transformer.generate_square_subsequent_mask(target.shape[1]),
            src_key_padding_mask=empty, memory_key_padding_mask=empty))

model = Model()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for epoch in range(4):
    for ids in loader:
        optimizer.zero_grad()
        logits = model(ids, ids[:, :-1])
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD)
        loss.backward()
        optimizer.step()
"""
)
OWN = (
    DATA
    + """
class Model(nn.Module):
    \"\"\"In its own `attention_mask` True means: leave out.\"\"\"

    def __init__(self):
        super().__init__()
        self.tokens, self.head = nn.Embedding(30, 16, padding_idx=PAD), nn.Linear(16, 30)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, ids, attention_mask):
        x = self.tokens(ids)
        return self.head(self.attention(x, x, x, key_padding_mask=attention_mask)[0])

model = Model()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for epoch in range(4):
    for ids in loader:
        optimizer.zero_grad()
        logits = model(ids, attention_mask=MASK)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten(), ignore_index=PAD)
        loss.backward()
        optimizer.step()
"""
)


@pytest.mark.parametrize(
    ("source", "inverted", "right"),
    [
        pytest.param(TRANSFORMERS, "ids == PAD", "(ids != PAD).long()", id="transformers"),
        pytest.param(ENCODER_DECODER, "source != PAD", "source == PAD", id="encoder-decoder"),
        pytest.param(OWN, "ids != PAD", "ids == PAD", id="own argument"),
    ],
)
def test_mask_that_hides_the_text_is_named_and_its_inverse_is_clean(
    source: str, inverted: str, right: str
) -> None:
    if "transformers" in source:
        pytest.importorskip("transformers")
    report = check_source(source.replace("MASK", inverted, 1))
    assert BUG in [bug.bug for bug in report.bugs]
    (bug,) = [bug for bug in report.bugs if bug.bug == BUG]
    assert "hides every token of the text" in bug.evidence
    assert "(token 0)" in bug.evidence
    report = check_source(source.replace("MASK", right, 1))
    assert [bug.bug for bug in report.bugs] == []
    assert BUG in report.checked


def test_mask_that_hides_nothing_or_one_token_is_no_bug() -> None:
    for mask in ("torch.zeros_like(source).bool()", "source == 7"):
        report = check_source(ENCODER_DECODER.replace("MASK", mask, 1))
        assert BUG in report.checked
