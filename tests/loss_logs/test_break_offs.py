"""A log that ends in an error, a signal, or an interruption tells so, and not that all is well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from descend.cli.main import run
from descend.errors import LogError
from descend.loss_logs.diagnose_log import LogDiagnosis, diagnose_log
from descend.report.text.log_diagnosis import format_log_diagnosis

from .written_logs import written

STEPS = range(10, 2001, 10)
TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/workspace/train.py", line 214, in <module>',
    "    raise",
]


def fall(step: int) -> float:
    """A loss that falls as a power law."""
    return round(1.7 + 8 * float((1 + step / 12) ** -0.3), 4)


def lines_of_run() -> list[str]:
    """A run that learns, and still falls at its end."""
    lines = []
    for step in STEPS:
        lines.append(f"step {step} loss {fall(step)}")
        if step % 200 == 0:
            lines.append(f"step {step} val_loss {fall(step) + 0.05:.4f}")
    return lines


def diagnose_end(tmp_path: Path, end: list[str]) -> LogDiagnosis:
    """The diagnosis of that run with further lines at the end of its log."""
    return diagnose_log(written(tmp_path, [*lines_of_run(), *end]))


ENDS: dict[str, tuple[str, list[str]]] = {
    "torch_cuda": ("accelerator memory", [*TRACEBACK,
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB."]),
    "torch_old": ("accelerator memory", [*TRACEBACK,
        "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 7.79 GiB total)"]),
    "mps": ("accelerator memory", [*TRACEBACK,
        "RuntimeError: MPS backend out of memory (MPS allocated: 8.95 GB, max allowed: 9.07 GB)."]),
    "jax": ("accelerator memory", [*TRACEBACK,
        "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 4 bytes"
        ]),
    "tensorflow": ("accelerator memory", [*TRACEBACK,
        "tensorflow.python.framework.errors_impl.ResourceExhaustedError: OOM when allocating tensor"
        ]),
    "one_rank_of_several": ("accelerator memory", [
        "[rank3]: Traceback (most recent call last):",
        "[rank3]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB.",
        "[rank1]:[E1] [PG ID 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=4)",
        "W1 torch/distributed/elastic Sending process 77 closing signal SIGTERM", *TRACEBACK,
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:"]),
    "bash": ("memory", ["./run.sh: line 3: 12345 Killed                  python train.py"]),
    "alone": ("memory", ["Killed"]),
    "zsh": ("memory", ["zsh: killed     python train.py"]),
    "slurm_memory": ("memory", [
        "slurmstepd: error: Detected 1 oom_kill event in StepId=77.batch. Some of the step tasks "
        "have been OOM Killed."]),
    "loader": ("memory", [*TRACEBACK,
        "RuntimeError: DataLoader worker (pid 4242) is killed by signal: Killed."]),
    "cpu": ("memory", [*TRACEBACK,
        "RuntimeError: [enforce fail at alloc_cpu.cpp:75] . DefaultCPUAllocator: not enough memory"
        ]),
    "shared": ("shared memory", [
        "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient "
        "shared memory (shm)."]),
    "disk": ("disk", [*TRACEBACK, "OSError: [Errno 28] No space left on device"]),
    "quota": ("disk", [*TRACEBACK, "OSError: [Errno 122] Disk quota exceeded"]),
    "assert_of_device": ("accelerator", [*TRACEBACK,
        "RuntimeError: CUDA error: device-side assert triggered"]),
    "illegal": ("accelerator", [*TRACEBACK,
        "RuntimeError: CUDA error: an illegal memory access was encountered"]),
    "nccl": ("communication", [*TRACEBACK,
        "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:1331, unhandled "
        "system error, NCCL version 2.19.3"]),
    "watchdog": ("communication", [
        "[E ProcessGroupNCCL.cpp:828] [Rank 1] Watchdog caught collective operation timeout"]),
    "peer": ("communication", [*TRACEBACK,
        "RuntimeError: [gloo/transport/tcp/pair.cc:589] Read error [10.0.0.2]: Connection reset by "
        "peer"]),
    "time_limit": ("stopped", [
        "slurmstepd: error: *** JOB 77 ON node3 CANCELLED AT 2024-03-01T10:00:00 DUE TO TIME LIMIT "
        "***"]),
    "pbs": ("stopped", ["=>> PBS: job killed: walltime 3644 exceeded limit 3600"]),
    "signal": ("stopped", [*TRACEBACK,
        "torch.distributed.elastic.multiprocessing.api.SignalException: Process 9 got signal: 15"]),
    "terminated": ("stopped", ["Terminated"]),
    "lightning_signal": ("stopped", ["[rank: 0] Received SIGTERM: 15"]),
    "segfault": ("error", ["Segmentation fault (core dumped)"]),
    "any_error": ("error", [*TRACEBACK, "KeyError: 'input_ids'"]),
    "of_module": ("error", [*TRACEBACK, "  loss: Tensor", "socket.timeout: timed out"]),
    "first_of_a_chain": ("error", [*TRACEBACK, "KeyError: 'input_ids'", "",
        "During handling of the above exception, another exception occurred:", "", *TRACEBACK,
        "RuntimeError: worker failed"]),
    "cut_off": ("error", TRACEBACK[:2]),
    "json": ("error", [json.dumps({"level": "error", "message":
        'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: \'input_ids\''})]),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_end_of_a_run_that_broke_off_is_named(name: str, tmp_path: Path) -> None:
    kind, end = ENDS[name]
    diagnosis = diagnose_end(tmp_path, end)
    assert diagnosis.break_off is not None
    assert diagnosis.break_off.kind == kind
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("broke_off", "no")
    text = format_log_diagnosis(diagnosis)
    assert text.startswith("No, this run did not come to its end: it broke off after step 2,000")
    assert diagnosis.break_off.message in text
    assert "Until then the curve is normal" in text
    assert "twice as long" not in text
    if kind == "error" and name not in ("segfault", "of_module", "cut_off"):
        assert diagnosis.break_off.message == "KeyError: 'input_ids'"


CONTINUED: dict[str, list[str]] = {
    "nothing": [],
    "harmless_lines": [
        "Exception ignored in: <function _ConnectionBase.__del__ at 0x7f>", *TRACEBACK,
        "OSError: [Errno 9] Bad file descriptor",
        "W bfc_allocator.cc:290] Allocator ran out of memory trying to allocate 2.20GiB. The "
        "caller indicates that this is not a failure",
        "saved the model to /home/error/killed/out.pt, 0 errors, test error: 0.53",
        "Killed by Death, a song, and 3 stale workers were terminated",
        "Epoch 3: training terminated by max_epochs",
    ],
    "sample_text": ['"Terminated," said the KeyError of the Exception, "and nan is no loss."'],
}  # fmt: skip


@pytest.mark.parametrize("name", CONTINUED)
def test_run_that_did_not_break_off_is_normal(name: str, tmp_path: Path) -> None:
    diagnosis = diagnose_end(tmp_path, CONTINUED[name])
    assert diagnosis.break_off is None
    assert diagnosis.normal.answer == "yes"


def test_error_that_training_went_on_after_is_no_end(tmp_path: Path) -> None:
    lines = lines_of_run()
    middle = len(lines) // 2
    for _, end in ENDS.values():
        diagnosis = diagnose_log(written(tmp_path, [*lines[:middle], *end, *lines[middle:]]))
        assert diagnosis.break_off is None
        assert diagnosis.normal.answer == "yes"


@pytest.mark.parametrize(
    "end",
    [
        "{'train_runtime': 812.3, 'train_loss': 2.1, 'epoch': 3.0}",
        "`Trainer.fit` stopped: `max_steps=2000` reached.",
        "INFO done training in 812.3 seconds",
    ],
)
def test_error_after_the_end_of_training_is_a_note(end: str, tmp_path: Path) -> None:
    diagnosis = diagnose_end(tmp_path, [end, *TRACEBACK, "ValueError: no token to push to the hub"])
    assert diagnosis.normal.answer == "yes"
    assert any("had come to its end, and then" in note for note in diagnosis.warnings)


def test_interruption_by_hand_is_no_fault(tmp_path: Path) -> None:
    for end in (["^C"], [*TRACEBACK, "KeyboardInterrupt"], ["Exiting from training early"]):
        diagnosis = diagnose_end(tmp_path, end)
        assert diagnosis.normal.answer == "yes"
        assert diagnosis.verdict != "broke_off"
        assert any("interrupted by hand" in note for note in diagnosis.warnings)


@pytest.mark.parametrize(
    "error",
    [
        "FloatingPointError: Minimum loss scale reached (0.0001).",
        "RuntimeError: Function 'MmBackward0' returned nan values in its 0th output.",
        "ValueError: The loss returned in `training_step` is nan.",
        "RuntimeError: probability tensor contains either `inf`, `nan` or element < 0",
    ],
)
def test_program_that_ends_itself_by_a_lost_number_has_diverged(error: str, tmp_path: Path) -> None:
    diagnosis = diagnose_end(tmp_path, [*TRACEBACK, error])
    assert (diagnosis.verdict, diagnosis.normal.answer) == ("diverged", "no")
    assert "diverged" not in [cause.cause for cause in diagnosis.ruled_out]
    assert error in format_log_diagnosis(diagnosis)


def test_fault_of_the_curve_stays_the_verdict(tmp_path: Path) -> None:
    lines = [f"step {s} loss {fall(s) if s < 1000 else 'nan'}" for s in STEPS]
    diagnosis = diagnose_log(written(tmp_path, [*lines, *TRACEBACK, "KeyError: 'input_ids'"]))
    assert diagnosis.verdict == "diverged"
    assert "Besides, the run broke off" in diagnosis.normal.reason
    assert any("KeyError: 'input_ids'" in note for note in diagnosis.warnings)


def bar(done: int, total: int) -> str:
    """A progress bar of tqdm."""
    return f"{done / total:.0%}|███▍      | {done}/{total} [1:22:09<2:38:06,  4.00s/it]"


def rows_with_bars(total: int, until: int) -> list[str]:
    """Losses between a bar of the run, with a bar of an evaluation here and there, below those of
    a download and of the preparation."""
    lines = [bar(548118077, 548118077), bar(52002, 52002)]
    for step in range(10, until + 1, 10):
        lines += [bar(step, total), str({"loss": fall(step), "epoch": round(step / 1200, 3)})]
        if step % 100 == 0:
            lines += [bar(n, 47) for n in (1, 20, 47)]
            lines.append(str({"eval_loss": fall(step) + 0.05, "epoch": round(step / 1200, 3)}))
    return lines


def test_bar_of_the_run_is_distinguished_from_others(tmp_path: Path) -> None:
    error = ENDS["torch_cuda"][1]
    broken = diagnose_log(written(tmp_path, [*rows_with_bars(2000, 1230), *error])).break_off
    assert broken is not None
    assert (broken.done, broken.total, broken.is_after_end) == (1230, 2000, False)
    in_evaluation = [*rows_with_bars(2000, 1200), bar(1, 47), bar(20, 47), *error]
    broken = diagnose_log(written(tmp_path, in_evaluation)).break_off
    assert broken is not None
    assert (broken.done, broken.total) == (1200, 2000)
    complete = diagnose_log(written(tmp_path, [*rows_with_bars(2000, 2000), *error])).break_off
    assert complete is not None
    assert complete.is_after_end
    others = [line for line in rows_with_bars(2000, 1200) if "/2000 " not in line]
    broken = diagnose_log(written(tmp_path, [*others, *error])).break_off
    assert broken is not None
    assert (broken.done, broken.is_after_end) == (None, False)


def test_progress_bar_tells_how_far_the_run_was(tmp_path: Path) -> None:
    rows = [str({"loss": fall(s), "epoch": round(s / 1200, 3)}) for s in range(10, 1231, 10)]
    error = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB."
    lines = [*rows, bar(47, 47), f"{bar(1231, 3600)}{TRACEBACK[0]}", *TRACEBACK[1:], error]
    text = format_log_diagnosis(diagnose_log(written(tmp_path, lines, "nohup.out")))
    assert "it broke off at 1,231 of 3,600 (34%)" in text
    assert "smaller" in text


def test_program_that_ends_before_its_first_losses_is_named_in_the_error(tmp_path: Path) -> None:
    for lines in ([], ["step 1 loss 9.1"]):
        path = written(tmp_path, ["loading the model", *lines, *ENDS["torch_cuda"][1]])
        with pytest.raises(LogError, match="CUDA out of memory") as raised:
            diagnose_log(path)
        assert "smaller" in str(raised.value)


def test_table_that_ends_in_an_error_broke_off(tmp_path: Path) -> None:
    rows = [f"{s},{fall(s)},{fall(s) + 0.05:.4f}" for s in STEPS]
    lines = ["step,loss,val_loss", *rows, *TRACEBACK, "KeyError: 'input_ids'"]
    path = written(tmp_path, lines, "log.csv")
    assert diagnose_log(path).verdict == "broke_off"
    assert diagnose_log(written(tmp_path, [*lines, *rows[-3:]], "log.csv")).break_off is None


def notebook(tmp_path: Path, outputs: list[list[dict[str, object]]]) -> Path:
    """The path of a notebook with cells of these outputs."""
    cells = [{"cell_type": "code", "source": [], "outputs": own} for own in outputs]
    book = {"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}
    return written(tmp_path, [json.dumps(book)], "run.ipynb")


def test_error_of_the_cell_that_trains_ends_its_run(tmp_path: Path) -> None:
    losses: dict[str, object] = {"output_type": "stream", "text": "\n".join(lines_of_run()) + "\n"}
    error: dict[str, object] = {"output_type": "error", "ename": "RuntimeError",
                                "evalue": "CUDA error: device-side assert triggered"}  # fmt: skip
    broken = diagnose_log(notebook(tmp_path, [[losses, error]]))
    assert broken.break_off is not None
    assert (broken.verdict, broken.break_off.kind) == ("broke_off", "accelerator")
    plot: dict[str, object] = {"output_type": "error", "ename": "NameError", "evalue": "plt"}
    assert diagnose_log(notebook(tmp_path, [[losses], [plot]])).break_off is None


def test_command_line_fails_on_a_run_that_broke_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of_run()
    healthy = written(tmp_path, lines, "healthy.log")
    broken = written(tmp_path, [*lines, "Killed"], "broken.log")
    assert run(["diagnose", str(healthy), "--fail-on", "broke_off"]) == 0
    assert run(["diagnose", str(broken), "--fail-on", "broke_off"]) == 1
    assert "did not come to its end" in capsys.readouterr().out
