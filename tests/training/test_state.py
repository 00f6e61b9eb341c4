"""What trainers share about checkpoints: another run's is refused, an optimiser's state comes back."""

import numpy as np
import pytest

from minidiff.engine.random import RNG
from minidiff.models import PointDenoiser, PointDenoiserConfig
from minidiff.nn import Linear
from minidiff.optim import SGD, Adam, AdamW
from minidiff.training.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from minidiff.training.state import check_same_config, check_same_run, pack_optimizer, unpack_optimizer

GRADIENTS = {name: RNG(1).normal(shape) for name, shape in (("weight", (2, 3)), ("bias", (2,)))}


def make(optimizer=AdamW, seed=0):
    layer = Linear(3, 2, rng=RNG(seed))
    return layer, optimizer(layer.named_parameters(), lr=1e-2)


def facts_of(optimizer, **others):
    return {"optimizer": {"name": type(optimizer).__name__, "steps": optimizer.steps, "lr": optimizer.lr}, **others}


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_an_optimiser_goes_on_to_the_bit(tmp_path, kind):
    layer, optimizer = make(kind)
    for _ in range(3):
        optimizer.step(GRADIENTS)
    arrays = pack_optimizer(optimizer)
    assert set(arrays) == {f"optimizer.{slot}.{name}" for slot in optimizer.slots for name in ("weight", "bias")}
    save_checkpoint(tmp_path, "any", facts_of(optimizer), arrays)

    again, other = make(kind, seed=5)
    again.load_state_dict(layer.state_dict())
    unpack_optimizer(other, load_checkpoint(tmp_path))
    assert other.steps == 3
    for _ in range(2):
        optimizer.step(GRADIENTS)
        other.step(GRADIENTS)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], array)


def test_an_optimiser_that_has_not_stepped_yet():
    _, optimizer = make()
    assert pack_optimizer(optimizer) == {}
    unpack_optimizer(optimizer, Checkpoint("any", facts_of(optimizer), {}))
    assert optimizer.state == {} and optimizer.steps == 0


@pytest.mark.parametrize(
    "optimizer, own, message",
    [
        (AdamW, {"model": {"K": 4}, "regularizer": "kl"}, "folder: its regularizer is vq, this run's is kl"),
        (AdamW, {"model": {"K": 5}}, "folder: its model is {'K': 4}, this run's is {'K': 5}"),
        (SGD, {"model": {"K": 4}}, "folder: trained with AdamW, this run has SGD"),
    ],
)
def test_another_run_is_refused_by_what_differs(optimizer, own, message):
    checkpoint = Checkpoint("any", facts_of(make()[1], model={"K": 4}, regularizer="vq"), {})
    check_same_run("folder", checkpoint, make()[1], model={"K": 4}, regularizer="vq")
    with pytest.raises(CheckpointError, match=message):
        check_same_run("folder", checkpoint, make(optimizer)[1], **own)


@pytest.mark.parametrize("stored", [{"n_hidden": 32}, {"n_hidden": 17}, {"n_codes": 4}])
def test_a_network_with_other_settings_is_refused(stored):
    """Other values, values that no network can have, and the settings of another network; a setting that is not stored has its default."""
    network = PointDenoiser(PointDenoiserConfig(n_hidden=16))
    check_same_config("folder", Checkpoint("any", {"model": {"n_hidden": 16}}, {}), network)
    with pytest.raises(CheckpointError, match=f"folder: its model is {stored}, this run's is .*'n_hidden': 16"):
        check_same_config("folder", Checkpoint("any", {"model": stored}, {}), network)
