"""Ranks of MPI give the numbers of one process, and leave a checkpoint behind whatever happens to them."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support import fake_cupy
from support import rank_program as program
from support.autoencoders import VARIANTS
from support.autoencoders import make_trainer as make_autoencoder_trainer
from support.mpi import PROGRAM, do_on_ranks, on_ranks

from minidiff.engine.backend import to_cpu
from minidiff.training.checkpoint import load_checkpoint
from minidiff.training.distributed import Ranks, world
from minidiff.training.metrics import read_metrics
from minidiff.training.workers import Workers


@pytest.mark.parametrize("ranks", [2, 3])
def test_gradients_are_those_of_the_whole_batch(ranks, tmp_path):
    do_on_ranks(ranks, "gradients", tmp_path)
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-13)):
        layer, batch = program.regression(np.dtype(dtype))
        with Workers(layer, 1) as alone:
            loss, whole, _ = alone.loss_and_gradients(program.squared_error, batch)
        found = [np.load(tmp_path / f"{dtype}.{rank}.npz") for rank in range(ranks)]
        assert sum(int(f["rest"]) for f in found) == 13 and {int(f["rest"]) for f in found} == {13 // ranks, 13 // ranks + 1}
        for of_rank in found:
            assert int(of_rank["bytes"]) == 3 * 64 * np.dtype(dtype).itemsize  # weight, bias, loss: each in its room
            np.testing.assert_allclose(of_rank["loss"], loss, rtol=tolerance)
            for name in whole:
                np.testing.assert_allclose(of_rank[name], whole[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("ranks", [2, 3])
def test_training_is_that_of_one_process_with_the_whole_batch(ranks, optimizer, tmp_path):
    do_on_ranks(ranks, "train", tmp_path, optimizer)
    trainer = program.make_trainer(optimizer)
    with Workers(trainer.model, 1) as alone:
        expected = program.trained(trainer, alone, 6)
    found = [np.load(tmp_path / f"{optimizer}.{rank}.npz") for rank in range(ranks)]
    for name, array in expected.items():
        for of_rank in found:
            np.testing.assert_allclose(of_rank[name], array, rtol=1e-9, atol=1e-9, err_msg=name)
            np.testing.assert_array_equal(of_rank[name], found[0][name])  # to the bit, else ranks would drift apart


def test_rank_0_alone_writes_and_another_number_of_ranks_goes_on(tmp_path):
    out = tmp_path / "run"
    do_on_ranks(2, "whole_run", out, 30)
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint", "loss.png", "metrics.csv"]
    assert len(list((out / "checkpoint").iterdir())) == 2
    assert load_checkpoint(out / "checkpoint").description["step"] == 30
    do_on_ranks(3, "whole_run", out, 50, "resume")
    assert read_metrics(out / "metrics.csv")["step"] == [20, 30, 40, 50]
    trainer = program.make_trainer()
    with Workers(trainer.model, 1) as alone:
        program.trained(trainer, alone, 30, of=30)
        expected = program.trained(trainer, alone, 20, of=50)
    found = [np.load(tmp_path / f"run.{rank}.npz") for rank in range(3)]
    assert len({float(of_rank["seconds"]) for of_rank in found}) == 1  # one clock
    np.testing.assert_allclose(found[2]["losses"], expected["losses"], rtol=1e-6)


@pytest.mark.parametrize("who", [0, 1])
def test_a_killed_rank_ends_the_run_with_a_checkpoint_of_the_last_step(who, tmp_path):
    result = on_ranks(3, PROGRAM, "killed", tmp_path, who)
    assert result.returncode != 0
    check_saved_at_step_6(tmp_path)
    endings = [path.read_text() for path in tmp_path.glob("ending.*")]
    assert f"{128 + 15}|True|by SIGTERM, which mpirun sends when a rank was lost" in endings, (endings, result.stdout, result.stderr)


def check_saved_at_step_6(folder):
    """The checkpoint is that of the last whole step: training goes on from it as if nothing had been."""
    one, other = program.make_trainer(), program.make_trainer()
    with Workers(one.model, 1) as alone:
        expected = program.trained(one, alone, 8)
    other.load(folder / "checkpoint")
    assert other.step == 6
    with Workers(other.model, 1) as alone:
        found = program.trained(other, alone, 2)
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=1e-6)


def test_a_rank_that_does_not_answer_ends_the_run(tmp_path):
    result = on_ranks(3, PROGRAM, "stopped", tmp_path)
    assert result.returncode != 0
    check_saved_at_step_6(tmp_path)
    assert (tmp_path / "ending.0").read_text() == "1|True|another rank did not answer for 1 seconds"


@pytest.mark.parametrize("who", [0, 1])
def test_ctrl_c_on_one_rank_ends_all_after_the_step(who, tmp_path):
    result = on_ranks(2, PROGRAM, "interrupted", tmp_path, who)
    assert result.returncode == 130, result.stdout + result.stderr
    assert load_checkpoint(tmp_path / "checkpoint").description["step"] == 7
    reason = ["by SIGINT", "by a signal to another rank"][who]
    assert (tmp_path / "ending.0").read_text() == f"130|True|{reason}" and (tmp_path / "ending.1").read_text() == "130|True|"


def test_errors_name_what_differs(tmp_path):
    do_on_ranks(2, "mistakes", tmp_path)
    said = (tmp_path / "said.0").read_text().splitlines()
    assert said == (tmp_path / "said.1").read_text().splitlines()
    assert said == [
        "Ranks: a batch of 1 images can't be shared by 2 ranks: wanted at least one image for each",
        "Ranks: after 0 steps the ranks differ in their rng, loader, parameters: all need the same command, the same data and the same versions",
        "Ranks: after 1 steps the ranks differ in their parameters: all need the same command, the same data and the same versions",
    ]


@pytest.mark.skipif(bool(fake_cupy.usable()), reason=fake_cupy.usable())
def test_on_gpus_the_sum_goes_by_nccl(tmp_path):
    do_on_ranks(2, "on_gpus", tmp_path)
    with fake_cupy.installed():
        trainer = program.make_trainer(device="cuda", dtype=np.float32)
        with Workers(trainer.model, 1) as alone:
            expected = program.trained(trainer, alone, 3)
            loss, gradients, _ = alone.loss_and_gradients(type(trainer).loss, trainer.draw_batch(), **trainer.loss_options())
        expected = {name: to_cpu(array) for name, array in expected.items()}
        gradients = {name: to_cpu(array) for name, array in gradients.items()}
        loss = to_cpu(loss)
    found = [np.load(tmp_path / f"gpu.{rank}.npz") for rank in range(2)]
    for of_rank in found:
        assert of_rank["calls"] == 3 and of_rank["aborted"]  # once a step; a GPU must not wait for a lost rank
        np.testing.assert_allclose(of_rank["losses"], expected["losses"], rtol=1e-5)
        np.testing.assert_allclose(of_rank["loss"], loss, rtol=1e-5)
        for name in expected:
            np.testing.assert_array_equal(of_rank[name], found[0][name])
        for name, gradient in gradients.items():
            np.testing.assert_allclose(of_rank[f"gradient.{name}"], gradient, rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_trainer_that_a_slice_can_t_serve_is_refused():
    ranks = object.__new__(Ranks)
    with pytest.raises(ValueError, match="looks at all images of a batch after each update .a codebook does."):
        ranks.begin(SimpleNamespace(needs_whole_batch=True))
    with pytest.raises(ValueError, match="recorded as a CUDA graph can't be shared"):
        ranks.begin(SimpleNamespace(needs_whole_batch=False, recorded=object()))


@VARIANTS
def test_a_codebook_needs_the_whole_batch(variant):
    trainer = make_autoencoder_trainer(variant)
    assert trainer.needs_whole_batch == (trainer.model.regularizer != "kl")


def test_without_mpi4py_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(RuntimeError, match=r"several ranks needs mpi4py and an MPI library: pip install 'minidiff\[mpi\]'"):
        world()
