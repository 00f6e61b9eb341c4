"""Training that diverged: the first loss that is not finite ends it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from minidiff.engine.backend import array_module
from minidiff.nn import Module

ADVICE = (
    "Try a smaller learning rate (--lr), a smaller bound for the norm of the gradient (max_norm) "
    "or another --seed; detect_anomaly() names the operation that the first NaN comes from"
)


class DivergenceError(RuntimeError):
    """A loss or a gradient that is NaN or infinite."""


def check_loss(loss: float, step: int) -> None:
    """Raises: DivergenceError if the loss of this step, counted from 1, is not finite."""
    if not math.isfinite(loss):
        raise DivergenceError(
            f"the training diverged: the loss of step {step} is {float(loss)}. {ADVICE}."
        )


def check_gradient(norm: float, step: int) -> None:
    """Raises: DivergenceError if the gradient's norm at this step is not finite."""
    if not math.isfinite(norm):
        raise DivergenceError(
            f"the training diverged: the norm of the gradient at step {step} is {float(norm)}. "
            f"{ADVICE}."
        )


def check_losses(losses: Iterable[float], first: int = 1) -> None:
    """Check the losses of consecutive steps.    first: the number of their first step

    Raises: DivergenceError, which names the first that is not finite.
    """
    for step, loss in enumerate(losses, start=first):
        check_loss(loss, step)


def check_parameters(model: Module) -> None:
    """Check the parameters, of which an update may have made NaN or infinity after a finite loss.

    Raises: DivergenceError, which names the first one.
    """
    for name, parameter in model.named_parameters():
        if not array_module(parameter.data).isfinite(parameter.data).all():
            raise DivergenceError(
                f"the training diverged: the parameter {name} is not finite. {ADVICE}."
            )
