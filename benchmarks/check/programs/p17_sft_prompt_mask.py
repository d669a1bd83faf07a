# instruction tuning by hand on a small GPT-2: loss on the answer only
import random
import torch
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2LMHeadModel

IGNORE = -100
PAD, BOS, EOS, SEP = 0, 1, 2, 3


def build(n, rng):
    rows = []
    for _ in range(n):
        q = [rng.randint(4, 39) for _ in range(rng.randint(3, 8))]
        a = [min(39, t + 1) for t in q]
        rows.append((q, a))
    return rows


def preprocess(example, max_len=24):
    q, a = example
    prompt = [BOS] + q + [SEP]
    answer = a + [EOS]
    input_ids = (prompt + answer)[:max_len]
    labels = ([IGNORE] * len(prompt) + answer)[:max_len]
    return {"input_ids": input_ids, "labels": labels}


def pad_batch(batch):
    width = max(len(b["input_ids"]) for b in batch)
    ids, labels, mask = [], [], []
    for b in batch:
        gap = width - len(b["input_ids"])
        ids.append(b["input_ids"] + [PAD] * gap)
        labels.append(b["labels"] + [IGNORE] * gap)
        mask.append([1] * len(b["input_ids"]) + [0] * gap)
    return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "attention_mask": torch.tensor(mask)}


if __name__ == "__main__":
    rng = random.Random(0)
    torch.manual_seed(0)
    train = [preprocess(e) for e in build(240, rng)]
    loader = DataLoader(train, batch_size=8, shuffle=True, collate_fn=pad_batch)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_positions=32, n_embd=32, n_layer=2, n_head=4, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.0)
    model.train()
    for epoch in range(2):
        for step, batch in enumerate(loader):
            out = model(**batch)
            out.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if step % 10 == 0:
                print(epoch, step, out.loss.item())
