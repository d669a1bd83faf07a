"""Logs as programs print them, one function a format; each takes a curve and gives a text.

Written from the programs' sources and from logs in their issue trackers. All hold the same curve:
training each ten steps, validation each two hundred, four epochs of five hundred steps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

EPOCH, EVERY, VALIDATE, STEPS = 500, 10, 200, 2000


@dataclass(frozen=True)
class Curve:
    """Training and validation loss by step."""

    training: Callable[[int], float]
    validation: Callable[[int], float]

    def steps(self) -> Iterator[tuple[int, float, float | None]]:
        """Step, training loss, and validation loss where it is taken."""
        for step in range(EVERY, STEPS + 1, EVERY):
            validation = self.validation(step) if step % VALIDATE == 0 else None
            yield step, self.training(step), validation


def _epoch(step: int) -> int:
    return (step - 1) // EPOCH


def _in_epoch(step: int) -> int:
    return (step - 1) % EPOCH + 1


def nanogpt(curve: Curve) -> str:
    lines = [
        "number of parameters: 10.65M",
        "num decayed parameter tensors: 26, with 10,740,096 parameters",
    ]
    for s, t, v in curve.steps():
        if v is not None:
            lines.append(f"step {s}: train loss {t:.4f}, val loss {v:.4f}")
            lines.append("saving checkpoint to out")
        lines.append(f"iter {s}: loss {t:.4f}, time 43.91ms, mfu 3.06%")
    return "\n".join(lines)


def llmc_stdout(curve: Curve) -> str:
    lines = ["| max_sequence_length T | 1024 |", "allocating 237 MiB for parameter gradients"]
    for s, t, v in curve.steps():
        lines.append(
            f"step {s:4d}/{STEPS} | loss {t:7.6f} (+0.02z)| norm 0.8123 (-0.12z)| lr 6.00e-04 | "
            "1222.11 ms | 41.2% bf16 MFU | 429123 tok/s"
        )
        if v is not None:
            lines += [f"val loss {v:.6f}", "HellaSwag: 2541/10042 = 0.253037"]
    return "\n".join(lines)


def llmc_main(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines.append(f"s:{s} trl:{t:.4f} lr:0.000600 norm:0.81")
        if v is not None:
            lines += [f"s:{s} tel:{v:.4f}", f"s:{s} eval:0.2946"]
    return "\n".join(lines)


def litgpt(curve: Curve) -> str:
    lines, last = [], "n/a"
    for s, t, v in curve.steps():
        lines.append(
            f"Epoch {_epoch(s) + 1} | iter {8 * s} step {s} | loss train: {t:.3f}, val: {last} | "
            "iter time: 132.11 ms (step) remaining time: 0:01:00"
        )
        if v is not None:
            last = f"{v:.3f}"
            lines.append(f"iter {8 * s}: val loss {v:.4f}, val time: 1023.11 ms")
    return "\n".join(lines)


def torchtune_disk(curve: Curve) -> str:
    return "\n".join(
        f"Step {s} | loss:{t} lr:2e-05 tokens_per_second_per_gpu:1234.5 peak_memory_active:14.2 "
        for s, t, _ in curve.steps()
    )


def torchtune_bar(curve: Curve) -> str:
    return "\r".join(
        f"{_epoch(s) + 1}|{s}|Loss: {t}:  {_in_epoch(s) // 5}%|██   | {_in_epoch(s)}/{EPOCH} "
        "[00:19<00:09,  2.71it/s]"
        for s, t, _ in curve.steps()
    )


def torchtitan(curve: Curve) -> str:
    lines, head = [], "[rank0]:[titan] 2025-07-01 10:11:12,345 - root - INFO - "
    for s, t, v in curve.steps():
        lines.append(
            f"{head}\x1b[31mstep: {s:2}  \x1b[32mloss: {t:7.4f}  \x1b[38;2;180;60;0mgrad_norm: 1.2345  "
            "\x1b[38;2;54;234;195mmemory:  4.01GiB(4.22%)  \x1b[34mtps: 35,021  \x1b[36mtflops: 22.1"
            "  \x1b[35mmfu: 7.07%\x1b[39m"
        )
        if v is not None:
            lines.append(
                f"{head}\x1b[36mvalidate step: {s}  \x1b[32mloss: {v:7.4f}  \x1b[34mtps: 35,021\x1b[39m"
            )
    return "\n".join(lines)


def olmo(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines.append(
            f"2024-08-06 10:00:05.520 host:0  olmo.train:908  INFO    [step={s}/{STEPS},epoch=0]"
        )
        lines += [
            "    optim/total_grad_norm=0.8312", "    optim/learning_rate_group0=0.0004",
            f"    train/CrossEntropyLoss={t:.4g}", f"    train/Perplexity={_ppl(t):,.3f}",
            "    throughput/total_tokens=2,097,152", "    throughput/device/batches_per_second=0.0254",
            "    System/Peak GPU Memory (MB)=53,695",
        ]  # fmt: skip
        if v is not None:
            lines += [
                "2024-08-06 10:01:05.520 host:0  olmo.eval:120  INFO    Running evaluation for 'pile'...",
                f"    eval/pile-validation/CrossEntropyLoss={v:.4g}",
                f"    eval/pile-validation/Perplexity={_ppl(v):.4g}",
            ]
    return "\n".join(lines)


def composer(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines += [
            f"[batch={s}/{STEPS}]:", f"\t Train time/batch: {s - 1}", f"\t Train time/sample: {32 * s}",
            "\t Train time/batch_in_epoch: 3", "\t Train trainer/device_train_microbatch_size: 8",
            f"\t Train loss/train/total: {t:.4f}", f"\t Train metrics/train/LanguageCrossEntropy: {t:.4f}",
            f"\t Train metrics/train/LanguagePerplexity: {_ppl(t):.4f}", "\t Train lr-DecoupledAdamW/group0: 0.0006",
        ]  # fmt: skip
        if v is not None:
            lines += [
                "[Eval batch=1/10] Eval on eval data:", "[Eval batch=10/10] Eval on eval data:",
                f"\t Eval metrics/eval/LanguageCrossEntropy: {v:.4f}",
                f"\t Eval metrics/eval/LanguagePerplexity: {_ppl(v):.4f}",
            ]  # fmt: skip
    return "\n".join(lines)


def megatron(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lost = "" if math.isfinite(t) else " "
        loss = f"lm loss: {t:.6E} | " if not lost else ""
        norm = "1.423" if not lost else "nan"
        lines.append(
            f" [2024-03-02 11:00:10] iteration {s:8d}/{STEPS:8d} | consumed samples: {512 * s:12d} | "
            f"elapsed time per iteration (ms): 812.4 | learning rate: 3.000000E-04 | global batch size:   "
            f"512 | {loss}loss scale: 1.0 | grad norm: {norm} | number of skipped iterations:   0 | "
            "number of nan iterations:   0 |"
        )
        if v is not None:
            rule = "-" * 90
            lines += [
                rule,
                f" validation loss at iteration {s} | lm loss value: {v:.6E} | lm loss PPL: {_ppl(v):.6E} | ",
                rule,
            ]
    return "\n".join(lines)


def deepspeed(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines += [
            f"steps: {s} loss: {t:.4f} iter time (s): 0.812 samples/sec: 78.801",
            f"[2022-01-01 10:00:00,000] [INFO] [logging.py:60:log_dist] [Rank 0] step={s}, skipped=0, lr=[0.0006, 0.0006], mom=[[0.9, 0.95]]",
        ]  # fmt: skip
        if v is not None:
            lines.append(
                f" validation results at iteration {s} | lm_loss: {v:.6E} | lm_loss_ppl: {_ppl(v):.6E} | "
            )
    return "\n".join(lines)


def fairseq_old(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        e = _epoch(s) + 1
        lines.append(
            f"| epoch {e:03d}:   {_in_epoch(s):4d} / {EPOCH} loss={t / math.log(2):.3f}, nll_loss={t / math.log(2):.3f}, ppl={_ppl(t):.2f}, "
            f"wps=52922, ups=0.5, wpb=104928, bsz=5325, num_updates={s}, lr=8.90889e-05, gnorm=1.543, clip=0%, "
            "oom=0, loss_scale=2.000, wall=882, train_wall=756"
        )
        if v is not None:
            lines.append(
                f"| epoch {e:03d} | valid on 'valid' subset | valid_loss {v / math.log(2):.5f} | valid_nll_loss {v / math.log(2):.4f} | "
                f"valid_ppl {_ppl(v):.2f} | num_updates {s} | best {v / math.log(2):.5f}"
            )
    return "\n".join(lines)


def fairseq_new(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        e = _epoch(s) + 1
        lines.append(
            f"2021-03-01 10:11:12 | INFO | train_inner | epoch {e:03d}: {_in_epoch(s):6d} / {EPOCH} loss={t / math.log(2):.3f}, "
            f"ppl={_ppl(t):.2f}, wps=12000, ups=1.2, wpb=9999, bsz=64, num_updates={s}, lr=0.0005, gnorm=0.9, train_wall=8, wall=100"
        )
        if s % EPOCH == 0:
            lines.append(
                f"2021-03-01 10:11:12 | INFO | train | epoch {e:03d} | loss {t / math.log(2):.3f} | ppl {_ppl(t):.2f} | wps 12000 | "
                f"num_updates {s} | lr 0.0005 | gnorm 0.9 | train_wall 400"
            )
        if v is not None:
            lines.append(
                f"2021-03-01 10:11:12 | INFO | valid | epoch {e:03d} | valid on 'valid' subset | loss {v / math.log(2):.3f} | "
                f"ppl {_ppl(v):.2f} | wps 30000 | wpb 900 | bsz 60 | num_updates {s}"
            )
    return "\n".join(lines)


def espnet(curve: Curve) -> str:
    lines, head = [], "[gpu01:0/2] 2020-07-19 08:49:04,080"
    for s, t, _ in curve.steps():
        e, k = _epoch(s) + 1, _in_epoch(s)
        lines.append(
            f"{head} (trainer:464) INFO: {e}epoch:train:{k - 9}-{k}batch: iter_time=2.878e-04, forward_time=0.134, loss={t:.3f}, "
            "backward_time=0.111, optim_step_time=0.030, lr_0=3.460e-06, train_time=1.816"
        )
        if s % EPOCH == 0:
            lines.append(
                f"{head} (trainer:243) INFO: {e}epoch results: [train] iter_time=0.001, loss={t:.3f}, lr_0=0.100, train_time=0.013, "
                f"time=1 minute and 42.6 seconds, total_count={s}, [valid] loss={curve.validation(s):.3f}, time=3 seconds, total_count={s // 10}, "
                "[att_plot] time=0.28 seconds, total_count=0"
            )
    return "\n".join(lines)


def opennmt(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines.append(
            f"[2018-09-20 15:18:39,264 INFO] Step {s}/{STEPS}; acc:  42.02; ppl: {_ppl(t):5.2f}; xent: {t:4.2f}; lr: 0.00040; 2214/2168 tok/s;    950 sec"
        )
        if v is not None:
            lines += [
                f"[2018-09-20 15:18:47,173 INFO] Validation perplexity: {_ppl(v):.4f}",
                "[2018-09-20 15:18:47,173 INFO] Validation accuracy: 35.9623",
            ]
    return "\n".join(lines)


def flair(curve: Curve) -> str:
    lines, head = [], "2019-07-06 18:53:12,364"
    for s, t, _ in curve.steps():
        lines.append(
            f"{head} epoch {_epoch(s) + 1} - iter {_in_epoch(s)}/{EPOCH} - loss {t:.8f} - samples/sec: 12.34"
        )
        if s % EPOCH == 0:
            lines += [
                f"{head} EPOCH {_epoch(s) + 1} done: loss {t:.4f} - lr 0.1000",
                f"{head} DEV : loss {curve.validation(s):.8f} - score 0.961",
            ]
    return "\n".join(lines)


def word_language_model(curve: Curve) -> str:
    lines = []
    for s, t, _ in curve.steps():
        lines.append(
            f"| epoch {_epoch(s) + 1:3d} | {_in_epoch(s):5d}/{EPOCH:5d} batches | lr 20.00 | ms/batch 12.34 | loss {t:5.2f} | ppl {_ppl(t):8.2f}"
        )
        if s % EPOCH == 0:
            rule, v = "-" * 89, curve.validation(s)
            lines += [
                rule,
                f"| end of epoch {_epoch(s) + 1:3d} | time: 88.88s | valid loss {v:5.2f} | valid ppl {_ppl(v):8.2f}",
                rule,
            ]
    return "\n".join(lines)


def imagenet_style(curve: Curve) -> str:
    lines = []
    for s, t, _ in curve.steps():
        lines.append(
            f"Epoch: [{_epoch(s)}][{_in_epoch(s):3d}/{EPOCH}]\tTime  0.123 ( 0.130)\tData  0.001 ( 0.002)\tLoss {t:.4e} ({t:.4e})"
        )
        if s % EPOCH == 0:
            lines += [
                f"Test: [ 0/50]\tTime  0.1 ( 0.1)\tLoss {9:.4e} ({9:.4e})",
                f"Test: [50/50]\tTime  0.1 ( 0.1)\tLoss {curve.validation(s):.4e} (2.0e+00)",
            ]
    return "\n".join(lines)


def mnist_style(curve: Curve) -> str:
    lines = []
    for s, t, _ in curve.steps():
        k = _in_epoch(s)
        lines.append(
            f"Train Epoch: {_epoch(s) + 1} [{64 * k}/{64 * EPOCH} ({100 * k / EPOCH:.0f}%)]\tLoss: {t:.6f}"
        )
        if s % EPOCH == 0:
            lines += [
                "",
                f"Test set: Average loss: {curve.validation(s):.4f}, Accuracy: 9000/10000 (90%)",
                "",
            ]
    return "\n".join(lines)


def quickstart(curve: Curve) -> str:
    lines = []
    for s, t, _ in curve.steps():
        if _in_epoch(s) == EVERY:
            lines += [f"Epoch {_epoch(s) + 1}", "-------------------------------"]
        lines.append(f"loss: {t:>7f}  [{64 * _in_epoch(s):>5d}/{64 * EPOCH:>5d}]")
        if s % EPOCH == 0:
            lines += ["Test Error: ", f" Accuracy: 50.9%, Avg loss: {curve.validation(s):>8f} ", ""]
    return "\n".join(lines)


def transfer_tutorial(curve: Curve) -> str:
    lines = []
    for e in range(40):
        s = 50 * (e + 1)
        lines += [
            f"Epoch {e}/39",
            "----------",
            f"train Loss: {curve.training(s):.4f} Acc: 0.6885",
            f"val Loss: {curve.validation(s):.4f} Acc: 0.7712",
            "",
        ]
    return "\n".join(lines)


def epoch_step(curve: Curve) -> str:
    lines = []
    for s, t, _ in curve.steps():
        lines.append(f"Epoch {_epoch(s)}, Step {_in_epoch(s) - EVERY}, Loss: {t:.4f}")
        if s % EPOCH == 0:
            lines.append(f"Epoch {_epoch(s)} validation loss: {curve.validation(s):.4f}")
    return "\n".join(lines)


def keras(curve: Curve) -> str:
    lines = []
    for e in range(40):
        s = 50 * (e + 1)
        lines.append(f"Epoch {e + 1}/40")
        lines.append("\r".join(
            [f"{k}/50 [==>...........] - ETA: 0s - loss: {curve.training(s) + 1 / k:.4f}" for k in (1, 20, 40)]
            + [f"50/50 [==============================] - 1s 2ms/step - loss: {curve.training(s):.4f} - val_loss: {curve.validation(s):.4f}"]
        ))  # fmt: skip
    return "\n".join(lines)


def fastai(curve: Curve) -> str:
    lines = ["epoch     train_loss  valid_loss  accuracy  time    "]
    for e in range(40):
        s = 50 * (e + 1)
        lines.append(
            f"{e:<9} {curve.training(s):<11.6f} {curve.validation(s):<11.6f} 0.273000  00:48     "
        )
    return "\n".join(lines)


def lightning_bar(curve: Curve) -> str:
    lines, validation, mean = [], "", ""
    for s, t, _ in curve.steps():
        k = _in_epoch(s)
        if k == EPOCH:
            validation, mean = (
                f", val_loss={curve.validation(s):.3f}",
                f", train_loss_epoch={t:.3f}",
            )
        lines.append(
            f"Epoch {_epoch(s)}: {k // 5:3d}%|████      | {k}/{EPOCH} [00:19<00:09,  2.71it/s, v_num=0, train_loss_step={t:.3f}{validation}{mean}]"
        )
        if k == EPOCH:
            lines += [
                f"Validation DataLoader 0: {p}%|███   | {p // 10}/10 [00:01<00:01,  8.2it/s]"
                for p in (10, 100)
            ]
    return "\r".join(lines)


def lightning_csv(curve: Curve) -> str:
    lines = ["epoch,lr-AdamW,step,train_loss,val_loss"]
    for s, t, v in curve.steps():
        lines.append(f"{_epoch(s)},,{s},{t},")
        if v is not None:
            lines.append(f"{_epoch(s)},,{s},,{v}")
    return "\n".join(lines)


def trainer_dicts(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines.append(
            str(
                {
                    "loss": round(t, 4),
                    "grad_norm": 0.9,
                    "learning_rate": 4e-4,
                    "epoch": round(s / EPOCH, 2),
                }
            )
        )
        if v is not None:
            lines.append(
                str(
                    {
                        "eval_loss": v,
                        "eval_runtime": 3.1,
                        "eval_samples_per_second": 120.1,
                        "eval_steps_per_second": 15.0,
                        "epoch": round(s / EPOCH, 2),
                    }
                )
            )
    lines.append(
        str(
            {
                "train_runtime": 240.1,
                "train_samples_per_second": 80.0,
                "train_steps_per_second": 5.0,
                "train_loss": 3.021,
                "epoch": 4.0,
            }
        )
    )
    return "\n".join(lines)


def trainer_dicts_with_bar(curve: Curve) -> str:
    lines = []
    for line, (s, _, _) in zip(
        trainer_dicts(curve).replace("}\n{'eval", "}{'eval").split("\n"),
        curve.steps(),
        strict=False,
    ):
        lines.append(f"\r {s // 20}%|▍         | {s}/{STEPS} [00:10<03:50,  4.99it/s]{line}")
    return "\n".join(lines).replace("}{'eval", "}\n{'eval")


def trainer_state(curve: Curve) -> str:
    history: list[dict[str, float]] = []
    for s, t, v in curve.steps():
        history.append(
            {"epoch": s / EPOCH, "grad_norm": 0.9, "learning_rate": 4e-4, "loss": t, "step": s}
        )
        if v is not None:
            history.append({"epoch": s / EPOCH, "eval_loss": v, "eval_runtime": 2.0, "step": s})
    return json.dumps({"best_metric": None, "log_history": history, "global_step": STEPS}, indent=2)


def notebook_table(curve: Curve) -> str:
    rows = [f"{s}\t{t:.6f}\t{'No log' if v is None else f'{v:.6f}'}" for s, t, v in curve.steps()]
    return "\n".join(["Step\tTraining Loss\tValidation Loss", *rows])


def model_card(curve: Curve) -> str:
    lines = [
        "### Training results",
        "",
        "| Training Loss | Epoch | Step | Validation Loss |",
        "|:-------------:|:-----:|:----:|:---------------:|",
    ]
    lines += [
        f"| {curve.training(s):.4f}        | {s / EPOCH:.1f}   | {s} | {curve.validation(s):.4f}          |"
        for s in range(50, STEPS + 1, 50)
    ]
    return "\n".join([*lines, "", "### Framework versions", "", "- Transformers 4.57.1"])


def trl_sft(curve: Curve) -> str:
    return "\n".join(
        str({"loss": f"{t:.4f}", "grad_norm": "0.9", "learning_rate": "2e-05", "entropy": "1.2", "num_tokens": f"{s * 100}",
             "mean_token_accuracy": "0.61", "epoch": f"{s / EPOCH:.2f}"})
        for s, t, _ in curve.steps()
    )  # fmt: skip


def mlx_lm(curve: Curve) -> str:
    lines = ["Starting training..., iters: 2000"]
    for s, t, v in curve.steps():
        if v is not None:
            lines.append(f"Iter {s}: Val loss {v:.3f}, Val took 10.231s")
        lines.append(
            f"Iter {s}: Train loss {t:.3f}, Learning Rate 1.000e-05, It/sec 0.512, Tokens/sec 200.123, Trained Tokens {s * 100}, Peak mem 5.123 GB"
        )
    return "\n".join(lines)


def json_lines(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines.append(
            json.dumps({"iteration": s, "train": {"nll": t, "lr": 1e-3}, "tok_per_s": 1234.5})
        )
        if v is not None:
            lines.append(json.dumps({"iteration": s, "valid": {"nll": v}}))
    return "\n".join(lines)


def json_lines_split(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines.append(json.dumps({"split": "train", "global_step": s, "loss": t}))
        if v is not None:
            lines.append(json.dumps({"split": "val", "global_step": s, "loss": v}))
    return "\n".join(lines)


def fairseq_json(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines.append("[2021-05-05 10:00:00,123][train_inner][INFO] - " + json.dumps(
            {"epoch": _epoch(s) + 1, "update": round(s / EPOCH, 3), "loss": f"{t / math.log(2):.3f}", "ppl": f"{_ppl(t):.2f}",
             "num_updates": str(s), "lr": "0.0005", "gnorm": "0.9"}))  # fmt: skip
        if v is not None:
            lines.append("[2021-05-05 10:00:00,123][valid][INFO] - " + json.dumps(
                {"epoch": _epoch(s) + 1, "valid_loss": f"{v / math.log(2):.3f}", "valid_ppl": f"{_ppl(v):.2f}", "valid_num_updates": str(s)}))  # fmt: skip
    return "\n".join(lines)


def wandb_csv(curve: Curve) -> str:
    lines = [
        '"Step","run-1 - train/loss","run-1 - train/loss__MIN","run-1 - train/loss__MAX","run-1 - val/loss"'
    ]
    for s, t, v in curve.steps():
        lines.append(f'"{s}","{t}","{t}","{t}","{"" if v is None else v}"')
    return "\n".join(lines)


def mlflow_csv(curve: Curve) -> str:
    lines = ["run_id,key,value,step,timestamp"]
    lines += [f"a1b2,train_loss,{t},{s},170000{s}" for s, t, _ in curve.steps()]
    lines += [f"a1b2,val_loss,{v},{s},170000{s}" for s, _, v in curve.steps() if v is not None]
    return "\n".join(lines)


def keras_history(curve: Curve) -> str:
    steps = range(50, STEPS + 1, 50)
    return json.dumps(
        {
            "loss": [curve.training(s) for s in steps],
            "val_loss": [curve.validation(s) for s in steps],
        }
    )


def glog_transformer_xl(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines.append(
            f"| epoch {_epoch(s) + 1:3d} step {s:8d} | {_in_epoch(s):6d} batches | lr 0.00025 | ms/batch 123.45 | loss {t:5.2f} | ppl {_ppl(t):9.3f}"
        )
        if v is not None:
            lines.append(
                f"| Eval {s // VALIDATE:3d} at step {s:8d} | time: 12.34s | valid loss {v:5.2f} | valid ppl {_ppl(v):9.3f}"
            )
    return "\n".join(lines)


def estimator(curve: Curve) -> str:
    lines, head = [], "INFO:tensorflow:"
    for s, t, v in curve.steps():
        lines.append(f"{head}loss = {t:.5f}, step = {s} (12.345 sec)")
        if v is not None:
            lines.append(
                f"{head}Saving dict for global step {s}: accuracy = 0.3, global_step = {s}, loss = {v:.5f}"
            )
    return "\n".join(lines)


def llama2c(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        if v is not None:
            lines.append(f"step {s}: train loss {t:.4f}, val loss {v:.4f}")
        lines.append(f"{s} | loss {t:.4f} | lr 5.000000e-04 | 123.45ms | mfu 40.1%")
    return "\n".join(lines)


def printed_tensors(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines.append(f"step {s} loss tensor({t:.4f}, device='cuda:0', grad_fn=<NllLossBackward0>)")
        if v is not None:
            lines.append(f"step {s} val loss tensor({v:.4f}, device='cuda:0')")
    return "\n".join(lines)


def llama_factory(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        row = {
            "current_steps": s,
            "total_steps": STEPS,
            "lr": 1e-4,
            "epoch": s / EPOCH,
            "percentage": 1.2,
        }
        lines.append(json.dumps(row | {"loss": t}))
        if v is not None:
            lines.append(json.dumps(row | {"eval_loss": v}))
    return "\n".join(lines)


def catalyst(curve: Curve) -> str:
    lines = []
    for s, t, _ in curve.steps():
        lines.append(f"{_epoch(s) + 1}/4 * Epoch (train): {_in_epoch(s)}/{EPOCH} loss={t:.4f}")
        if s % EPOCH == 0:
            lines.append(f"{_epoch(s) + 1}/4 * Epoch (valid): 50/50 loss={curve.validation(s):.4f}")
    return "\n".join(lines)


def tabular_blocks(curve: Curve) -> str:
    lines = []
    for s, t, _ in curve.steps():
        lines += [
            "-" * 30,
            f"| grad_norm  | {0.9:<10} |",
            f"| loss       | {t:<10.4g} |",
            f"| step       | {s:<10} |",
            "-" * 30,
        ]
    return "\n".join(lines)


def _ppl(loss: float) -> float:
    return math.exp(loss) if math.isfinite(loss) and loss < 50 else loss


def levanter(curve: Curve) -> str:
    at = "2024-06-01T10:00:00 - 0 - levanter"
    lines = [f"{at}.main - train_lm.py:90 - INFO :: starting"]
    for s, t, v in curve.steps():
        lines.append(
            f"{at}.callbacks - callbacks.py:100 - INFO :: train: {s}/{STEPS} | loss: {t:.4f} | "
            "rate: 1.2it/s"
        )
        if v is not None:
            lines.append(f"{at}.eval - eval.py:180 - INFO :: validation loss: {v:.4f}")
    return "\n".join(lines)


def number_in_front(curve: Curve) -> str:
    lines = []
    for s, t, v in curve.steps():
        lines.append(f"{s} train loss {t:.4f}" + ("" if v is None else f" test loss {v:.4f}"))
    return "\n".join(lines)


def mmengine(curve: Curve) -> str:
    at = "05/01 12:00:00 - mmengine - INFO -"
    return "\n".join(
        f"{at} Iter(train) [{s:4d}/{STEPS}]  lr: 2.0000e-05  eta: 1:02:03  time: 1.2345  "
        f"data_time: 0.0123  memory: 12345  loss: {t:.4f}"
        for s, t, _ in curve.steps()
    )


STEP_FORMATS: dict[str, Callable[[Curve], str]] = {
    f.__name__: f for f in (
        nanogpt, llmc_stdout, llmc_main, litgpt, torchtitan, olmo, composer, megatron, deepspeed, fairseq_old, fairseq_new, fairseq_json,
        estimator, llama2c, printed_tensors, llama_factory, levanter, number_in_front,
        opennmt, trainer_state, notebook_table, mlx_lm, json_lines, json_lines_split, wandb_csv, mlflow_csv, lightning_csv, glog_transformer_xl,
    )
}  # fmt: skip
"""Validation each two hundred steps."""
EPOCH_VALIDATION: dict[str, Callable[[Curve], str]] = {
    f.__name__: f for f in (espnet, flair, word_language_model, imagenet_style, epoch_step, lightning_bar, catalyst)
}  # fmt: skip
"""Counters that restart, validation once an epoch."""
SAMPLE_COUNTERS = {f.__name__: f for f in (mnist_style, quickstart)}
"""Counters of samples, 64 a step."""
NO_VALIDATION = {f.__name__: f for f in (torchtune_disk, torchtune_bar, mmengine)}
EPOCHS = {f.__name__: f for f in (transfer_tutorial, keras, fastai)}
"""One point an epoch, forty of them."""
BASE_TWO = {"fairseq_old", "fairseq_new", "fairseq_json"}
