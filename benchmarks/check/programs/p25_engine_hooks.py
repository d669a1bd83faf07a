import itertools
import torch
import torch.nn as nn
import torch.nn.functional as F


class Engine:
    """ignite-like: calls an update function for each batch and fires events"""

    def __init__(self, update):
        self.update, self.handlers, self.iteration = update, {"iteration": [], "epoch": []}, 0

    def on(self, event, every=1):
        def wrap(fn):
            self.handlers[event].append((every, fn))
            return fn

        return wrap

    def run(self, loader, max_epochs):
        for self.epoch in range(1, max_epochs + 1):
            for batch in loader:
                self.iteration += 1
                self.output = self.update(self, batch)
                for every, fn in self.handlers["iteration"]:
                    if self.iteration % every == 0:
                        fn(self)
            for every, fn in self.handlers["epoch"]:
                if self.epoch % every == 0:
                    fn(self)


class ConvLM(nn.Module):
    """gated causal convolutions"""

    def __init__(self, vocab, d=32, layers=3, k=3):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.convs = nn.ModuleList(nn.Conv1d(d, 2 * d, k, dilation=2 ** i) for i in range(layers))
        self.k = k
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(d, vocab)

    def forward(self, x):
        h = self.emb(x).transpose(1, 2)
        for i, conv in enumerate(self.convs):
            padded = F.pad(h, ((self.k - 1) * 2 ** i, 0))
            h = h + F.glu(conv(padded), dim=1)
        return self.out(self.drop(h.transpose(1, 2)))


class WindowLoader:
    def __init__(self, ids, length, batch_size):
        self.ids, self.length, self.batch_size = ids, length, batch_size

    def __len__(self):
        return (len(self.ids) - 1) // self.length // self.batch_size

    def __iter__(self):
        starts = torch.randperm((len(self.ids) - 1) // self.length) * self.length
        for chunk in starts.split(self.batch_size)[: len(self)]:
            yield torch.stack([self.ids[s : s + self.length + 1] for s in chunk])


torch.manual_seed(8)
tokens = torch.tensor(list(itertools.islice(((i * 17 + (i // 13) ** 2) % 50 for i in itertools.count()), 5000)))
model = ConvLM(50)
optimizer = torch.optim.NAdam(model.parameters(), lr=2e-3)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)


def update(engine, batch):
    model.train()
    optimizer.zero_grad()
    logits = model(batch[:, :-1])
    loss = nn.functional.cross_entropy(logits.permute(0, 2, 1), batch[:, 1:])
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), 0.5)
    optimizer.step()
    return loss.item()


trainer = Engine(update)


@trainer.on("iteration", every=10)
def log(engine):
    print(f"epoch {engine.epoch} iter {engine.iteration} loss {engine.output:.3f}")


@trainer.on("epoch")
def decay(engine):
    scheduler.step()


trainer.run(WindowLoader(tokens, 24, 10), max_epochs=2)
