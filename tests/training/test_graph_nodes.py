"""How many kernels a training step launches: each is a node of its CUDA graph, and costs a few microseconds whatever it computes."""

import numpy as np
import pytest
from support import fake_cupy, graph_nodes

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.backend import array_module, to_device
from minidiff.engine.random import RNG
from minidiff.kernels.cuda.library import load
from minidiff.models import UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.training.trainer import Trainer, TrainerSettings


@pytest.fixture
def fake_cuda():
    if reason := fake_cupy.usable():
        pytest.skip(reason)
    with fake_cupy.installed() as both:
        yield both


@pytest.fixture
def nodes_of_a_step(fake_cuda):
    """Of the network with 32 channels, a batch of 128, on a GPU of 132 multiprocessors."""
    if load("cpu")[0] is None:
        pytest.skip(load("cpu")[1])
    rng = RNG(0)
    model = UNet(UNetConfig(n_channels=32), rng).to("cuda")
    loader = Loader(np.zeros((128, 1, 28, 28), np.uint8), None, 128, rng)
    settings = TrainerSettings(graph=True)
    optimizer = AdamW(model.named_parameters(), lr=1e-3)
    trainer = Trainer(model, make_schedule("cosine", 20), loader, optimizer, RNG(5, "cuda"), settings)
    trainer.optimizer.begin_step()
    x = to_device(np.zeros((128, 1, 28, 28), np.float32), "cuda")
    t = array_module(x).ones(128, "int64")
    with graph_nodes.counted(fake_cuda[1], multiprocessors=132) as nodes, np.errstate(all="ignore"):
        trainer.recorded._learn(x, t, x)
    return nodes


def test_a_training_step_has_few_nodes(nodes_of_a_step):
    """792 by the count of an audit, 741 by this one, before swish(t) was computed once and self_attention had one gradient.

    597 then. The plans that were fitted to an H200 split four sums more, which is faster, and adds a launch each. 54 launches went when
    the kernel of the weight gradient added up the bias gradient on its way. Channels last take a launch more where they are chosen, and
    save some splits: 547 became 554. Tiles for wgmma arrange the weights by a launch of their own, and always add up the parts of a weight
    gradient: 571."""
    assert 400 < sum(nodes_of_a_step.values()) <= 571, nodes_of_a_step.most_common()
    assert nodes_of_a_step["conv2d_bias_gradient"] == 2  # of the transposed convolutions, whose dy is what is x there
    assert nodes_of_a_step["tanh"] == 2  # swish in the time embedding, and swish of it for all blocks
    assert nodes_of_a_step["zeros"] == nodes_of_a_step["__setitem__"] == 0


def test_what_is_counted(fake_cuda):
    module, watcher = fake_cuda
    x = module.ones((3, 4), "float32")
    with graph_nodes.counted(watcher) as nodes:
        module.empty(3)
        y = x.reshape(4, 3).transpose(1, 0)[1:]  # views
        y = module.ascontiguousarray(y)  # a copy
        module.ascontiguousarray(y)  # no copy
        y += x[1:, :4]
        (x + x).sum()
    assert dict(nodes) == {"ascontiguousarray": 1, "__iadd__": 1, "add": 1, "sum": 1}
    assert graph_nodes.launches("conv2d", ("fast", (), 0, 0, 0, 0, 1, 3, None, 0)) == 2  # and the kernel that adds the parts
    assert graph_nodes.launches("conv2d", ("fast", (), 0, 0, 0, 0, 1, 1, None, 0)) == 1
    assert graph_nodes.launches("conv2d_weight_gradient", ("fast", (), 0, 0, 0, True, 1, 3, None, 0)) == 2
    assert graph_nodes.launches("conv2d_weight_gradient", ("tiled", (), 0, 0, 0, True, 0, 1, None, 0)) == 2  # and that of the bias
