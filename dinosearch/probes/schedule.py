"""How a learning rate changes over the iterations of a training."""

from __future__ import annotations

import math

from dinosearch.errors import InvalidInput

SCHEDULES = ("constant", "cosine")


def rate_factor(step: int, steps: int, *, warmup: int = 0, schedule: str = "constant") -> float:
    """What the learning rate is multiplied by in iteration `step` of `steps`, from 0.

    It climbs in equal steps over the first `warmup` iterations, the last of which is at full
    height; then it stays, or falls along half a cosine that would reach zero at `steps`,
    iteration by iteration (`CosineAnnealingLR` of the official linear probe). Raises
    `InvalidInput` for a schedule there is not, or a warm-up that leaves nothing to train.
    """
    if schedule not in SCHEDULES:
        raise InvalidInput(f"schedule {schedule!r} is not one of {', '.join(SCHEDULES)}")
    if not 0 <= warmup < steps:
        raise InvalidInput(f"a warm-up of {warmup} iterations does not fit into {steps}")
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
