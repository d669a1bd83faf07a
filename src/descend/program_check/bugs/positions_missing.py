"""The network knows no positions.

What it is:
    Nothing tells the network where in the text a token stands: no position embedding, no rotation,
    no bias by distance.

How it shows:
    Often hardly at all: a causal network of two and more layers can work positions out from what
    it may see. So this is a remark, unless the network has a table of positions that it never uses.

Not to be confused:
    Positions that are there but constant have the same effect.

Proof:
    The first part that mixes positions is given equal vectors at all places; and its output at the
    places after the first two does not change when these are swapped. A bug if there is a table
    with a row for each place, and shaking it moves no logit.

How to fix:
    Add learned or rotary positions.

When it is not this:
    Left out on purpose (NoPE).

Source:
    Haviv et al. 2022, Kazemnejad et al. 2023: causal networks without positions.
"""

from __future__ import annotations

import torch
from torch import nn

from descend.metrics.logit_change import MIN_LOGIT_CHANGE
from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.network import (
    NetworkHandle,
    evaluation_probe_mode,
    make_network_handle,
)
from descend.program_check.probes.token_influence import MixingLayer, find_mixing_layers
from descend.program_check.probes.weight_usage import weights_affecting_logits
from descend.program_check.program import Program
from descend.program_check.results import (
    BugAbsent,
    BugPresent,
    CheckResult,
    Remark,
    UndeterminedError,
)
from descend.program_check.source_lines import definition_line

AFTER_SWAP = [2, -1]
"""Places whose view of the first two tokens is compared when these change places: the next one,
since a recurrent network soon forgets, and the last one."""


def look(program: Program) -> CheckResult:
    """Ask the first part that mixes positions."""
    knows = program.run_probe_once(knows_positions)
    if knows:
        return BugAbsent(knows)
    evidence = (
        "equal tokens give equal vectors at every position, and attention does not see their order"
    )
    unused = program.run_probe_once(unused_position_tables)
    if unused:
        return BugPresent(
            f"{evidence}; {unused[0]} has a row for each position, and no output depends on it",
            program.where_is_use(unused[0]),
            "add the vectors of the positions to those of the tokens",
        )
    return Remark(evidence, program.source_location("model"))


def unused_position_tables(program: Program) -> list[str]:
    """Tables with a row for each position that the logits do not depend on."""
    net = program.run_probe_once(make_network_handle)
    tokens = next((m for m in program.model.modules() if isinstance(m, nn.Embedding)), None)
    tables = [
        n for n, p in program.model.named_parameters()
        if tokens is not None and p is not tokens.weight and p.ndim in (2, 3)
        and p.shape[-1] == tokens.embedding_dim and p.shape[-2] >= net.length
        and (p.ndim == 2 or p.shape[0] == 1) and _is_table(program.model, n)
    ]  # fmt: skip
    used = weights_affecting_logits(program, tables)
    return [n for n in tables if n not in used]


def _is_table(model: nn.Module, name: str) -> bool:
    """Return whether a weight is an embedding's or stands alone, and is no matrix of a layer."""
    owner = model.get_submodule(name.rpartition(".")[0])
    return isinstance(owner, nn.Embedding) or definition_line(type(owner)) is not None


def knows_positions(program: Program) -> str:
    """Return how positions come in; "" if they do not."""
    net = program.run_probe_once(make_network_handle)
    if net.length < 4:
        raise UndeterminedError("the texts are shorter than four tokens")
    with evaluation_probe_mode(program.model):
        first = next(find_mixing_layers(program.model, net), None)
        if first is None:  # attention called as a function, in the network itself
            return _positions_in_logits(net)
        if _distinguishes_positions(program, net, first):
            return "equal tokens give different vectors at different positions"
        if _by_order(net, first):
            return "attention sees the order of what it is given"
    return ""


def _distinguishes_positions(program: Program, net: NetworkHandle, first: MixingLayer) -> bool:
    same = net.ids_BT.clone()
    same[:] = net.ids_BT[0, 0]
    caught: list[torch.Tensor] = []

    def catch(_module: object, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        caught.extend(x for x in (*args, *kwargs.values())
                      if isinstance(x, torch.Tensor) and x.shape == first.x.shape)  # fmt: skip

    hook = first.module.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        net.forward(same)
    finally:
        hook.remove()
    if not caught:
        raise UndeterminedError("the network computes equal tokens in another way")
    x = net.by_position(caught[0].float())
    return float((x - x[:1]).abs().max()) > MIN_LOGIT_CHANGE * float(x.square().mean().sqrt())


def _positions_in_logits(net: NetworkHandle) -> str:
    """Return the same test for the whole network, of which no part could be tested."""
    same = net.ids_BT.clone()
    same[:] = net.ids_BT[0, 0]
    logits = net.by_position(net.forward(same).float())
    if float((logits - logits[:1]).abs().max()) > MIN_LOGIT_CHANGE * _size(logits):
        return "equal tokens give different logits at different positions"
    base = net.by_position(net.forward(net.ids_BT).float())[AFTER_SWAP]
    swapped = net.ids_BT.clone()
    view = swapped if net.time == 1 else swapped.T
    view[:, [0, 1]] = view[:, [1, 0]].clone()
    limit = MIN_LOGIT_CHANGE * _size(base)
    other = net.by_position(net.forward(swapped).float())[AFTER_SWAP]
    if float((other - base).abs().max()) > limit:
        raise UndeterminedError("the order of tokens may come from several layers of attention")
    changed = net.by_position(net.forward(net.with_changed_token(0)).float())[AFTER_SWAP]
    if float((changed - base).abs().max()) <= limit:
        raise UndeterminedError("no part of the network mixes positions")
    return ""


def _size(values: torch.Tensor) -> float:
    return float(values.square().mean().sqrt())


def _by_order(net: NetworkHandle, first: MixingLayer) -> bool:
    swapped = first.x.clone()
    view = swapped if net.time == 1 else swapped.transpose(0, 1)
    view[:, [0, 1]] = view[:, [1, 0]].clone()
    base, other = first.output(first.x).float(), first.output(swapped).float()
    change_T = net.by_position((other - base).abs()).amax(1)
    return float(change_T[AFTER_SWAP].max()) > MIN_LOGIT_CHANGE * float(base.square().mean().sqrt())


BUG = Bug(name_of(__name__), look, "add learned or rotary positions, unless left out on purpose")
