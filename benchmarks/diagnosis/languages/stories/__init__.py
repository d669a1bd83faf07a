"""`stories`: little children's stories, from a grammar of our own, of exactly known entropy.

What is chosen early comes back later: the hero's name, sex and kind, the friend, the thing
that was lost, the weather, the place that was named; the hero's nature decides with which
probability the hero does what. So context pays at every distance, up to a whole story.

How the entropy compares with a model's loss. Let S be the sum of a model's losses (nats)
over the tokens of a story and the end-of-text token behind it, each predicted from all the
tokens before it back to the end-of-text token of the story before. Whatever the model and
the tokenizer, the mean of S is at least `stories_entropy().nats_per_document`; equal only
for a model that knows the grammar and spends no probability on other spellings of a text
in tokens. The end costs nothing on top: no story is the beginning of another, the choice to
end shows in the last sentences, so the end-of-text token is certain for one who knows. A
model that sees less than the story so far (a short context) has a higher floor.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Iterator

from languages.entropy_rate import EntropyRate
from languages.stories import grammar as grammars
from languages.stories.grammar import Grammar
from languages.stories.grammar_notation import parse_grammar
from languages.stories.story_rules import RULES
from languages.stories.story_tables import TABLES


@functools.cache
def story_grammar() -> Grammar:
    """Return the grammar itself."""
    return parse_grammar(RULES, TABLES, start="story", condition="nature")


def generate_stories(seed: int, count: int) -> Iterator[tuple[str, float]]:
    """`count` stories, each with its exact negative log-probability (nats, end included).

    The first n stories of a seed are the same for every count.
    """
    source = random.Random(seed)
    for _ in range(count):
        yield grammars.sample_text(story_grammar(), source)


def stories_nll(text: str) -> float:
    """Exact negative log-probability of a text as a story (nats); infinite if it is none.

    Summed over all derivations, of which a story has one: an oracle for `stories`.
    """
    derivations = grammars.enumerate_derivations(story_grammar(), text)
    return (
        -math.log(math.fsum(math.exp(-nats) for nats in derivations)) if derivations else math.inf
    )


@functools.cache
def stories_entropy() -> EntropyRate:
    """Exact nats and bytes per story in expectation, computed from the grammar alone."""
    return grammars.entropy(story_grammar())
