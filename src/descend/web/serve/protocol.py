"""The requests of the OpenAI interface: what is taken, what is refused, and the defaults.

A field that would change the answer and is not supported is refused, unless it has its neutral
value. Others are ignored, as clients send fields that mean something to one service only.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from descend.data.readers.chats import MARKERS, format_turns
from descend.data.tokenizer import Tokenizer
from descend.errors import ConfigError, TokenizerError
from descend.guard import decode_json
from descend.model.batch_decoder import DecodeRequest
from descend.model.sampling import SamplingOptions

MAX_NEW_TOKENS = 2**14
"""Tokens of an answer: a text has no end of its own, since a full context slides."""
MAX_CHOICES = 128
"""Texts that one request may ask for."""
MAX_LOGPROBS = 20
"""Alternatives a token, as at OpenAI."""
MAX_STOPS = 16
"""Stop strings; OpenAI takes 4."""
MAX_DEPTH = 16
COMPLETION_TOKENS = 16
"""Tokens of a completion if the request names no number, as at OpenAI."""

NEUTRAL_VALUES: Mapping[str, tuple[Any, ...]] = {
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logit_bias": (None, {}),
    "echo": (None, False),
    "suffix": (None, ""),
    "best_of": (None, 1),
    "tools": (None, []),
    "functions": (None, []),
    "response_format": (None, {"type": "text"}),
    "modalities": (None, ["text"]),
}
"""Fields that are not supported, with the values that ask for nothing."""

CHAT_STOPS = (*(f"\n{marker}" for marker in MARKERS), *MARKERS)
"""An answer ends where the next turn begins."""


class BadRequestError(Exception):
    """A request that cannot be answered, with the fields of OpenAI's error object."""

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.param, self.code, self.status = param, code, status


class StreamOptions(msgspec.Struct, frozen=True):
    """`stream_options`."""

    include_usage: bool | None = None


