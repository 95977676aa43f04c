"""Several resources, of which a model learns from one: what trials that did not get there tell it."""

from __future__ import annotations

import numpy as np

from cloudtune.searchers.observations import Observations, TrainingSet


def with_those_that_ended_below(observations: Observations, data: TrainingSet) -> TrainingSet:
    """``data``, and the trials that ended, or wait, with less than ``data.resource``.

    Their targets: the last one of theirs, moved as far as, from its resource to that of ``data``, targets of the trials
    in ``data`` did in the median. Where no trial has both, not at all.
    """
    if data.resource is None:
        return data
    targets = dict(zip(data.trial_ids, data.targets.tolist(), strict=True))
    estimated: dict[int, float] = {}
    for resource, trial_ids in observations.ended_below(data.resource).items():
        lower = observations.at(resource)
        before = dict(zip(lower.trial_ids, lower.targets.tolist(), strict=True))
        moved = [targets[trial_id] - target for trial_id, target in before.items() if trial_id in targets]
        shift = float(np.median(moved)) if moved else 0.0
        estimated.update({trial_id: before[trial_id] + shift for trial_id in trial_ids})
    if not estimated:
        return data
    everything = sorted({**targets, **estimated}.items())
    return TrainingSet(
        tuple(trial_id for trial_id, _ in everything),
        tuple(observations.config(trial_id) for trial_id, _ in everything),
        np.array([target for _, target in everything]),
        data.resource,
    )
