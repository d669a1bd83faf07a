# sentence autoencoder with word dropout: GRU encoder, GRU decoder, KL annealing
import argparse
import torch
import torch.nn as nn
import torch.nn.functional as F


class SentenceVAE(nn.Module):
    def __init__(self, vocab, emb=24, hid=32, latent=8):
        super().__init__()
        self.embedding = nn.Embedding(vocab, emb)
        self.encoder = nn.GRU(emb, hid, batch_first=True)
        self.mean, self.logv = nn.Linear(hid, latent), nn.Linear(hid, latent)
        self.latent2hidden = nn.Linear(latent, hid)
        self.decoder = nn.GRU(emb, hid, batch_first=True)
        self.out = nn.Linear(hid, vocab)
        self.latent = latent

    def forward(self, inp):
        emb = self.embedding(inp)
        _, h = self.encoder(emb)
        mean, logv = self.mean(h[-1]), self.logv(h[-1])
        z = mean
        if self.training:
            z = mean + torch.randn_like(mean) * torch.exp(0.5 * logv)
        hidden = torch.tanh(self.latent2hidden(z)).unsqueeze(0)
        out, _ = self.decoder(emb, hidden)
        return self.out(out), mean, logv


def kl_weight(step, x0=40):
    return min(1.0, step / x0)


def main(argv=None):
    p = argparse.ArgumentParser()
    p.add_argument("-ep", "--epochs", type=int, default=2)
    p.add_argument("-bs", "--batch_size", type=int, default=16)
    p.add_argument("-lr", "--learning_rate", type=float, default=1e-3)
    args = p.parse_args(argv)
    torch.manual_seed(6)
    base = torch.randint(3, 33, (320, 1))
    rows = torch.cat([torch.full((320, 1), 1), (base + torch.arange(14) * (1 + base % 3)) % 30 + 3], dim=1)
    model = SentenceVAE(33)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.learning_rate)
    step = 0
    for epoch in range(args.epochs):
        for idx in torch.randperm(len(rows)).split(args.batch_size):
            batch = rows[idx]
            logits, mean, logv = model(batch[:, :-1])
            nll = F.cross_entropy(logits.reshape(-1, 33), batch[:, 1:].reshape(-1))
            kl = -0.5 * torch.mean(1 + logv - mean.pow(2) - logv.exp())
            loss = nll + kl_weight(step) * kl
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        print(f"epoch {epoch} nll {nll.item():.3f} kl {kl.item():.3f}")


if __name__ == "__main__":
    main()
