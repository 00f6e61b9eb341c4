"""The bridges to diffusers and PyTorch: what crosses them arrives unchanged, and the program writes its pictures."""

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the bridges need the compare extra (torch)")
diffusers = pytest.importorskip("diffusers", reason="the bridges need the compare extra (diffusers)")

from minidiff import RNG  # noqa: E402
from minidiff.data import swiss_roll, swiss_roll_curve  # noqa: E402
from minidiff.diffusion import ddim_sample, make_schedule  # noqa: E402
from minidiff.models import PointDenoiser, PointDenoiserConfig  # noqa: E402

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"{name}_example", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def example():
    return load("interop")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_ddim_of_diffusers_on_a_network_of_minidiff_is_minidiffs_ddim(example):
    schedule = make_schedule("linear", 100)
    network, x_T = PointDenoiser(PointDenoiserConfig(n_hidden=16)), RNG(1).normal((5, 2))
    scheduler = diffusers.DDIMScheduler(100, trained_betas=schedule.tables["beta"][1:], clip_sample=False, timestep_spacing="trailing")
    x_0 = example.sample_with_scheduler(network, scheduler, x_T.copy(), 10)
    tau = sorted(int(t) + 1 for t in scheduler.timesteps)
    assert len(tau) == 10 and tau[-1] == 100
    np.testing.assert_allclose(x_0, ddim_sample(network, x_T, schedule, steps=tau), rtol=1e-4, atol=1e-4)
    wrong = ddim_sample(lambda x, t: network(x, np.maximum(t - 1, 1)), x_T, schedule, steps=tau)
    assert np.abs(x_0 - wrong).max() > 1e-2, "a time that is off by one would be seen"


def test_minidiffs_ddim_on_a_network_of_pytorch_is_ddim_of_diffusers(example, one_thread):
    schedule, x_T = make_schedule("linear", 100), RNG(1).normal((5, 2))
    torch.manual_seed(0)
    network = example.PointNetwork(100, n_hidden=16)
    scheduler = diffusers.DDIMScheduler(100, trained_betas=schedule.tables["beta"][1:], clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(10)
    x_t = torch.tensor(x_T)
    with torch.no_grad():
        for t in scheduler.timesteps:
            x_t = scheduler.step(network(x_t, torch.full((5,), int(t) + 1)), t, x_t).prev_sample
    tau = sorted(int(t) + 1 for t in scheduler.timesteps)
    x_0 = ddim_sample(example.as_eps_theta(network), x_T, schedule, steps=tau)
    np.testing.assert_allclose(x_0, x_t.numpy(), rtol=1e-4, atol=1e-4)


def test_pytorch_learns_the_roll_and_minidiff_samples_it(example, one_thread):
    schedule, rng = make_schedule("linear", 100), RNG(0)
    torch.manual_seed(0)
    network = example.PointNetwork(100)
    example.train_in_torch(network, swiss_roll(2000, 0), schedule, 1500, rng)
    points = ddim_sample(example.as_eps_theta(network), (300, 2), schedule, rng)
    nearness, curve = load("swiss_roll").nearness, swiss_roll_curve(500)
    near, noise = nearness(points, curve)[0], nearness(rng.normal((300, 2)), curve)[0]
    assert near > noise + 0.25


def test_the_bridges_take_twenty_lines_each(example):
    import inspect

    for function in (example.sample_with_scheduler, example.as_eps_theta, example.train_in_torch):
        assert len(inspect.getsource(function).splitlines()) <= 20


def test_the_program_writes_its_pictures(tmp_path, monkeypatch, capsys, one_thread):
    monkeypatch.setattr(sys, "argv", ["interop.py", "--out", str(tmp_path), "--steps", "3", "--training-steps", "5"])
    runpy.run_path(str(EXAMPLES / "interop.py"), run_name="__main__")
    assert "wrote digits.png and points.png" in capsys.readouterr().out
    for name in ("digits.png", "points.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG"
