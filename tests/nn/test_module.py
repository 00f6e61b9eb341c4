import numpy as np
import pytest

import minidiff as md
from minidiff import nn


class Net(nn.Module):
    def __init__(self):
        self.first = nn.Linear(2, 3)
        self.blocks = nn.ModuleList(nn.Linear(3, 3), nn.Sequential(nn.Swish(), nn.GroupNorm(1, 3)))
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.size = 5

    def forward(self, x):
        return self.blocks[1](self.blocks[0](self.first(x))) * self.scale


NAMES = [
    "first.weight", "first.bias", "blocks.0.weight", "blocks.0.bias", "blocks.1.1.weight", "blocks.1.1.bias", "scale",
]  # fmt: skip


def test_names_follow_the_attributes():
    net = Net()
    assert list(net.state_dict()) == [name for name, _ in net.named_parameters()] == NAMES
    modules = dict(net.named_modules())
    assert list(modules) == ["", "first", "blocks", "blocks.0", "blocks.1", "blocks.1.0", "blocks.1.1"]
    assert modules["blocks.1.1"] is net.blocks[1][1] and len(net.blocks) == 2
    assert net.parameter_count() == 6 + 3 + 9 + 3 + 3 + 3 + 3
    assert len(list(net.parameters())) == 7


def test_repr_is_the_tree():
    assert repr(nn.Sequential(nn.Linear(2, 3), nn.Swish())) == "Sequential(\n  (0): Linear(2, 3, bias=True)\n  (1): Swish()\n)"
    assert repr(nn.Conv2d(4, 6, 3, groups=2)) == "Conv2d(4, 6, (3, 3), stride=1, padding=0)"


def test_train_and_eval_reach_every_module():
    net = Net()
    assert net.training and net.eval() is net
    assert not any(module.training for _, module in net.named_modules())
    net.train()
    assert all(module.training for _, module in net.named_modules())


def test_freezing_and_zero_grad():
    net = Net()
    net(np.ones((2, 2), np.float32)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    net.first.requires_grad_(False)
    net(np.ones((2, 2), np.float32)).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == ["first.weight", "first.bias"]


def test_to_moves_the_parameters_and_leaves_the_objects(strict):
    net = Net()
    parameters = list(net.parameters())
    assert net.to("strict") is net
    assert all(after is before for after, before in zip(net.parameters(), parameters, strict=True))
    assert {p.device for p in net.parameters()} == {"strict"} and all(p.requires_grad for p in net.parameters())
    with pytest.raises(ValueError, match="device: wanted 'cpu', 'cuda' or 'cuda:N', got 'gpu'"):
        net.to("gpu")


def test_a_module_without_forward_and_a_list_of_modules_can_not_be_called():
    with pytest.raises(TypeError, match=r"Module has no forward\(\)"):
        nn.Module()(1)
    with pytest.raises(TypeError, match="a ModuleList is a list; call its modules"):
        nn.ModuleList()(1)


# -- state_dict -------------------------------------------------------------------------------------------------------------------------


def other_state():
    return {name: array + 1 for name, array in Net().state_dict().items()}


def test_loading_copies():
    net, state = Net(), other_state()
    net.load_state_dict(state)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
        state[name][...] = 99
        assert not np.any(array == 99)


def test_loading_keeps_the_dtype_and_the_device(strict):
    net = Net().to("strict")
    net.load_state_dict({name: array.astype(np.float64) for name, array in other_state().items()})
    assert {p.dtype.name for p in net.parameters()} == {"float32"} and {p.device for p in net.parameters()} == {"strict"}


def test_loading_tensors_and_lists():
    net, state = Net(), other_state()
    state["scale"], state["first.bias"] = [1, 2, 3], nn.Parameter(state["first.bias"])
    net.load_state_dict(state)
    assert net.scale.data.tolist() == [1, 2, 3]


def test_a_live_graph_is_not_disturbed_by_loading():
    net = Net()
    x = md.Tensor(np.ones((1, 2), np.float32), requires_grad=True)
    y = net(x).sum()
    expected = md.gradients(y, [x], retain_graph=True)[0]
    net.load_state_dict(other_state())
    np.testing.assert_array_equal(md.gradients(y, [x])[0], expected)


def test_missing_and_unknown_names():
    net, state = Net(), other_state()
    del state["scale"], state["first.bias"]
    state["last.weight"] = np.ones(2)
    before = {name: array.copy() for name, array in net.state_dict().items()}
    with pytest.raises(KeyError, match=r"load_state_dict: missing 2 \(first.bias, scale\); unknown 1 \(last.weight\)"):
        net.load_state_dict(state)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    net.load_state_dict(state, strict=False)
    np.testing.assert_array_equal(net.first.weight.data, state["first.weight"])
    np.testing.assert_array_equal(net.scale.data, before["scale"])


def test_many_missing_names_are_counted():
    with pytest.raises(KeyError, match=r"missing 7 \(first.weight, first.bias, blocks.0.weight, ...\); unknown none"):
        Net().load_state_dict({})


@pytest.mark.parametrize("strict_names", [True, False])
def test_wrong_shapes_change_nothing(strict_names):
    net, state = Net(), other_state()
    state["scale"] = np.ones(4)
    before = net.first.weight.data.copy()
    with pytest.raises(ValueError, match=r"load_state_dict: shapes differ: scale: wanted \(3,\), got \(4,\)"):
        net.load_state_dict(state, strict=strict_names)
    np.testing.assert_array_equal(net.first.weight.data, before)


def test_values_that_are_no_numbers():
    state = other_state()
    state["scale"] = np.array(["a", "b", "c"])
    with pytest.raises(TypeError, match=r"load_state_dict: wanted numbers for scale, got dtype <U1"):
        Net().load_state_dict(state)


def test_a_torch_state_dict_is_copied():
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    theirs = torch.nn.Linear(3, 2)
    ours = nn.Linear(3, 2)
    ours.load_state_dict(theirs.state_dict())
    x = np.ones((1, 3), np.float32)
    expected = theirs(torch.tensor(x)).detach().numpy()
    with torch.no_grad():
        theirs.weight.zero_()
    np.testing.assert_allclose(ours(x).data, expected, rtol=1e-6)


def test_a_shared_parameter_is_counted_and_optimised_once():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    getattr(model, "1").weight = getattr(model, "0").weight
    assert [name for name, _ in model.named_parameters()] == ["0.weight"] and model.parameter_count() == 4
    assert list(model.state_dict()) == ["0.weight", "1.weight"]
    model.load_state_dict({name: np.ones((2, 2)) for name in model.state_dict()})
    assert len(list(model.parameters())) == 1


def test_a_module_may_refer_to_the_one_that_it_is_in():
    model = nn.Sequential(nn.Linear(2, 2))
    getattr(model, "0").parent = model
    assert [name for name, _ in model.named_modules()] == ["", "0"]
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    assert "parent" not in repr(model) and not model.eval().training
    with md.detect_anomaly():
        model(md.Tensor(np.ones((1, 2), np.float32)))


def test_to_keeps_the_gradients(strict):
    model = nn.Linear(2, 2)
    model.weight.grad = np.ones((2, 2), np.float32)
    assert model.to("cpu").weight.grad is not None and model.bias.grad is None
    assert type(model.to("strict").weight.grad).__name__ == "StrictArray"
