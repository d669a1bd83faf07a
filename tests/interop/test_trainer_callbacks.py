"""The callbacks record real training by `transformers` and Lightning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import descend
from descend.loss_logs.diagnose_log import diagnose_log
from descend.runs.event_log import read_events
from descend.runs.events import TrainingStopped, Validation, WatchedStep, WeightUpdateStats

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # the trainers' own warnings
]
TEXT = torch.arange(4000) * 7 % 61


def windows(count: int) -> list[dict[str, Tensor]]:
    ids = [TEXT[n : n + 16] for n in range(count)]
    return [{"input_ids": window, "labels": window} for window in ids]


def test_transformers_callback_records_losses_and_updates(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    from descend.interop.transformers_callback import WatchCallback

    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=64, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    )
    callback = WatchCallback()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(tmp_path), max_steps=40, per_device_train_batch_size=4,
            logging_steps=1, eval_strategy="steps", eval_steps=20, save_strategy="no",
            learning_rate=1e-2, use_cpu=True, report_to=[], disable_tqdm=True,
        ),
        train_dataset=windows(200),  # type: ignore[arg-type]
        eval_dataset=windows(20),  # type: ignore[arg-type]
        callbacks=[callback],
    )  # fmt: skip
    trainer.train()
    events = read_events(tmp_path / "descend")
    steps = [e for e in events if isinstance(e, WatchedStep)]
    assert [s.step for s in steps] == list(range(1, 41))
    assert all(s.gradient_norm for s in steps)
    logged = [e["loss"] for e in trainer.state.log_history if "loss" in e]
    assert [s.loss for s in steps] == pytest.approx(logged, abs=1e-4)
    assert [e.step for e in events if isinstance(e, Validation)] == [20, 40]
    assert isinstance(events[-1], TrainingStopped)
    assert callback.watch is not None
    assert callback.watch.warnings == []
    assert diagnose_log(tmp_path / "descend").features is not None


def test_transformers_callback_watches_the_adapter_of_peft(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    peft = pytest.importorskip("peft", reason="peft is not installed")
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    from descend.interop.transformers_callback import WatchCallback

    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=64, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    )
    lora = peft.LoraConfig(r=4, target_modules=["c_attn"], task_type="CAUSAL_LM")
    callback = WatchCallback()
    trainer = Trainer(
        model=peft.get_peft_model(model, lora),
        args=TrainingArguments(
            output_dir=str(tmp_path), max_steps=30, per_device_train_batch_size=4,
            logging_steps=1, save_strategy="no", learning_rate=1e-2, use_cpu=True,
            report_to=[], disable_tqdm=True,
        ),
        train_dataset=windows(200),  # type: ignore[arg-type]
        callbacks=[callback],
    )  # fmt: skip
    trainer.train()
    events = read_events(tmp_path / "descend")
    assert [e.step for e in events if isinstance(e, WatchedStep)] == list(range(1, 31))
    updates = [e for e in events if isinstance(e, WeightUpdateStats)]
    assert [u.step for u in updates] == [1, 26]
    names = set(updates[0].weight_rms)
    assert len(names) == 2  # the frozen weights are left out
    assert all("lora_" in name for name in names)
    assert callback.watch is not None
    assert callback.watch.warnings == []


def test_transformers_callback_watches_the_trainer_of_trl(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="trl is not installed")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from descend.interop.transformers_callback import WatchCallback

    from ..model.llama_folders import TEXT as SENTENCES
    from ..model.llama_folders import make_byte_tokenizer

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=make_byte_tokenizer(), eos_token="<|end_of_text|>",
        pad_token="<|end_of_text|>",
    )  # fmt: skip
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=320, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    )
    callback = WatchCallback()
    rows = [{"text": line} for line in SENTENCES.splitlines()[:120]]
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(
            output_dir=str(tmp_path), max_steps=30, per_device_train_batch_size=4, logging_steps=1,
            save_strategy="no", learning_rate=1e-2, use_cpu=True, report_to=[], bf16=False,
            disable_tqdm=True, max_length=32,
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer, callbacks=[callback],
    )  # fmt: skip
    trainer.train()
    steps = [e for e in read_events(tmp_path / "descend") if isinstance(e, WatchedStep)]
    assert [s.step for s in steps] == list(range(1, 31))
    assert all(s.gradient_norm for s in steps)
    logged = [e["loss"] for e in trainer.state.log_history if "loss" in e]
    assert [s.loss for s in steps] == pytest.approx(logged, abs=1e-4)
    assert logged[-1] < logged[0] - 0.5
    assert callback.watch is not None
    assert callback.watch.warnings == []


def test_lightning_callback_records_losses_and_updates(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")
    from descend.interop.lightning_callback import WatchCallback

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(64, 16)
            self.head = nn.Linear(16, 64)

        def loss(self, batch: dict[str, Tensor]) -> Tensor:
            logits = self.head(self.embedding(batch["input_ids"]))
            return functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten()
            )

        def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
            return self.loss(batch)

        def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
            self.log("val_loss", self.loss(batch))

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    callback = WatchCallback(tmp_path / "record")
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[callback],
        default_root_dir=str(tmp_path), accumulate_grad_batches=2,
    )  # fmt: skip
    data = torch.utils.data.DataLoader(windows(80), batch_size=4)  # type: ignore[arg-type]
    trainer.fit(Module(), data, torch.utils.data.DataLoader(windows(8), batch_size=4))  # type: ignore[arg-type]
    events = read_events(tmp_path / "record")
    assert [e.step for e in events if isinstance(e, WatchedStep)] == list(range(1, 21))
    assert [e.step for e in events if isinstance(e, Validation)] == [10, 20]
    assert isinstance(events[-1], TrainingStopped)
    assert callback.watch is not None
    assert callback.watch.warnings == []
    for _ in range(2):  # the second training has a record of its own
        trainer = lightning.Trainer(
            max_steps=3, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, callbacks=[WatchCallback()],
            default_root_dir=str(tmp_path / "root"),
        )  # fmt: skip
        trainer.fit(Module(), data)
    records = sorted(path.parent.name for path in (tmp_path / "root").glob("*/events.jsonl"))
    assert records == ["descend", "descend_2"]


def test_watch_reads_the_model_and_optimizer_that_fabric_wraps() -> None:
    fabric = pytest.importorskip("lightning").Fabric(accelerator="cpu", devices=1)
    network = nn.Sequential(nn.Embedding(64, 16), nn.Linear(16, 64))
    model, optimizer = fabric.setup(network, torch.optim.SGD(network.parameters(), lr=0.5))
    watch = descend.watch(model, optimizer)
    assert watch.folder.name.startswith("Sequential_")
    for window in windows(30):
        ids = window["input_ids"]
        loss = functional.cross_entropy(model(ids[:-1]), ids[1:])
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=1.0)
        optimizer.step()
        optimizer.zero_grad()
        watch.step(loss)
    watch.close()
    steps = [e for e in read_events(watch.folder) if isinstance(e, WatchedStep)]
    assert [(s.step, s.learning_rate) for s in steps] == [(n, 0.5) for n in range(1, 31)]
    assert all(s.gradient_norm is not None and 0 < s.gradient_norm < 1.01 for s in steps)
    assert watch.warnings == []
