"""A trained model as the eps_theta(x_t, t) of a sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from minidiff.beyond.pairs import any_eps_theta
from minidiff.beyond.tilted import guide_by_worse
from minidiff.diffusion.schedule import Schedule
from minidiff.diffusion.targets import Prediction
from minidiff.engine.backend import array_module, device_of
from minidiff.engine.elementwise import plain
from minidiff.engine.tape import no_grad
from minidiff.nn import Module
from minidiff.training.workers import Workers


def eps_predictor(
    workers: Workers, prediction: str, schedule: Schedule, **condition: Any
) -> Callable[[Any, Any], Any]:
    """eps_theta(x_t, t) for a sampler, from the workers' model.

    prediction: what the model returns, of beyond's PREDICTIONS. condition: as for `predictor`.
    """
    return any_eps_theta(predictor(workers, **condition), prediction, schedule)


def predictor(workers: Workers, chunk: int = 64, **condition: Any) -> Callable[[Any, Any], Any]:
    """The workers' model without a tape: (B, ...) arrays -> (B, ...) arrays.

    On a CPU the batch is cut over the processes, and into chunks that fit the caches.
    condition: further arguments of the model, one entry per image of the batch
    -> arrays, or a Prediction of them, from (B, ...) arrays
    """

    def eps_theta(x_t: Any, t: Any) -> Any:
        size = chunk if device_of(x_t) == "cpu" else len(x_t)
        return join(workers.map(predict, {"x": x_t, "t": t, **condition}, chunk=size))

    return eps_theta


@contextmanager
def guided_predictor(
    workers: Workers, early: Module | None, s: float
) -> Iterator[Callable[[Any, Any], Any]]:
    """`predictor(workers)`, guided away from an early version of the same model.

    early: of `load_denoiser` or `Trainer.early_model`, None if the run has none; s: the strength
    of `guide_by_worse`, 1 for none. Without either, this is `predictor(workers)`.
    """
    network = predictor(workers)
    if early is None or s == 1:
        yield network
        return
    with Workers(early, workers.count) as worse:
        yield guide_by_worse(network, predictor(worse), s)


def predict(model: Callable[..., Any], x: Any, chunk: int, **arguments: Any) -> Any:
    """model(x, **arguments), a chunk at a time.    -> array"""
    pieces = []
    with no_grad():
        for start in range(0, len(x), chunk):
            piece = slice(start, start + chunk)
            said = model(x[piece], **{name: value[piece] for name, value in arguments.items()})
            pieces.append(as_arrays(said))
    return join(pieces)


def as_arrays(said: Any) -> Any:
    """What a model returns, Tensor or Prediction, without its Tensors."""
    if isinstance(said, Prediction):
        return Prediction(plain(said.eps), plain(said.v))
    return said.data


def join(pieces: Sequence[Any]) -> Any:
    """The slices of a batch as one: arrays, or Predictions of arrays."""
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], Prediction):
        eps, v = zip(*pieces, strict=True)
        return Prediction(join(eps), join(v))
    return array_module(pieces[0]).concatenate(pieces)


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Evaluation mode inside, the mode before it again outside."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)
