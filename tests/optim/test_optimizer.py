import numpy as np
import pytest

import minidiff as md
from minidiff import nn, optim

SETTINGS = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.3}),
]


def parameters():
    rng = md.RNG(0)
    return {"a": nn.Parameter(rng.normal((3, 2))), "b": nn.Parameter(rng.normal((4,))), "c": nn.Parameter(rng.normal())}


@pytest.mark.parametrize("name, settings", SETTINGS, ids=str)
def test_twenty_steps_are_torchs(name, settings):
    torch = pytest.importorskip("torch", reason="PyTorch comes with the compare extra")
    ours = parameters()
    theirs = {n: torch.nn.Parameter(torch.tensor(p.data)) for n, p in ours.items()}
    optimizer = getattr(optim, name)(ours.items(), **settings)
    torch_optimizer = getattr(torch.optim, name)(theirs.values(), **settings)
    rng = md.RNG(1)
    for step in range(20):
        for n in ours:
            gradient = rng.normal(ours[n].shape)
            ours[n].grad, theirs[n].grad = gradient, torch.tensor(gradient)
        optimizer.lr = torch_optimizer.param_groups[0]["lr"] = settings["lr"] * (1 - step / 40)
        optimizer.step()
        torch_optimizer.step()
    for n in ours:
        assert ours[n].dtype == np.float32 and type(ours[n].data) is np.ndarray
        np.testing.assert_allclose(ours[n].data, theirs[n].detach().numpy(), rtol=2e-5, atol=2e-6)


def test_adam_in_numbers():
    """Algorithm 1 of Kingma & Ba for one number and two gradients, 1 and -0.5, worked out by hand."""
    p = nn.Parameter(np.array([1.0]))
    adam = optim.Adam([("p", p)], lr=0.1, betas=(0.9, 0.99), eps=0.0)
    adam.step({"p": np.array([1.0])})
    assert p.data[0] == pytest.approx(0.9)  # m_hat / sqrt(v_hat) is 1 at the first step
    adam.step({"p": np.array([-0.5])})
    m_hat = (0.9 * 0.1 - 0.1 * 0.5) / (1 - 0.81)
    v_hat = (0.99 * 0.01 + 0.01 * 0.25) / (1 - 0.9801)
    assert p.data[0] == pytest.approx(0.9 - 0.1 * m_hat / v_hat**0.5)


def test_it_finds_the_minimum():
    for make in (lambda p: optim.SGD(p, 0.1, momentum=0.5), lambda p: optim.Adam(p, 0.1), lambda p: optim.AdamW(p, 0.1, weight_decay=0.0)):
        x = nn.Parameter(np.array([5.0, -3.0]))
        optimizer = make([x])
        for _ in range(300):
            optimizer.zero_grad()
            ((x - np.array([1.0, 2.0])) ** 2).sum().backward()
            optimizer.step()
        np.testing.assert_allclose(x.data, [1, 2], atol=1e-2)


def test_parameters_without_gradient_stay_and_have_no_state():
    ours = parameters()
    before = ours["b"].data.copy()
    optimizer = optim.AdamW(ours.items())
    ours["a"].grad = np.ones((3, 2), np.float32)
    optimizer.step()
    np.testing.assert_array_equal(ours["b"].data, before)
    assert list(optimizer.state) == ["a"]
    optimizer.zero_grad()
    assert ours["a"].grad is None


def test_gradients_may_be_given_by_name_and_are_not_edited():
    ours = parameters()
    optimizer = optim.SGD(ours.items(), lr=1.0, momentum=0.9, weight_decay=0.1)
    gradient = np.ones(4, np.float32)
    gradient.flags.writeable = False
    before = ours["b"].data
    for _ in range(2):
        optimizer.step({"b": gradient})
    assert ours["b"].data is not before and ours["a"].grad is None


def test_a_numpy_learning_rate_keeps_float32():
    ours = parameters()
    optimizer = optim.AdamW(ours.items(), lr=np.float64(0.1))
    optimizer.lr *= np.float64(0.5)
    optimizer.step({"b": np.ones(4, np.float32)})
    assert ours["b"].dtype == np.float32 and optimizer.lr == 0.05


def test_a_step_leaves_a_live_graph_right():
    ours = parameters()
    a = ours["a"]
    y = (a * a).sum()
    expected = 2 * a.data
    optim.SGD([a], lr=1.0).step({"0": np.ones((3, 2), np.float32)})
    np.testing.assert_array_equal(md.gradients(y, [a])[0], expected)


# -- the state --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, settings", SETTINGS, ids=str)
def test_saving_and_loading_continues_to_the_bit(name, settings):
    def run(interrupted):
        ours = parameters()
        optimizer = getattr(optim, name)(ours.items(), **settings)
        rng = md.RNG(3)
        for step in range(6):
            if step == 3 and interrupted:
                state = optimizer.state_dict()
                optimizer = getattr(optim, name)(ours.items(), **{**settings, "lr": 0.0})
                optimizer.load_state_dict(state)
            optimizer.step({n: rng.normal(p.shape) for n, p in ours.items()})
        return [p.data for p in ours.values()]

    for a, b in zip(run(False), run(True), strict=True):
        np.testing.assert_array_equal(a, b)


