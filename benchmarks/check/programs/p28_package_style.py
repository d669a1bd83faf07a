#!/usr/bin/env python
"""Train loop with AverageMeter, logging, early stopping and a best checkpoint."""
import logging
import os
import random
import tempfile

import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset, random_split

log = logging.getLogger(__name__)


class AverageMeter:
    def __init__(self):
        self.reset()

    def reset(self):
        self.sum, self.count = 0.0, 0

    def update(self, value, n=1):
        self.sum += value * n
        self.count += n

    @property
    def avg(self):
        return self.sum / max(1, self.count)


def set_seed(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class LSTMLanguageModel(nn.Module):
    def __init__(self, vocab_size, embed_dim=24, hidden_dim=48, num_layers=2, dropout=0.2):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.lstm = nn.LSTM(embed_dim, hidden_dim, num_layers, dropout=dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden_dim, vocab_size)

    def forward(self, inputs):
        out, _ = self.lstm(self.dropout(self.embedding(inputs)))
        return self.fc(self.dropout(out))


class EarlyStopping:
    def __init__(self, patience):
        self.patience, self.best, self.bad = patience, float("inf"), 0

    def __call__(self, value):
        if value < self.best:
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        return self.bad >= self.patience


def train_one_epoch(model, loader, criterion, optimizer, device, epoch):
    model.train()
    meter = AverageMeter()
    for batch_idx, (inputs, targets) in enumerate(loader):
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs.reshape(-1, outputs.size(-1)), targets.reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        meter.update(loss.item(), inputs.size(0))
        if batch_idx % 20 == 0:
            log.info("epoch %d [%d/%d] loss %.4f", epoch, batch_idx, len(loader), meter.avg)
    return meter.avg


@torch.inference_mode()
def validate(model, loader, criterion, device):
    model.eval()
    meter = AverageMeter()
    for inputs, targets in loader:
        outputs = model(inputs.to(device))
        loss = criterion(outputs.reshape(-1, outputs.size(-1)), targets.to(device).reshape(-1))
        meter.update(loss.item(), inputs.size(0))
    return meter.avg


def build_dataset(context=20):
    steps = np.cumsum(np.random.RandomState(0).choice([1, 2, 5], 6000)) % 45
    windows = torch.tensor(np.lib.stride_tricks.sliding_window_view(steps, context + 1)[::context].copy())
    return TensorDataset(windows[:, :-1], windows[:, 1:]), 45


def main():
    logging.basicConfig(level=logging.INFO)
    set_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset, vocab_size = build_dataset()
    n_val = len(dataset) // 10
    train_set, val_set = random_split(dataset, [len(dataset) - n_val, n_val])
    train_loader = DataLoader(train_set, batch_size=16, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=16)
    model = LSTMLanguageModel(vocab_size).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    stopper = EarlyStopping(patience=3)
    path = os.path.join(tempfile.mkdtemp(), "best.pt")
    for epoch in range(3):
        train_loss = train_one_epoch(model, train_loader, criterion, optimizer, device, epoch)
        val_loss = validate(model, val_loader, criterion, device)
        scheduler.step(val_loss)
        log.info("epoch %d train %.4f val %.4f", epoch, train_loss, val_loss)
        if val_loss <= stopper.best:
            torch.save(model.state_dict(), path)
        if stopper(val_loss):
            break


if __name__ == "__main__":
    main()
