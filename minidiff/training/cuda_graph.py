"""CUDA graphs: a step of training or sampling recorded once, and from then on launched as a whole.

A step of a small U-Net is hundreds of kernels of a few microseconds each, and Python needs longer
to launch one than the GPU to run it. The recorded graph is launched by a single call. In return it
is rigid: it runs the same kernels on the same memory each time. So

- inputs are copied into arrays that stay where they are, and parameters are updated in place
  (optim/flat.py);
- whatever changes from step to step has to be in an array: a Python number is recorded as it was
  (optim/fused.py);
- the memory that the recording allocated belongs to the graph, and to nobody else, as long as that
  lives.

What CuPy can't record (cuBLAS, transfers) makes it fall back to plain calls; `reason` says why.
docs/gpu.md tells the whole story.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from minidiff.beyond.loss_weights import target_of
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.losses import named, prediction_and_loss
from minidiff.diffusion.step import Step
from minidiff.engine.backend import array_module, to_device
from minidiff.engine.checks import nan_for_wrong_indices
from minidiff.engine.random import RNG, layers_draw_from
from minidiff.engine.tape import no_grad
from minidiff.engine.tensor import gradients
from minidiff.kernels import tf32_is_allowed
from minidiff.nn import Module
from minidiff.optim import clip_gradients

if TYPE_CHECKING:
    from minidiff.training.trainer import Trainer

PLAIN_CALLS = 2  # before the recording: they compile kernels and make the arrays that stay
PATIENCE = 4  # moves of the watched arrays without a launch, until nothing more is tried


class Recording(NamedTuple):
    """A graph, the arrays that it reads and writes, and the memory that it works in."""

    graph: Any
    inputs: dict[str, Any]
    outputs: Any
    pool: Any


class Recorded:
    """function(**inputs), recorded as a CUDA graph at the third call with inputs of one shape.

    function: takes CuPy arrays, returns an array or a tuple of arrays. Beside that it may edit
    arrays in place, but not Python objects.
    watched: is called before each call, and returns the arrays whose place in memory the recording
    depends on, such as parameters. When they are others, a new recording is made.
    The results are overwritten by the next call: copy what you keep.
    """

    def __init__(self, function: Callable[..., Any], watched: Callable[[], Iterable[Any]] = tuple):
        self.function, self.watched = function, watched
        self.reason = ""  # why nothing is recorded, or ""
        self.launches = 0  # of graphs
        self._calls: dict[Any, int] = {}
        self._recordings: dict[Any, Recording] = {}
        self._places: list[Any] = []
        self._moves = 0  # of places, since the last launch

    def __call__(self, **inputs: Any) -> Any:
        places = list(self.watched())
        if len(places) != len(self._places) or any(
            a is not b for a, b in zip(places, self._places, strict=True)
        ):
            self._places, self._calls, self._recordings = places, {}, {}
            self._moves += 1
            if self._moves > PATIENCE and not self.reason:
                self._give_up(
                    "parameters or state are other arrays at every call, and a graph works on "
                    "those that it was recorded with"
                )
        key = tuple((name, array.shape, array.dtype.str) for name, array in inputs.items())
        if key not in self._recordings:
            self._calls[key] = self._calls.get(key, 0) + 1
            if self.reason or self._calls[key] <= PLAIN_CALLS or not self._record(key, inputs):
                with nan_for_wrong_indices():
                    return self.function(**inputs)
        recording = self._recordings[key]
        for name, array in inputs.items():
            recording.inputs[name][...] = array
        recording.graph.launch()
        self.launches, self._moves = self.launches + 1, 0
        return recording.outputs

    def _record(self, key: Any, inputs: dict[str, Any]) -> bool:
        """Make the recording; False if that is not possible. Nothing runs on the GPU meanwhile."""
        xp = array_module(*inputs.values())
        if xp.__name__ != "cupy":
            self.reason = f"CUDA graphs need a GPU, these arrays are {xp.__name__}'s"
            return False
        pool, stream = xp.cuda.MemoryPool(), xp.cuda.Stream(non_blocking=True)
        copies = {name: xp.array(array) for name, array in inputs.items()}
        graph, outputs = None, None
        with xp.cuda.using_allocator(pool.malloc), stream, nan_for_wrong_indices():
            stream.begin_capture()
            try:
                outputs = self.function(**copies)
            except Exception as error:  # CuPy refuses by several types of errors
                self.reason = f"{type(error).__name__}: {error}"
            finally:
                try:
                    graph = stream.end_capture()
                except Exception as error:  # what was refused may have spoilt the capture
                    self.reason = self.reason or f"{type(error).__name__}: {error}"
        if self.reason:
            self._give_up(self.reason)
            return False
        self._recordings[key] = Recording(graph, copies, outputs, pool)
        return True

    def _give_up(self, reason: str) -> None:
        self.reason, self._moves = reason, 0
        warnings.warn(
            f"no CUDA graph: this step can't be recorded, so it runs call by call ({reason})",
            stacklevel=4,
        )


class RecordedPredictor:
    """A model as the eps_theta(x_t, t) of a sampler, without a tape, each call one graph.

    The results are copies: keep them as you like.
    condition: further arguments of the model, arrays on its device with one entry per image.
    """

    def __init__(self, model: Module, **condition: Any):
        self.model, self.condition = model, condition
        self.recorded = Recorded(
            self._predict,
            lambda: [*(p.data for p in model.parameters()), model.training, tf32_is_allowed()],
        )

    def _predict(self, x_t: Any, t: Any, **condition: Any) -> Any:
        with no_grad():
            return self.model(x_t, t, **condition).data

    def __call__(self, x_t: Any, t: Any) -> Any:
        return self.recorded(x_t=x_t, t=array_module(x_t).asarray(t), **self.condition).copy()


class RecordedTraining:
    """The device's part of a training step as one graph.

    It consists of network, gradient, clipping, update and moving average.
    """

    def __init__(self, trainer: Trainer):
        if getattr(getattr(trainer.model, "config", None), "learned_variance", False):
            raise ValueError("graph: it records L_simple only, not the loss of a learned variance")
        if trainer.settings.weighting is not None:
            raise ValueError("graph: it records L_simple only, not a loss with weights")
        self.trainer = trainer
        self.recorded = Recorded(self._learn, self._watched)

    def step(self, batch: dict[str, Any], seed: int) -> Step:
        """Line 5 of Algorithm 1, after the optimiser's and the average's `begin_...`.

        batch: x_0, t, eps and the condition of each image. seed: for layers that drop out.
        """
        trainer, device = self.trainer, self.trainer.device
        condition = dict(batch)
        x_0, t, eps = (condition.pop(name) for name in ("x_0", "t", "eps"))
        x_t = q_sample(x_0, t, eps, trainer.schedule)
        target = target_of(trainer.prediction, x_0, t, eps, trainer.schedule)
        further = {name: to_device(array, device) for name, array in condition.items()}
        with layers_draw_from(RNG(seed, device)):  # in plain calls; it can't be recorded
            outputs = self.recorded(x_t=x_t, t=to_device(t, device), target=target, **further)
        predicted, loss, norm = (array.copy() for array in outputs)
        terms = named(trainer.prediction, predicted, target)
        return Step("train", t, x_0=x_0, eps=eps, x_t=x_t, **terms, loss=loss, gradient_norm=norm)

    def _learn(self, x_t: Any, t: Any, target: Any, **condition: Any) -> tuple[Any, Any, Any]:
        trainer = self.trainer
        predicted, loss = prediction_and_loss(trainer.model, x_t, t, target, **condition)
        parameters = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
        found = dict(
            zip(parameters, gradients(loss, list(parameters.values()), read_only=True), strict=True)
        )
        clipped, norm = clip_gradients(
            {name: g for name, g in found.items() if g is not None}, trainer.settings.max_norm
        )
        trainer.optimizer.apply(clipped)
        trainer.ema.apply(trainer.model)
        return predicted.data, loss.data, norm

    def _watched(self) -> Iterable[Any]:
        trainer = self.trainer
        yield from (p.data for p in trainer.model.parameters())
        yield from trainer.ema.average.values()
        yield from (array for slots in trainer.optimizer.state.values() for array in slots.values())
        yield from (trainer.model.training, tf32_is_allowed())
