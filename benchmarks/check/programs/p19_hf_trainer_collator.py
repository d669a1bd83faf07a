import torch
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

PAD_ID, EOS_ID = 0, 1


class Lines(Dataset):
    def __init__(self, n):
        self.rows = [[2 + (3 * i + 5 * j) % 44 for j in range(5 + i % 11)] + [EOS_ID] for i in range(n)]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return {"input_ids": self.rows[i], "attention_mask": [1] * len(self.rows[i])}


class Collator:
    def __call__(self, features):
        n = max(len(f["input_ids"]) for f in features)
        input_ids = torch.full((len(features), n), PAD_ID)
        attention_mask = torch.zeros(len(features), n, dtype=torch.long)
        for r, f in enumerate(features):
            input_ids[r, : len(f["input_ids"])] = torch.tensor(f["input_ids"])
            attention_mask[r, : len(f["input_ids"])] = 1
        labels = input_ids.masked_fill(attention_mask == 0, -100)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


def main():
    torch.manual_seed(0)
    cfg = LlamaConfig(vocab_size=46, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=32, pad_token_id=PAD_ID, eos_token_id=EOS_ID, bos_token_id=EOS_ID)
    model = LlamaForCausalLM(cfg)
    training_args = TrainingArguments(
        output_dir="llama-tiny",
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        max_steps=10,
        learning_rate=5e-4,
        lr_scheduler_type="cosine",
        warmup_steps=3,
        logging_steps=5,
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        use_cpu=True,
    )
    trainer = Trainer(model=model, args=training_args, train_dataset=Lines(200), data_collator=Collator())
    trainer.train()


if __name__ == "__main__":
    main()
