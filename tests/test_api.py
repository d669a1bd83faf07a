"""The library as the guide shows it: run, run_on_model, load, predict."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
import torch

import descend
from descend import DescendError, Model, RunConfig, load, run, run_on_model
from descend.errors import ConfigError, RunFolderError
from descend.runs.events import Epoch, Step, TrainingStarted, TrainingStopped


@pytest.fixture(scope="module")
def folder(trained: Path) -> Path:
    return trained


def weights(model: Model) -> dict[str, torch.Tensor]:
    return dict(model.network.named_parameters())


def same(one: Model, other: Model) -> bool:
    a, b = weights(one), weights(other)
    return all(torch.equal(a[name], b[name]) for name in a)


def test_run_accepts_dict_keywords_and_config(
    tiny: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny["max_steps"] = 4
    models = [run(tiny), run(**tiny), run(RunConfig(**tiny)), run(tiny, seed=7)]
    assert same(models[0], models[1])
    assert same(models[0], models[2])
    assert not same(models[0], models[3])
    assert len({model.folder for model in models}) == 4
    output = capsys.readouterr()
    assert output.out == ""
    assert "epoch " in output.err


def test_the_returned_model_is_the_saved_one(tiny: dict[str, Any]) -> None:
    trained = run(tiny)
    loaded = load(trained.folder)
    assert same(trained, loaded)
    assert not trained.network.training
    ids = torch.tensor([trained.tokenizer.encode("The old owl sleeps")])
    with torch.no_grad():
        # The kernels of attention may differ between the two.
        torch.testing.assert_close(trained.network(ids), loaded.network(ids), atol=1e-5, rtol=1e-5)
    prompt = "The old"
    assert trained.predict(prompt, greedy=True) == loaded.predict(prompt, greedy=True)


def test_predict_goes_on_from_the_prompt(folder: Path) -> None:
    model = load(folder)
    text = model.predict("The old", max_length=10, seed=1)
    assert text.startswith("The old")
    assert text == model.predict("The old", max_length=10, seed=1)
    assert "".join(model.stream("The old", 10, seed=1)) == text.removeprefix("The old")
    both = model.complete(["The old", "A dog"], 5, greedy=True)
    assert [c.text for c in both] == [
        model.predict(p, 5, greedy=True).removeprefix(p) for p in ("The old", "A dog")
    ]


def test_a_model_knows_how_its_training_went(folder: Path) -> None:
    model = load(str(folder))
    steps = [r.step for r in model.records if isinstance(r, Step)]
    epochs = [r for r in model.records if isinstance(r, Epoch)]
    assert steps == list(range(1, len(steps) + 1))
    assert isinstance(model.records[0], TrainingStarted)
    assert isinstance(last := model.records[-1], TrainingStopped)
    assert last.reason == "finished"
    assert model.summary.epochs == epochs
    assert model.summary.validation_loss == min(e.validation_loss for e in epochs)
    assert f"{model.summary.validation_loss:.2f} nats per token" in model.summarize()
    assert "modern" in repr(model)
    assert model.info.resolved_config["vocab_size"] == model.network.shape.vocab_size


def test_run_returns_the_best_epoch(tiny: dict[str, Any], text_file: Path) -> None:
    # A rate that ruins the model in its second epoch.
    model = run(tiny | {
        "learning_rate": {1: 1e-3, 2: 0.06}, "gradient_clip": 0.0, "divergence_rollback": "off",
    })  # fmt: skip
    first, second = model.summary.epochs
    assert first.validation_loss < second.validation_loss
    assert model.summary.best_epoch == 1
    model.network.train(False)
    assert model.evaluate(text_file).loss < second.validation_loss


def test_evaluate_applies_normalization_of_training(tiny: dict[str, Any], tmp_path: Path) -> None:
    composed, apart = tmp_path / "composed.txt", tmp_path / "apart.txt"
    composed.write_text("caf\u00e9 \u00fcber na\u00efve\n" * 400, encoding="utf-8")
    apart.write_text(unicodedata.normalize("NFD", composed.read_text("utf-8")), encoding="utf-8")
    own = tiny | {"corpus_dir": str(composed), "max_steps": 2}
    for normalize in ("nfc", "none"):
        model = run(own | {"normalize": normalize})
        same_text = model.evaluate(apart).bytes == model.evaluate(composed).bytes
        assert same_text is (normalize == "nfc")


def test_run_on_model_trains_into_a_new_folder(folder: Path, text_file: Path) -> None:
    before = load(folder)
    for config in ({"epochs": 1, "learning_rate": 0.002}, RunConfig(epoch=1, learning_rate=0.002)):
        after = run_on_model(folder, config, save_dir=f"further {type(config).__name__}")
        assert after.folder != folder
        assert after.info.parent == str(folder)
        assert len(after.summary.epochs) == 1
        assert after.evaluate(text_file).loss < before.evaluate(text_file).loss
    assert same(load(folder), before)


def test_mistakes_are_exceptions_with_four_facts(tiny: dict[str, Any], folder: Path) -> None:
    for mistake in (
        lambda: run(tiny, embed_dmi=3),
        lambda: run(tiny, preset="guid"),
        lambda: run_on_model(folder, embed_dim=64),
        lambda: load(folder).predict("a", temprature=1),
        lambda: load(folder).predict("a", top_p=3),
    ):
        with pytest.raises(ConfigError) as caught:
            mistake()
        error = caught.value
        assert isinstance(error, DescendError)
        assert all((error.location, error.actual, error.expected, error.fix))
    for wrong in (lambda: run("de.txt"), lambda: run_on_model(folder, Path("de.txt"))):  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"write \{'corpus_dir': 'de.txt'\}"):
            wrong()
    with pytest.raises(ConfigError, match="keys with their values"):
        run(["de.txt"])  # type: ignore[arg-type]
    with pytest.raises(RunFolderError, match="no such folder"):
        load("nowhere")
    with pytest.raises(RunFolderError, match="finished"):
        descend.resume(folder)


def test_imported_model_generates_but_has_no_history(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    model = load(tmp_path)
    assert model.trained_context == model.network.shape.max_seq_len
    assert model.predict("A", max_length=3).startswith("A")
    with pytest.raises(RunFolderError, match=r"no summary\.json"):
        _ = model.summary