class _Common(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of both kinds of request. The last ones are extensions, as in vLLM."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None


class CompletionRequest(_Common, frozen=True, kw_only=True):
    """The body of `/v1/completions`."""

    prompt: str | list[str | int | list[int]] = ""
    logprobs: int | None = None


class ChatPart(msgspec.Struct, frozen=True):
    """A part of a message."""

    type: str
    text: str | None = None


class ChatMessage(msgspec.Struct, frozen=True):
    """A message of a conversation."""

    role: str
    content: str | list[ChatPart] | None = None


class ChatRequest(_Common, frozen=True, kw_only=True):
    """The body of `/v1/chat/completions`."""

    messages: list[ChatMessage]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class Job(msgspec.Struct, frozen=True):
    """What a request comes to: one text to continue for each choice."""

    texts: list[DecodeRequest]
    prompts: list[str]
    """The prompt of each text; for messages, empty."""
    num_prompt_tokens: int
    stop_strings: tuple[str, ...]
    is_chat: bool
    num_logprobs: int | None
    stream: bool
    include_usage: bool


Body = TypeVar("Body", CompletionRequest, ChatRequest)


def decode_request(body: bytes, kind: type[Body]) -> Body:
    """Read a request; `BadRequestError` names the field that is wrong or not supported."""
    try:
        fields = decode_json(body, dict[str, Any])
        request = msgspec.convert(fields, kind)
    except (msgspec.DecodeError, RecursionError) as problem:
        message, _, path = str(problem).partition(" - at `$")
        param = path.rstrip("`").lstrip(".").partition("[")[0] or None
        raise BadRequestError(f"{param or 'body'}: {message}.", param) from None
    for name, neutral in NEUTRAL_VALUES.items():
        if fields.get(name) not in neutral:
            raise BadRequestError(
                f"{name}: this server does not support it. Fix: leave it out.",
                name, "unsupported_parameter",
            )  # fmt: skip
    return request


def completion_job(request: CompletionRequest, tokenizer: Tokenizer, context: int) -> Job:
    """Return the texts of a completion; `BadRequestError` for what cannot be done."""
    prompts = _split_prompts(request.prompt)
    ids = [_encode(p, tokenizer) if isinstance(p, str) else p for p in prompts]
    num_logprobs = request.logprobs
    _check_range("logprobs", num_logprobs, 0, MAX_LOGPROBS)
    texts = _texts(request, ids, request.max_tokens or COMPLETION_TOKENS, num_logprobs)
    _check_prompts(ids, tokenizer, context)
    n = request.n or 1
    prompt_texts = [
        p if isinstance(p, str) else tokenizer.decode(p) for p in prompts for _ in range(n)
    ]
    return _job(request, texts, prompt_texts, sum(map(len, ids)), num_logprobs, is_chat=False)


def chat_job(request: ChatRequest, tokenizer: Tokenizer, context: int) -> Job:
    """Return the texts that answer a conversation; `BadRequestError` for what cannot be done."""
    if not tokenizer.knows_roles:
        raise BadRequestError(
            "messages: this model was not trained on conversations. Fix: send the text to "
            "/v1/completions.", "messages", "no_chat_template",
        )  # fmt: skip
    if not request.messages:
        raise BadRequestError(
            "messages: expected at least one message, but found none.", "messages"
        )
    turns = [(message.role, _message_text(message)) for message in request.messages]
    ids = _encode(format_turns(turns) + f"{MARKERS[2]}\n", tokenizer)
    _check_prompts([ids], tokenizer, context)
    _check_range("top_logprobs", request.top_logprobs, 0, MAX_LOGPROBS)
    num_logprobs = (request.top_logprobs or 0) if request.logprobs else None
    limit = request.max_completion_tokens or request.max_tokens or context
    texts = _texts(request, [ids], limit, num_logprobs)
    return _job(request, texts, [""] * len(texts), len(ids), num_logprobs, is_chat=True)


def _split_prompts(prompt: str | list[Any]) -> list[str | list[int]]:
    """Several prompts, each a text or token ids, in the four ways of the interface."""
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise BadRequestError("prompt: expected a text, but found an empty list.", "prompt")
    kinds = {type(part) for part in prompt}
    if len(kinds) > 1:
        raise BadRequestError("prompt: expected texts or token ids, but found both.", "prompt")
    return [prompt] if kinds == {int} else prompt


def _message_text(message: ChatMessage) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    if any(part.type != "text" for part in message.content):
        raise BadRequestError("messages: expected parts of type text.", "messages")
    return "".join(part.text or "" for part in message.content)


def _encode(text: str, tokenizer: Tokenizer) -> list[int]:
    try:
        return tokenizer.encode(text)
    except TokenizerError as problem:
        raise BadRequestError(str(problem), "prompt") from None


def _check_prompts(prompts: list[list[int]], tokenizer: Tokenizer, context: int) -> None:
    for ids in prompts:
        if ids and not 0 <= min(ids) <= max(ids) < tokenizer.vocab_size:
            raise BadRequestError(
                f"prompt: expected token ids from 0 to {tokenizer.vocab_size - 1}.", "prompt"
            )
        if len(ids) > context:
            raise BadRequestError(
                f"prompt: expected at most {context} tokens, the context of this model, but found "
                f"{len(ids)}. Fix: shorten it.", "prompt", "context_length_exceeded",
            )  # fmt: skip


def _check_range(name: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise BadRequestError(
            f"{name}: expected a number from {low} to {high}, but found {value}.", name
        )


def _texts(
    request: _Common, prompts: list[list[int]], max_new_tokens: int, num_logprobs: int | None
) -> list[DecodeRequest]:
    n = 1 if request.n is None else request.n
    for name, value, high in (
        ("n", n, MAX_CHOICES), ("max_tokens", request.max_tokens, MAX_NEW_TOKENS),
        ("max_completion_tokens", max_new_tokens, MAX_NEW_TOKENS),
    ):  # fmt: skip
        _check_range(name, value, 1, high)
    if len(prompts) * n > MAX_CHOICES:
        raise BadRequestError(f"prompt: expected at most {MAX_CHOICES} texts in all.", "prompt")
    _check_range("top_k", request.top_k, -1, 2**31)
    _check_range("seed", request.seed, -(2**63), 2**63 - 1)
    options = _sampling_options(request)
    seed = secrets.randbits(32) if request.seed is None else request.seed
    return [
        DecodeRequest(
            prompt_ids=ids, sampling_options=options, max_new_tokens=max_new_tokens,
            seed=f"{seed} {choice}", num_logprobs=num_logprobs,
        )
        for ids in prompts
        for choice in range(n)
    ]  # fmt: skip


def _sampling_options(request: _Common) -> SamplingOptions:
    """Plain sampling unless the request says more; a temperature of 0 is greedy."""
    temperature = 1.0 if request.temperature is None else request.temperature
    penalty = request.repetition_penalty
    try:
        return SamplingOptions(
            temperature=temperature or 1.0,
            greedy=temperature == 0,
            top_p=1.0 if request.top_p is None else request.top_p,
            top_k=max(request.top_k or 0, 0),  # -1 is vLLM's for all
            min_p=request.min_p or 0.0,
            repetition_penalty=1.0 if penalty is None else penalty,
            no_repeat_ngram_size=0,
        )
    except ConfigError as problem:
        raise BadRequestError(str(problem), problem.location) from None


def _job(
    request: _Common, texts: list[DecodeRequest], prompts: list[str], num_prompt_tokens: int,
    num_logprobs: int | None, *, is_chat: bool,
) -> Job:  # fmt: skip
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    if "" in stops or len(stops) > MAX_STOPS:
        raise BadRequestError(
            f"stop: expected at most {MAX_STOPS} strings, none of them empty.", "stop"
        )
    options = request.stream_options
    return Job(
        texts, prompts, num_prompt_tokens, (*stops, *(CHAT_STOPS if is_chat else ())), is_chat,
        num_logprobs, bool(request.stream), bool(options and options.include_usage),
    )  # fmt: skip
