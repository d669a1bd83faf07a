import random
import torch
import torch.nn as nn
from torch.optim import AdamW
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

PAD, CLS, SEP, MASK, UNK = range(5)


class MLMDataset(Dataset):
    def __init__(self, n, seq_len, vocab_size, seed=0):
        rng = random.Random(seed)
        self.seq_len, self.vocab_size = seq_len, vocab_size
        self.lines = []
        for _ in range(n):
            start, stride = rng.randint(0, 40), rng.randint(1, 3)
            self.lines.append([5 + (start + stride * k) % (vocab_size - 5) for k in range(rng.randint(8, seq_len - 2))])

    def __len__(self):
        return len(self.lines)

    def __getitem__(self, item):
        tokens, labels = self.random_word(self.lines[item])
        tokens = [CLS] + tokens + [SEP]
        labels = [-100] + labels + [-100]
        padding = self.seq_len - len(tokens)
        return {
            "bert_input": torch.tensor(tokens + [PAD] * padding),
            "bert_label": torch.tensor(labels + [-100] * padding),
        }

    def random_word(self, line):
        tokens, labels = list(line), []
        for i, token in enumerate(line):
            prob = random.random()
            if prob < 0.15:
                prob /= 0.15
                if prob < 0.8:
                    tokens[i] = MASK
                elif prob < 0.9:
                    tokens[i] = random.randrange(5, self.vocab_size)
                labels.append(token)
            else:
                labels.append(-100)
        return tokens, labels


class BERTLM(nn.Module):
    def __init__(self, vocab_size, hidden=32, n_layers=2, heads=4, max_len=32):
        super().__init__()
        self.token = nn.Embedding(vocab_size, hidden, padding_idx=PAD)
        self.position = nn.Embedding(max_len, hidden)
        layer = nn.TransformerEncoderLayer(hidden, heads, hidden * 4, 0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, n_layers)
        self.decoder = nn.Linear(hidden, vocab_size)

    def forward(self, x):
        mask = x == PAD
        h = self.token(x) + self.position.weight[: x.size(1)]
        return self.decoder(self.encoder(h, src_key_padding_mask=mask))


class BERTTrainer:
    def __init__(self, bert, train_dataloader, test_dataloader=None, lr=1e-3, log_freq=10):
        self.bert = bert
        self.train_data, self.test_data = train_dataloader, test_dataloader
        self.optim = AdamW(self.bert.parameters(), lr=lr, weight_decay=0.01)
        self.criterion = nn.CrossEntropyLoss(ignore_index=-100)
        self.log_freq = log_freq

    def train(self, epoch):
        self.bert.train()
        self.iteration(epoch, self.train_data)

    def test(self, epoch):
        self.bert.eval()
        with torch.no_grad():
            self.iteration(epoch, self.test_data, train=False)

    def iteration(self, epoch, data_loader, train=True):
        str_code = "train" if train else "test"
        data_iter = tqdm(enumerate(data_loader), desc="EP_%s:%d" % (str_code, epoch), total=len(data_loader), disable=True)
        avg_loss = 0.0
        for i, data in data_iter:
            out = self.bert(data["bert_input"])
            loss = self.criterion(out.transpose(1, 2), data["bert_label"])
            if train:
                self.optim.zero_grad()
                loss.backward()
                self.optim.step()
            avg_loss += loss.item()
            if i % self.log_freq == 0:
                data_iter.write(str({"epoch": epoch, "iter": i, "avg_loss": avg_loss / (i + 1)}))


def main():
    random.seed(0)
    torch.manual_seed(0)
    vocab = 60
    train_loader = DataLoader(MLMDataset(300, 24, vocab), batch_size=16, shuffle=True)
    test_loader = DataLoader(MLMDataset(40, 24, vocab, seed=1), batch_size=16)
    trainer = BERTTrainer(BERTLM(vocab), train_loader, test_loader)
    for epoch in range(2):
        trainer.train(epoch)
        trainer.test(epoch)


if __name__ == "__main__":
    main()
