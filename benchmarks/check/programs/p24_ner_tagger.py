"""Token tagging (BIO) with an encoder: not a language model."""
import argparse
import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

TAGS = ["O", "B-PER", "I-PER", "B-LOC"]
FIRST, LAST, PLACES = ["anna", "tom", "lena"], ["smith", "berg", "rossi"], ["paris", "oslo", "lima"]
OTHER = "went to see the river and then bought some bread near old walls".split()
VOCAB = {w: i + 1 for i, w in enumerate(FIRST + LAST + PLACES + OTHER)}


def sentence(rng):
    words, tags = [], []
    for _ in range(rng.randint(5, 12)):
        r = rng.random()
        if r < 0.15:
            words += [rng.choice(FIRST), rng.choice(LAST)]
            tags += [1, 2]
        elif r < 0.3:
            words.append(rng.choice(PLACES))
            tags.append(3)
        else:
            words.append(rng.choice(OTHER))
            tags.append(0)
    return torch.tensor([VOCAB[w] for w in words]), torch.tensor(tags)


def collate(items):
    xs, ys = zip(*items)
    return pad_sequence(xs, batch_first=True, padding_value=0), pad_sequence(ys, batch_first=True, padding_value=-100)


class Tagger(nn.Module):
    def __init__(self, n_words, n_tags, d=32):
        super().__init__()
        self.emb = nn.Embedding(n_words, d, padding_idx=0)
        self.lstm = nn.LSTM(d, d, bidirectional=True, batch_first=True)
        self.out = nn.Linear(2 * d, n_tags)

    def forward(self, x):
        return self.out(self.lstm(self.emb(x))[0])


def evaluate(model, loader):
    model.eval()
    hit = total = 0
    with torch.no_grad():
        for x, y in loader:
            pred = model(x).argmax(-1)
            keep = y != -100
            hit += (pred[keep] == y[keep]).sum().item()
            total += keep.sum().item()
    return hit / total


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=2)
    opts = ap.parse_args()
    torch.manual_seed(0)
    rng = random.Random(0)
    train = DataLoader([sentence(rng) for _ in range(240)], batch_size=16, shuffle=True, collate_fn=collate)
    dev = DataLoader([sentence(rng) for _ in range(40)], batch_size=16, collate_fn=collate)
    model = Tagger(len(VOCAB) + 1, len(TAGS))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    loss_fn = nn.CrossEntropyLoss(ignore_index=-100)
    for epoch in range(opts.epochs):
        model.train()
        for x, y in train:
            loss = loss_fn(model(x).view(-1, len(TAGS)), y.view(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(epoch, evaluate(model, dev))


if __name__ == "__main__":
    main()
