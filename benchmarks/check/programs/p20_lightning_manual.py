import lightning.pytorch as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class Walks(Dataset):
    def __init__(self, n=320, length=18, vocab=30):
        self.n, self.length, self.vocab = n, length, vocab
        g = torch.Generator().manual_seed(0)
        self.x = (torch.randint(-2, 3, (n, length), generator=g).cumsum(1) + torch.arange(n)[:, None]) % vocab

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.x[i]


class WalkData(pl.LightningDataModule):
    def setup(self, stage=None):
        self.ds = Walks()

    def train_dataloader(self):
        return DataLoader(self.ds, batch_size=16, shuffle=True)


class Net(nn.Module):
    def __init__(self, vocab=30, d=32):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.gru = nn.GRU(d, d, num_layers=2, dropout=0.1, batch_first=True)
        self.fc = nn.Linear(d, vocab)

    def forward(self, x):
        return self.fc(self.gru(self.emb(x))[0])


class LitNet(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = Net()

    def training_step(self, batch, batch_idx):
        opt = self.optimizers()
        sch = self.lr_schedulers()
        logits = self.net(batch[:, :-1])
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1))
        opt.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(opt, gradient_clip_val=1.0, gradient_clip_algorithm="norm")
        opt.step()
        sch.step()
        self.log("loss", loss)

    def configure_optimizers(self):
        opt = torch.optim.Adam(self.parameters(), lr=2e-3)
        return [opt], [torch.optim.lr_scheduler.StepLR(opt, 10, gamma=0.9)]


def cli_main():
    pl.seed_everything(1)
    model = LitNet()
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(model, datamodule=WalkData())


if __name__ == "__main__":
    cli_main()
