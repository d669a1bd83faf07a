"""Texts that join and leave a batch are what each is alone."""

from __future__ import annotations

import pytest
import torch

from descend.model.batch_decoder import BatchDecoder, DecodedToken, DecodeRequest
from descend.model.generation import generate
from descend.model.initialization import initialize
from descend.model.kv_cache import KeyValueCache
from descend.model.ragged_cache import RaggedKeyValueCache
from descend.model.sampling import SamplingOptions
from descend.model.shape import Architecture, ModelShape
from descend.model.transformer import Transformer

ARCHITECTURES: list[Architecture] = ["gpt", "modern"]
VOCAB, WINDOW, END = 40, 16, 39
OPTIONS = [
    SamplingOptions(greedy=True, repetition_penalty=1.0, no_repeat_ngram_size=0),
    SamplingOptions(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0,
                    no_repeat_ngram_size=0),
    SamplingOptions(),
]  # fmt: skip


def noisy(architecture: Architecture) -> Transformer:
    """A tiny model whose weights are all far from zero, so that its choices are its own."""
    model = Transformer(ModelShape(architecture, VOCAB, 16, 2, 2, 32, 24))
    initialize(model, 1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return model.eval()


def request(prompt: list[int], options: SamplingOptions, length: int, seed: int) -> DecodeRequest:
    return DecodeRequest(
        prompt_ids=prompt, sampling_options=options, max_new_tokens=length, seed=f"{seed} 0"
    )


def alone(model: Transformer, one: DecodeRequest, seed: int) -> list[int]:
    tokens = generate(
        model, [list(one.prompt_ids)], one.sampling_options, max_new_tokens=one.max_new_tokens,
        end_id=END, seed=seed, context=WINDOW,
    )  # fmt: skip
    return [token.id for token in tokens]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_decoder_writes_what_generate_writes_when_texts_join_later(
    architecture: Architecture,
) -> None:
    model = noisy(architecture)
    prompts = [[3], [4, 5, 6], [7, 8, 9], [], [1] * 12, [2] * 30, [5, 5], [6] * 16]
    requests = {
        n: request(prompt, OPTIONS[n % 3], 6 + 7 * (n % 5), n) for n, prompt in enumerate(prompts)
    }
    expected = {n: alone(model, one, n) for n, one in requests.items()}
    assert len({tuple(ids) for ids in expected.values()}) == len(prompts)
    assert any(len(ids) + len(prompts[n]) > WINDOW for n, ids in expected.items())
    decoder = BatchDecoder(model, END, WINDOW, max_rows=3)
    written: dict[object, list[int]] = {n: [] for n in requests}
    arrivals = list(requests.items())
    while arrivals or decoder.num_texts:
        if arrivals:  # one more before each token
            decoder.add(*arrivals.pop(0))
        for token in decoder.step():
            written[token.key].append(token.id)
    assert written == expected


def test_decoder_forgets_removed_texts() -> None:
    decoder = BatchDecoder(noisy("modern"), END, WINDOW, max_rows=2)
    for key in range(4):
        decoder.add(key, request([key], OPTIONS[0], 50, key))
    decoder.step()
    decoder.remove(0)
    decoder.remove(3)  # still waiting
    assert decoder.num_texts == 2
    assert {token.key for token in decoder.step()} == {1, 2}
    decoder.clear()
    assert decoder.num_texts == 0
    assert decoder.step() == []


def test_logprobs_are_those_of_the_model() -> None:
    model = noisy("gpt")
    decoder = BatchDecoder(model, END, WINDOW, max_rows=2)
    options = SamplingOptions(temperature=0.5, top_k=2)
    decoder.add(0, DecodeRequest(
        prompt_ids=[3, 4], sampling_options=options, max_new_tokens=1, seed="1", num_logprobs=3
    ))  # fmt: skip
    (token,) = decoder.step()
    with torch.no_grad():
        logprobs = model(torch.tensor([[3, 4]]))[0, -1].log_softmax(-1)
    assert isinstance(token, DecodedToken)
    assert token.logprob == pytest.approx(float(logprobs[token.id]), abs=1e-5)
    assert [i for i, _ in token.top_logprobs] == logprobs.topk(3).indices.tolist()


def test_ragged_cache_moves_the_last_row_when_a_row_leaves() -> None:
    shape = ModelShape("gpt", VOCAB, 16, 2, 2, 32, 24)
    ragged = RaggedKeyValueCache(shape, WINDOW, torch.device("cpu"), torch.float32)
    for row in range(3):
        cache = KeyValueCache(shape, 1, torch.device("cpu"), torch.float32)
        cache.keys_LBHSK.fill_(row)
        cache.values_LBHSK.fill_(-row)
        cache.length = row + 1
        ragged.add_row(cache, 0)
    ragged.remove_row(0)
    assert ragged.lengths == [3, 2]
    assert ragged.keys_LBHSK[0, 0, 0, :3, 0].tolist() == [2, 2, 2]
    assert ragged.values_LBHSK[1, 1, 1, :2, 3].tolist() == [-1, -1]
