"""docs/logging.md: its programs read and log a real run, and its table has the columns of metrics.csv.

TensorBoard, wandb and pandas are big: where one is not installed, a stand-in with its documented interface takes its place.
"""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.training import RunSettings, Trainer, Workers, run
from minidiff.training.metrics import COLUMNS, read_metrics

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "logging.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL))
FIGURES = {"held_out_loss": 0.25, "confident": 0.5}


def make_run(names):
    """The page's `run` line, on a small network; `log` is in names."""
    rng = RNG(0)
    model = UNet(UNetConfig(1, 4, (1, 1), (False, False), n_heads=1), rng)
    loader = Loader((rng.uniform((20, 1, 4, 4)) * 255).astype(np.uint8), None, 8, rng, drop_last=True)
    trainer = Trainer(model, make_schedule("linear", 10), loader, AdamW(model.named_parameters()), rng)
    settings = RunSettings(steps=50, quiet=True)
    with Workers(model, 1) as workers:
        exec(PROGRAMS["train"], {"run": run, "trainer": trainer, "workers": workers, "settings": settings, **names})
    return read_metrics("runs/mnist/metrics.csv")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def stand_in(monkeypatch, name, **contents):
    """A module of this name, with these contents, and the packages that it is in."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        module = ModuleType(".".join(parts[:end]))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    vars(module).update(contents)


def program(name):
    names = {}
    exec(compile(PROGRAMS[name], f"{name}.py", "exec"), names)
    return names


def test_the_table_has_the_columns_of_the_file():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(COLUMNS)


@pytest.mark.parametrize("name", ["with_tensorboard", "with_wandb"])
def test_a_logger_takes_three_lines(name):
    assert len(PROGRAMS[name].strip().splitlines()) == 3


def test_tensorboard_gets_every_figure_of_every_row(monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, log_dir=None):
            assert log_dir == "runs/mnist"

        def add_scalar(self, tag, scalar_value, global_step=None):
            written.append((tag, float(scalar_value), global_step))

    stand_in(monkeypatch, "torch.utils.tensorboard", SummaryWriter=SummaryWriter)
    found = make_run(program("with_tensorboard"))
    for name in ("loss", "lr", "gradient_norm"):
        rows = [(value, step) for tag, value, step in written if tag == name]
        assert [step for _, step in rows] == found["step"] == [20, 40, 50]
        np.testing.assert_allclose([value for value, _ in rows], found[name], rtol=1e-5)


def test_wandb_gets_every_row(monkeypatch):
    begun, rows = [], []
    stand_in(
        monkeypatch, "wandb",
        init=lambda project=None, config=None: begun.append((project, config)),
        log=lambda data, step=None: rows.append((step, data)),
    )  # fmt: skip
    found = make_run(program("with_wandb"))
    assert begun == [("minidiff", {"out": "runs/mnist"})]
    assert [step for step, _ in rows] == found["step"]
    np.testing.assert_allclose([row["loss"] for _, row in rows], found["loss"], rtol=1e-5)


def write_metrics():
    from minidiff.training.metrics import MetricsFile

    Path("runs/mnist").mkdir(parents=True)
    file = MetricsFile("runs/mnist/metrics.csv")
    for step in (20, 40, 60):
        file.write({"step": step, "seconds": 1.0, "loss": 1 / step, "lr": 1e-3, "gradient_norm": 1.0, **(FIGURES if step == 40 else {})})


def test_the_plot_with_pandas():
    pytest.importorskip("pandas", reason="the page shows pandas, which minidiff does not need")
    write_metrics()
    check_plot(program("plot")["axis"].lines)


def test_the_plot_without_pandas():
    write_metrics()
    plt = program("plot_without_pandas")["plt"]
    check_plot(plt.gca().lines)
    plt.close("all")


def check_plot(lines):
    assert list(lines[0].get_xdata()) == [20, 40, 60]
    np.testing.assert_allclose(lines[0].get_ydata(), [1 / 20, 1 / 40, 1 / 60], rtol=1e-5)
    assert len(lines) == 1 or list(lines[1].get_xdata()) == [40]
    with Image.open("loss.png") as picture:
        assert picture.format == "PNG"
