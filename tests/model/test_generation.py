"""Generation: with and without cache, alone and in a batch, beyond the context, as text."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from descend.data.tokenizer import Tokenizer, TokenizerKind, train_tokenizer
from descend.errors import ConfigError
from descend.model.generation import (
    Completion,
    GeneratedToken,
    TextStream,
    collect_completions,
    generate,
    generate_text,
)
from descend.model.initialization import initialize
from descend.model.sampling import (
    SamplingOptions,
    apply_logits_processors,
    greedy_tokens,
    sample_tokens,
)
from descend.model.shape import Architecture, ModelShape
from descend.model.transformer import Transformer

ARCHITECTURES: list[Architecture] = ["gpt", "modern"]
GREEDY = SamplingOptions(greedy=True)
NO_END = -1
"""An id that no model gives: rows then end by length only."""

TEXT = "the cat sat on the mat; é ü 漢字 🙂 and the dog sat on the log. " * 20


def noisy(architecture: Architecture, vocab: int = 60, max_seq_len: int = 24) -> Transformer:
    """A tiny model whose weights are all far from zero, so that its choices are its own."""
    model = Transformer(ModelShape(architecture, vocab, 16, 2, 2, 32, max_seq_len))
    initialize(model, 1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return model


def by_row(tokens: list[GeneratedToken], rows: int) -> list[list[int]]:
    return [[t.id for t in tokens if t.row == row] for row in range(rows)]


def written(
    model: Transformer,
    prompts: list[list[int]],
    sampling_options: SamplingOptions,
    count: int,
    seed: int = 0,
) -> list[list[int]]:
    tokens = list(
        generate(model, prompts, sampling_options, max_new_tokens=count, end_id=NO_END, seed=seed)
    )
    return by_row(tokens, len(prompts))


def written_without_cache(model: Transformer, prompt: list[int], count: int) -> list[int]:
    """The plain way, all positions anew for each token; slides by the same rule."""
    ids, window = list(prompt), model.shape.max_seq_len
    new = []
    for _ in range(count):
        if len(ids) > window:
            ids = ids[-(window * 3 // 4) :]
        so_far = torch.tensor([ids])
        with torch.no_grad():
            logits = model.eval()(so_far)[:, -1]
        new += greedy_tokens(apply_logits_processors(logits, so_far, GREEDY))
        ids.append(new[-1])
    return new


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("length", [1, 23, 24, 25, 70])
def test_the_cache_changes_nothing(architecture: Architecture, length: int) -> None:
    model = noisy(architecture)
    prompt = torch.randint(0, 60, (length,), generator=torch.Generator().manual_seed(3)).tolist()
    expected = written_without_cache(model, prompt, 60)
    assert len(set(expected)) > 5
    assert written(model, [prompt], GREEDY, 60) == [expected]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("greedy", [True, False])
def test_generate_batch_matches_single_prompts(architecture: Architecture, greedy: bool) -> None:
    model = noisy(architecture)
    sampling_options = SamplingOptions(greedy=greedy)
    prompts = [[1, 2, 3], [4], list(range(20)), [7, 8, 9, 10, 11], list(range(50))]
    together = written(model, prompts, sampling_options, 40)
    assert len({tuple(row) for row in together}) == len(prompts)
    for row, prompt in enumerate(prompts):
        if greedy or row == 0:  # a row's random numbers are a function of its place
            assert written(model, [prompt], sampling_options, 40) == [together[row]]
        alone_in_place = [[5]] * row + [prompt]
        assert written(model, alone_in_place, sampling_options, 40)[row] == together[row]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_seed_decides(architecture: Architecture) -> None:
    model = noisy(architecture)
    prompts, sampling_options = [[1, 2]] * 3, SamplingOptions(temperature=2.0, top_k=0, top_p=1.0)
    first = written(model, prompts, sampling_options, 20, seed=5)
    assert first == written(model, prompts, sampling_options, 20, seed=5)
    assert first != written(model, prompts, sampling_options, 20, seed=6)
    assert first[0] != first[1]


def test_generate_stops_each_row_at_end_token() -> None:
    model = noisy("modern")
    prompts = [[1], [2, 3], [4, 5, 6], [7]]
    free = written(model, prompts, GREEDY, 30)
    end_id = free[1][12]
    tokens = list(generate(model, prompts, GREEDY, max_new_tokens=30, end_id=end_id))
    for row, (got, alone) in enumerate(zip(by_row(tokens, 4), free, strict=True)):
        cut = alone.index(end_id) + 1 if end_id in alone else 30
        assert got == alone[:cut]
        last = [t for t in tokens if t.row == row][-1]
        assert last.finish == ("end" if end_id in alone else "length")
    assert sum(t.finish is not None for t in tokens) == 4
    assert any(t.finish == "end" for t in tokens)


def test_an_empty_prompt_starts_from_the_end_token() -> None:
    model = noisy("gpt")
    kwargs = {"max_new_tokens": 8, "end_id": 9}
    empty = [t.id for t in generate(model, [[]], GREEDY, **kwargs)]  # type: ignore[arg-type]
    assert empty == [t.id for t in generate(model, [[9]], GREEDY, **kwargs)]  # type: ignore[arg-type]
    assert empty != [t.id for t in generate(model, [[8]], GREEDY, **kwargs)]  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("window", [1, 2, 3])
def test_generate_slides_the_window_when_the_context_is_tiny(
    architecture: Architecture, window: int
) -> None:
    model = noisy(architecture, max_seq_len=3)
    sampling_options = SamplingOptions(no_repeat_ngram_size=0)
    tokens = generate(
        model, [[1], []], sampling_options, max_new_tokens=12, end_id=NO_END + 1, context=window
    )
    assert all(0 <= t.id < 60 for t in tokens)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_positions_beyond_the_context_play_no_part(architecture: Architecture) -> None:
    model = noisy(architecture)
    whole = by_row(list(generate(model, [[1]], GREEDY, max_new_tokens=40, end_id=NO_END)), 1)
    short = [
        t.id for t in generate(model, [[1]], GREEDY, max_new_tokens=40, end_id=NO_END, context=8)
    ]
    assert short != whole[0]
    assert short[:7] == whole[0][:7]
    if model.position_embedding is not None:
        with torch.no_grad():
            model.position_embedding.weight[8:] = torch.nan
        again = generate(model, [[1]], GREEDY, max_new_tokens=40, end_id=NO_END, context=8)
        assert short == [t.id for t in again]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_generate_supports_dtypes_and_restores_training_mode(
    architecture: Architecture, dtype: torch.dtype
) -> None:
    model = noisy(architecture).to(dtype)
    model.train()
    stream = generate(model, [[1], [2, 3]], SamplingOptions(), max_new_tokens=30, end_id=NO_END)
    next(stream)
    assert model.training
    assert torch.is_grad_enabled()  # also while the stream stands still
    assert len(list(stream)) == 59


def test_no_dropout_while_writing() -> None:
    model = Transformer(noisy("gpt").shape, dropout_rate=0.5)
    model.load_state_dict(noisy("gpt").state_dict())
    model.train()
    assert written(model, [[1]], GREEDY, 10) == written(noisy("gpt"), [[1]], GREEDY, 10)


def test_generate_sampling_depends_on_settings_and_row_seed() -> None:
    model = noisy("modern")
    sampling_options = SamplingOptions()
    so_far = torch.tensor([[1, 2]])
    with torch.no_grad():
        logits = model(so_far)[:, -1]
    expected = sample_tokens(
        apply_logits_processors(logits, so_far, sampling_options), [random.Random("7 0").random()]
    )
    assert written(model, [[1, 2]], sampling_options, 1, seed=7) == [expected]


@pytest.mark.parametrize(
    ("where", "kwargs"),
    [
        ("max_new_tokens", {"max_new_tokens": -1}),
        ("context", {"context": 25}),
        ("context", {"context": 0}),
        ("prompt 0", {"prompts": [[60]]}),
        ("prompt 1", {"prompts": [[1], [-1]]}),
    ],
)
def test_out_of_bounds_is_one_clear_sentence(where: str, kwargs: dict[str, object]) -> None:
    arguments = {
        "prompts": [[1]],
        "sampling_options": GREEDY,
        "max_new_tokens": 2,
        "end_id": 0,
    } | kwargs
    with pytest.raises(ConfigError) as caught:
        list(generate(noisy("gpt"), **arguments))  # type: ignore[arg-type]
    assert caught.value.location == where


def test_generate_yields_nothing_for_empty_request() -> None:
    assert list(generate(noisy("gpt"), [], GREEDY, max_new_tokens=5, end_id=0)) == []
    assert list(generate(noisy("gpt"), [[1]], GREEDY, max_new_tokens=0, end_id=0)) == []


# Text.

TOKENIZERS = {
    kind: train_tokenizer(kind, 300, lambda: iter([TEXT])) for kind in ("bpe", "char", "byte")
}
KINDS: list[TokenizerKind] = ["bpe", "char", "byte"]


def streamed(tokenizer: Tokenizer, ids: list[int], stops: list[str]) -> tuple[list[str], bool]:
    stream = TextStream(tokenizer, stops)
    pieces = []
    for token in ids:
        stream.push(token)
        pieces.append(stream.flush())
        if stream.stopped:
            break
    return [*pieces, stream.flush(last=True)], stream.stopped


@pytest.mark.parametrize("kind", KINDS)
@given(st.text(max_size=20).filter(lambda t: not t.endswith("\ufffd")))
@settings(deadline=None)
def test_streamed_text_is_the_text(kind: TokenizerKind, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    pieces, _ = streamed(tokenizer, tokenizer.encode(text), [])
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


@given(st.lists(st.integers(1, 256), max_size=40))
@settings(deadline=None, max_examples=100)
def test_streamed_bytes_match_whole_decoding(ids: list[int]) -> None:
    tokenizer = TOKENIZERS["byte"]
    at_once = tokenizer.decode(ids)
    pieces, _ = streamed(tokenizer, ids, [])
    joined = "".join(pieces)
    assert joined == at_once[: len(joined)]
    assert set(at_once[len(joined) :]) <= {"\ufffd"}
    assert len(at_once) - len(joined) <= 3


@pytest.mark.parametrize("kind", KINDS)
@given(
    st.text("abé🙂", max_size=30), st.lists(st.text("abé🙂", min_size=1, max_size=4), max_size=3)
)
@settings(deadline=None)
def test_a_stop_string_may_straddle_tokens(
    kind: TokenizerKind, text: str, stops: list[str]
) -> None:
    tokenizer = TOKENIZERS[kind]
    pieces, stopped = streamed(tokenizer, tokenizer.encode(text), stops)
    places = [at for stop in stops if (at := text.find(stop)) >= 0]
    joined = "".join(pieces)
    assert stopped == bool(places)
    if kind == "bpe" and places:  # several characters at once: no later than the first to end
        assert text.startswith(joined)
        assert not any(stop in joined for stop in stops)
    elif places:
        first_to_end = min((text.find(s) + len(s), text.find(s)) for s in stops if s in text)
        assert joined == text[: first_to_end[1]]
    else:
        assert joined == text


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ConfigError):
        TextStream(TOKENIZERS["byte"], [""])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_generated_text_stops_before_the_stop_string(architecture: Architecture) -> None:
    tokenizer = TOKENIZERS["bpe"]
    model = noisy(architecture, vocab=tokenizer.vocab_size)
    prompts = ["the cat", "", "dog 🙂", "on the mat"]

    def ask(stops: list[str]) -> list[Completion]:
        pieces = generate_text(
            model, tokenizer, prompts, GREEDY, max_new_tokens=40, stop_strings=stops
        )
        return collect_completions(pieces, len(prompts))

    free = ask([])
    assert [c.finish for c in free] == ["length"] * 4
    assert all(len(c.token_ids) == 40 for c in free)
    stop = free[0].text[10:13]
    stopped = ask([stop])
    assert stopped[0].finish == "stop"
    for with_stop, without in zip(stopped, free, strict=True):
        assert with_stop.text == without.text.split(stop)[0]
        assert with_stop.token_ids == without.token_ids[: len(with_stop.token_ids)]
