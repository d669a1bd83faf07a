# sentiment-like classification with a small transformer encoder and a [CLS] head
import random
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

GOOD = "great lovely fine superb warm bright happy".split()
BAD = "awful dull poor cold sad broken bitter".split()
FILL = "the a film story plot actor scene was seems very quite and this music".split()
VOCAB = {w: i + 2 for i, w in enumerate(GOOD + BAD + FILL)}


class Reviews(Dataset):
    def __init__(self, n, seed):
        rng = random.Random(seed)
        self.items = []
        for _ in range(n):
            label = rng.randint(0, 1)
            words = [rng.choice(FILL) for _ in range(rng.randint(6, 14))]
            for _ in range(3):
                words.insert(rng.randrange(len(words)), rng.choice(GOOD if label else BAD))
            self.items.append(([1] + [VOCAB[w] for w in words], label))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    width = max(len(ids) for ids, _ in batch)
    x = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in batch])
    return x, torch.tensor([y for _, y in batch])


class Classifier(nn.Module):
    def __init__(self, vocab_size, d=32):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d, padding_idx=0)
        self.positions = nn.Embedding(32, d)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(d, 4, 64, batch_first=True), 2)
        self.classifier = nn.Linear(d, 2)

    def forward(self, x):
        h = self.embedding(x) + self.positions(torch.arange(x.size(1)))
        h = self.encoder(h, src_key_padding_mask=x.eq(0))
        return self.classifier(h[:, 0])


def run_epoch(model, loader, criterion, optimizer=None):
    training = optimizer is not None
    model.train(training)
    correct = total = 0
    with torch.set_grad_enabled(training):
        for x, y in loader:
            logits = model(x)
            loss = criterion(logits, y)
            if training:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            correct += (logits.argmax(-1) == y).sum().item()
            total += len(y)
    return correct / total


def main():
    torch.manual_seed(3)
    train_loader = DataLoader(Reviews(240, 0), batch_size=16, shuffle=True, collate_fn=collate)
    valid_loader = DataLoader(Reviews(60, 1), batch_size=16, collate_fn=collate)
    model = Classifier(len(VOCAB) + 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(3):
        acc = run_epoch(model, train_loader, criterion, optimizer)
        val = run_epoch(model, valid_loader, criterion)
        print(f"epoch {epoch + 1}: train acc {acc:.2f} valid acc {val:.2f}")


if __name__ == "__main__":
    main()
