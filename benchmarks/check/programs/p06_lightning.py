import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


class DecoderLM(L.LightningModule):
    def __init__(self, vocab_size=40, d_model=32, n_heads=4, n_layers=2, max_len=24, lr=3e-4):
        super().__init__()
        self.save_hyperparameters()
        self.embed = nn.Embedding(vocab_size, d_model)
        self.pos = nn.Embedding(max_len, d_model)
        layer = nn.TransformerEncoderLayer(d_model, n_heads, dim_feedforward=4 * d_model, dropout=0.1, activation="gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(d_model)
        self.out = nn.Linear(d_model, vocab_size)

    def forward(self, tokens):
        T = tokens.size(1)
        mask = nn.Transformer.generate_square_subsequent_mask(T, device=tokens.device)
        h = self.embed(tokens) + self.pos(torch.arange(T, device=tokens.device))
        return self.out(self.norm(self.blocks(h, mask=mask, is_causal=True)))

    def _shared_step(self, batch):
        (seq,) = batch
        x, y = seq[:, :-1], seq[:, 1:]
        logits = self(x)
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())

    def training_step(self, batch, batch_idx):
        loss = self._shared_step(batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self._shared_step(batch), prog_bar=True)

    def configure_optimizers(self):
        decay, no_decay = [], []
        for name, p in self.named_parameters():
            (no_decay if p.ndim < 2 else decay).append(p)
        optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": no_decay, "weight_decay": 0.0}], lr=self.hparams.lr)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.hparams.lr, total_steps=200)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def fibonacci_like(n, length, vocab, seed):
    g = torch.Generator().manual_seed(seed)
    seq = torch.randint(vocab, (n, 2), generator=g)
    while seq.shape[1] < length:
        seq = torch.cat([seq, (seq[:, -1:] + 2 * seq[:, -2:-1] + torch.randint(2, (n, 1), generator=g)) % vocab], dim=1)
    return TensorDataset(seq)


if __name__ == "__main__":
    L.seed_everything(7)
    train_loader = DataLoader(fibonacci_like(400, 20, 40, 0), batch_size=16, shuffle=True)
    val_loader = DataLoader(fibonacci_like(64, 20, 40, 1), batch_size=16)
    model = DecoderLM()
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, gradient_clip_val=1.0)
    trainer.fit(model, train_loader, val_loader)