def test_loading_copies_and_refuses_what_is_of_other_parameters():
    ours = parameters()
    optimizer = optim.Adam(ours.items())
    optimizer.step({n: np.ones(p.shape, np.float32) for n, p in ours.items()})
    state = optimizer.state_dict()
    other = optim.Adam(parameters().items())
    other.load_state_dict(state)
    assert other.state["a"]["m"] is not state["state"]["a"]["m"] and other.steps == 1

    def changed(**entries):
        return {**state, "state": {**state["state"], **entries}}

    with pytest.raises(KeyError, match="Adam.load_state_dict: there is no parameter d"):
        other.load_state_dict(changed(d=state["state"]["a"]))
    with pytest.raises(KeyError, match=r"Adam.load_state_dict: a wants \['m', 'v'\], got \['velocity'\]"):
        other.load_state_dict(changed(a={"velocity": np.ones((3, 2))}))
    with pytest.raises(ValueError, match=r"m of b has shape \(3, 2\), the parameter \(4,\)"):
        other.load_state_dict(changed(b=state["state"]["a"]))
    assert other.steps == 1


# -- what it refuses --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: optim.SGD([]), "SGD: parameters is empty: there is nothing to train"),
        (lambda p: optim.AdamW(p, lr=-1), "AdamW: lr must be >= 0, got -1"),
        (lambda p: optim.SGD(p, lr="1"), "SGD: lr must be a number >= 0, got '1'"),
        (lambda p: optim.Adam(p, eps=None), "Adam: eps must be a number >= 0, got None"),
        (lambda p: optim.Adam(p, lr=float("nan")), "Adam: lr must be >= 0, got nan"),
        (lambda p: optim.SGD(p, momentum=-0.1), "SGD: momentum must be >= 0, got -0.1"),
        (lambda p: optim.AdamW(p, weight_decay=-0.1), "AdamW: weight_decay must be >= 0, got -0.1"),
        (lambda p: optim.Adam(p, eps=-1e-8), "Adam: eps must be >= 0, got -1e-08"),
        (lambda p: optim.Adam(p, betas=(0.9, 1.0)), r"Adam: betas must be two numbers in \[0, 1\), got \(0.9, 1.0\)"),
        (lambda p: optim.SGD([*p, p[0]]), "SGD: parameters must be all different, but a comes twice"),
        (lambda p: optim.SGD([*p, ("d", p[0][1])]), "SGD: parameters must be all different, but d comes twice"),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make(list(parameters().items()))


def test_a_gradient_of_another_shape():
    with pytest.raises(ValueError, match=r"step: the gradient of a has shape \(3,\), the parameter \(3, 2\)"):
        optim.SGD(parameters().items()).step({"a": np.ones(3, np.float32)})


def test_the_base_class_has_no_rule():
    with pytest.raises(TypeError, match="Optimizer has no update rule"):
        optim.Optimizer(parameters().items(), 0.1).step({"b": np.ones(4, np.float32)})


@pytest.mark.parametrize("make", [optim.Adam, lambda p, lr: optim.AdamW(p, lr, weight_decay=0.0), optim.Muon])
def test_a_first_gradient_that_comes_late_moves_as_far_as_one_at_step_1(make):
    """At the first gradient m_hat / sqrt(v_hat) is 1, whatever the others did before."""
    late, other = nn.Parameter(np.zeros(3, np.float32)), nn.Parameter(np.zeros(3, np.float32))
    optimizer = make([("late", late), ("other", other)], lr=0.1)
    one = np.ones(3, np.float32)
    for _ in range(99):
        optimizer.step({"other": one})
    again = make([("late", late), ("other", other)], lr=0.1)
    again.load_state_dict(optimizer.state_dict())
    again.step({"late": one, "other": one})
    np.testing.assert_allclose(late.data, -0.1, rtol=1e-5)


def test_a_state_without_skipped_steps_is_still_loaded():
    ours = parameters()
    optimizer = optim.Adam(ours.items())
    optimizer.step({name: np.ones(p.shape, np.float32) for name, p in ours.items()})
    state = optimizer.state_dict()
    assert set(state) == {"steps", "lr", "state"}
    optimizer.load_state_dict(state)
    assert optimizer.steps_with_gradient("a") == 1


@pytest.mark.parametrize("given, error, message", [
    (lambda p: p, TypeError, r"SGD: parameters must be a list of Tensors, .*got one Tensor of shape \(2,\)"),
    (lambda p: "weight", TypeError, "SGD: parameters must be a list of Tensors, .*got 'weight'"),
    (lambda p: ["weight"], TypeError, "SGD: parameter 0 must be a Tensor, got 'weight'"),
    (lambda p: [np.ones(2)], TypeError, "SGD: parameter 0 must be a Tensor, got ndarray"),
    (lambda p: [{"params": [p]}], TypeError, "SGD: groups of parameters are not supported"),
    (lambda p: [md.Tensor(np.ones(2))], ValueError, "SGD: no parameter requires a gradient"),
    (lambda p: [p * 2], ValueError, "SGD: parameter 0 was computed by multiply; only a leaf can be trained"),
    (lambda p: [p, p], ValueError, "SGD: parameters must be all different, but 1 comes twice"),
])  # fmt: skip
def test_what_can_not_be_trained_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        optim.SGD(given(nn.Parameter(np.ones(2, np.float32))))


def test_the_default_learning_rate_of_sgd_is_torchs():
    assert optim.SGD([nn.Parameter(np.ones(2, np.float32))]).lr == 1e-3


@pytest.mark.parametrize("inputs", [lambda x: x, lambda x: [x.data]])
def test_gradients_wants_a_list_of_tensors(inputs):
    x = nn.Parameter(np.ones(2, np.float32))
    with pytest.raises(TypeError, match=r"gradients: inputs must be a list of Tensors, such as \[x\]"):
        md.gradients((x * x).sum(), inputs(x))


def test_nesterov_needs_momentum():
    with pytest.raises(ValueError, match="SGD: nesterov needs momentum > 0, got 0.0"):
        optim.SGD(parameters().items(), nesterov=True)
