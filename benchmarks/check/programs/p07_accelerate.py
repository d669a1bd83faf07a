"""Causal LM with accelerate: accumulation and a cosine schedule."""
import math

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import LlamaConfig, LlamaForCausalLM, get_cosine_schedule_with_warmup


class Chunks(Dataset):
    def __init__(self, data, size):
        self.data, self.size = data, size

    def __len__(self):
        return len(self.data) // self.size

    def __getitem__(self, i):
        chunk = self.data[i * self.size : (i + 1) * self.size]
        return {"input_ids": chunk, "labels": chunk}


def main():
    torch.manual_seed(0)
    accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
    vocab = 64
    t = torch.arange(6000)
    data = ((t * t // 7 + torch.randint(3, (6000,))) % vocab).long()
    loader = DataLoader(Chunks(data[:5000], 16), batch_size=4, shuffle=True)
    eval_loader = DataLoader(Chunks(data[5000:], 16), batch_size=4)

    model = LlamaForCausalLM(LlamaConfig(vocab_size=vocab, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=32))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    epochs = 1
    steps = epochs * math.ceil(len(loader) / 2)
    scheduler = get_cosine_schedule_with_warmup(optimizer, 5, steps)
    model, optimizer, loader, eval_loader, scheduler = accelerator.prepare(model, optimizer, loader, eval_loader, scheduler)

    for epoch in range(epochs):
        model.train()
        total = 0.0
        for step, batch in enumerate(loader):
            with accelerator.accumulate(model):
                outputs = model(**batch)
                loss = outputs.loss
                total += loss.detach().float()
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
        model.eval()
        losses = []
        for batch in eval_loader:
            with torch.no_grad():
                outputs = model(**batch)
            losses.append(accelerator.gather_for_metrics(outputs.loss.repeat(4)))
        eval_loss = torch.cat(losses).mean()
        accelerator.print(f"epoch {epoch}: train {total.item() / len(loader):.3f} eval {eval_loss.item():.3f} ppl {math.exp(eval_loss):.2f}")


if __name__ == "__main__":
    main()
