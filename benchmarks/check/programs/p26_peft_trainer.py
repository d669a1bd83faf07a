import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments


class Poems(Dataset):
    def __init__(self, n, length=20, vocab=44):
        g = torch.Generator().manual_seed(3)
        self.rows = (torch.randint(0, 5, (n, length), generator=g).cumsum(1) * 2 + torch.arange(n)[:, None]) % vocab

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return dict(input_ids=self.rows[i], labels=self.rows[i])


def main():
    torch.manual_seed(0)
    base = GPT2LMHeadModel(GPT2Config(vocab_size=44, n_positions=24, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0))
    lora_config = LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn"], lora_dropout=0.05, bias="none", task_type="CAUSAL_LM", fan_in_fan_out=True)
    model = get_peft_model(base, lora_config)
    model.print_trainable_parameters()
    training_args = TrainingArguments("peft-out", per_device_train_batch_size=8, max_steps=10, learning_rate=2e-3, logging_steps=5, report_to="none", save_strategy="no", use_cpu=True)
    trainer = Trainer(model=model, args=training_args, train_dataset=Poems(200))
    trainer.train()
    model.save_pretrained("peft-out/final")


if __name__ == "__main__":
    main()
