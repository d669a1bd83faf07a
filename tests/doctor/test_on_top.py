"""Several faults in one real run: each remedy is found on top of those before it."""

from __future__ import annotations

import time
from dataclasses import replace

from descend import run
from descend.doctor.case import open_case
from descend.doctor.cause import Change
from descend.doctor.causes import CAUSES
from descend.doctor.diagnosis import OF_A_NEW_VOCABULARY
from descend.doctor.gains import all_gains
from descend.doctor.lanes import Lane, base_config, prescription
from descend.doctor.measure import measure
from descend.doctor.on_top import further, race_on_top
from descend.doctor.race import Race
from descend.doctor.suspicion import suspects

FAULTY = {
    "embed_dim": 32, "num_heads": 2, "num_layers": 1, "ff_dim": 64, "seq_len": 16, "batch_size": 8,
    "max_seq_len": 64, "vocab_size": 300, "epoch": 1, "optimizer": "adamw", "precision": "float32",
    "learning_rate": 0.0003, "dropout_rate": 0.8, "log_level": "error",
}  # fmt: skip
"""A rate thirty times too low, and dropout that leaves a fifth."""
RATE = Lane("learning_rate_too_low", Change("30 times the rate", {"learning_rate": 0.01}))
SECONDS = 20.0


def race_of_two_faults(text: str) -> Race:
    """As long as the run, with nothing raced yet."""
    case = open_case(run(FAULTY | {"corpus_dir": text, "save_dir": "faulty"}).folder)
    ends = time.monotonic() + SECONDS
    return Race(case, base_config(case), case.total_steps, ends, lambda stage, share: None)


def test_further_faults_are_found_one_on_top_of_the_other(chain: str) -> None:
    race = race_of_two_faults(chain)
    race.run([(None, race.seed), (RATE, race.seed)], "")
    readings = measure(race.case)
    found = suspects(CAUSES, race.case.config, readings)
    counted = {c.name for c in CAUSES if c.buys}  # they help each run that is as short
    rate = all_gains(race, None)[0]
    more = further(race, rate, [RATE.cause], found, readings, None, counted)
    names = [f.cause for f in more.findings]
    assert names[0] == "over_regularised"
    assert len({*names, RATE.cause}) == len(names) + 1
    assert set(names) <= more.raced
    assert not more.raced & {RATE.cause, *counted}
    for place, finding in enumerate(more.findings):
        assert finding.trial is not None
        assert finding.trial.after == [RATE.cause, *names[:place]]
        assert finding.trial.seeds > 1
        assert finding.prescription
    race.ends = 0.0
    assert further(race, rate, [RATE.cause], found, readings, None).findings == ()


def test_what_comes_on_top_is_told_in_the_tokens_and_keys_it_has_there(chain: str) -> None:
    race = race_of_two_faults(chain)
    vocabulary = Lane("vocabulary_too_small", Change("", {"vocab_size": 400, "vocab_path": None}))
    race.run([(None, race.seed), (vocabulary, race.seed)], "")
    readings = measure(race.case)
    found = suspects(CAUSES, race.case.config, readings)
    other = all_gains(race, None)[0]
    more = further(race, other, [vocabulary.cause], found, readings, None)
    assert more.findings
    assert all(f.trial and f.trial.metric == OF_A_NEW_VOCABULARY for f in more.findings)

    smaller = Lane("batch_too_large", Change("", {"batch_size": 2}))
    on_top = race_on_top(race, replace(other, lane=smaller), None)
    back = Change("", {"batch_size": 8, "num_heads": 2})
    assert prescription(race.case, on_top.base, back)["batch_size"] == 8  # as before the remedy
    assert "num_heads" not in prescription(race.case, on_top.base, back)
