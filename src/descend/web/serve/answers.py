"""The answers of the OpenAI interface, as a whole or piece by piece."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import Any

from descend.data.tokenizer import Tokenizer
from descend.model.generation import FinishReason
from descend.web.serve.engine import TextPiece
from descend.web.serve.protocol import Job

FINISH_REASONS: dict[FinishReason, str] = {"end": "stop", "stop": "stop", "length": "length"}


class Answer:
    """What goes back for one request."""

    def __init__(self, job: Job, model: str, tokenizer: Tokenizer) -> None:
        self._job, self._tokenizer = job, tokenizer
        self._num_tokens = 0
        self._text_lengths = [len(prompt) for prompt in job.prompts]
        kind = "chat.completion" if job.is_chat else "text_completion"
        if job.stream and job.is_chat:
            kind += ".chunk"
        prefix = "chatcmpl" if job.is_chat else "cmpl"
        self._head: dict[str, Any] = {
            "id": f"{prefix}-{secrets.token_hex(12)}", "object": kind,
            "created": int(time.time()), "model": model,
        }  # fmt: skip

    def collect(self, pieces: Iterable[TextPiece]) -> dict[str, Any]:
        """Return the whole answer, with one choice for each text."""
        by_text: list[list[TextPiece]] = [[] for _ in self._job.texts]
        for piece in pieces:
            by_text[piece.index].append(piece)
        choices = []
        for index, of_text in enumerate(by_text):
            text = "".join(piece.text for piece in of_text)
            last = of_text[-1].finish
            assert last is not None
            content = (
                {"message": {"role": "assistant", "content": text, "refusal": None}}
                if self._job.is_chat
                else {"text": text}
            )
            choices.append({
                "index": index, **content, "logprobs": self._logprobs(of_text),
                "finish_reason": FINISH_REASONS[last],
            })  # fmt: skip
        return self._head | {"choices": choices, "usage": self._usage()}

    def chunk(self, pieces: list[TextPiece]) -> dict[str, Any] | None:
        """Return one event of the stream: what `pieces` of one text add; None if nothing."""
        text = "".join(piece.text for piece in pieces)
        finish, index = pieces[-1].finish, pieces[-1].index
        logprobs = self._logprobs(pieces)
        if not (text or finish or logprobs):
            return None
        content = {"delta": {"content": text}} if self._job.is_chat else {"text": text}
        choice = {
            "index": index, **content, "logprobs": logprobs,
            "finish_reason": FINISH_REASONS[finish] if finish else None,
        }  # fmt: skip
        return self._head | {"choices": [choice]} | self._no_usage()

    def first_chunk(self, index: int) -> dict[str, Any]:
        """Return the event that opens the answer number `index` of a conversation."""
        choice = {
            "index": index, "delta": {"role": "assistant", "content": ""}, "logprobs": None,
            "finish_reason": None,
        }  # fmt: skip
        return self._head | {"choices": [choice]} | self._no_usage()

    def usage_chunk(self) -> dict[str, Any]:
        """Return the event with the number of tokens, which ends a stream that asked for it."""
        return self._head | {"choices": [], "usage": self._usage()}

    def count(self, pieces: list[TextPiece]) -> None:
        """Count the tokens of `pieces`."""
        self._num_tokens += len(pieces)

    def _no_usage(self) -> dict[str, Any]:
        return {"usage": None} if self._job.include_usage else {}

    def _usage(self) -> dict[str, int]:
        prompt, new = self._job.num_prompt_tokens, self._num_tokens
        return {
            "prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new,
        }  # fmt: skip

    def _logprobs(self, pieces: list[TextPiece]) -> dict[str, Any] | None:
        """Log probabilities of the tokens, in the form of the kind of request."""
        if self._job.num_logprobs is None:
            return None
        if self._job.is_chat:
            return {"content": [self._chat_logprob(p) for p in pieces], "refusal": None}
        offsets = []
        for piece in pieces:
            offsets.append(self._text_lengths[piece.index])
            self._text_lengths[piece.index] += len(piece.text)
        return {
            "tokens": [self._name(p.token.id) for p in pieces],
            "token_logprobs": [p.token.logprob for p in pieces],
            "top_logprobs": [
                {self._name(i): value for i, value in p.token.top_logprobs} for p in pieces
            ],
            "text_offset": offsets,
        }

    def _chat_logprob(self, piece: TextPiece) -> dict[str, Any]:
        token = piece.token
        assert token.logprob is not None
        top = [self._token_logprob(i, value) for i, value in token.top_logprobs]
        return self._token_logprob(token.id, token.logprob) | {"top_logprobs": top}

    def _token_logprob(self, token_id: int, logprob: float) -> dict[str, Any]:
        content = self._tokenizer.token_bytes(token_id)
        return {"token": self._name(token_id), "logprob": logprob, "bytes": list(content)}

    def _name(self, token_id: int) -> str:
        """Return the text of a token; of half a character its bytes, as `bytes:\\xc3`."""
        content = self._tokenizer.token_bytes(token_id)
        if not content:
            return str(self._tokenizer.backend.id_to_token(token_id))
        try:
            return content.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in content)
