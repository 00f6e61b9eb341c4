"""Damaged and incomplete checkpoints are refused by CheckpointError in one line, soon, and the trainer stays as it was."""

import copy
import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fuzzing import bounded_memory, cases, damaged, no_hang

from minidiff.data import Loader
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.random import RNG
from minidiff.models import UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.sampling.denoiser import load_denoiser
from minidiff.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from minidiff.training.trainer import Trainer, TrainerSettings
from minidiff.training.workers import Workers


def make_trainer(seed=0):
    rng = RNG(seed)
    model = UNet(UNetConfig(1, 4, (1, 2), (False, True), n_heads=2), rng)
    pictures = (RNG(1).uniform((30, 1, 8, 8)) * 255).astype(np.uint8)
    optimizer = AdamW(model.named_parameters(), lr=1e-3)
    return Trainer(model, make_schedule("cosine", 50), Loader(pictures, None, 8, rng), optimizer, rng, TrainerSettings(lr_warmup=5))


def train(trainer, steps):
    with Workers(trainer.model, 1) as workers:
        iterator = trainer.steps(workers)
        for _ in range(steps):
            next(iterator)


def arrays_of(trainer):
    arrays = {f"model.{name}": array for name, array in trainer.model.state_dict().items()}
    return arrays | {f"ema.{name}": array for name, array in trainer.ema.average.items()}


@pytest.fixture
def saved(tmp_path):
    trainer = make_trainer()
    train(trainer, 2)
    trainer.save(tmp_path / "c", {"dataset": "digits"})
    return tmp_path / "c"


def files(folder):
    return folder / "checkpoint.json", next(folder.glob("arrays-*"))


def refused(read):
    """Whether it is refused, in one line and soon; every other error is a failure."""
    try:
        with no_hang():
            read()
    except CheckpointError as error:
        assert len(str(error).splitlines()) == 1 and str(error).isprintable(), repr(str(error))
        return True
    return False


def values(tree, path=()):
    """The paths to all values of a JSON tree."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from values(value, (*path, key))


WRONG = [None, True, -1, 0, 3, 10**9, 10**30, 10**400, -1.5, 1e308, float("nan"), float("inf"), "", "x\ny\ud800", "../a", [], [1], {}, {"a": 1}, [[[]]]]


def test_changed_values_in_the_description(saved):
    path, _ = files(saved)
    good, another, n = json.loads(path.read_text()), make_trainer(seed=4), 0
    before = copy.deepcopy(arrays_of(another))
    paths = list(values(good))
    with bounded_memory(200):
        for i, random in cases(400, 1):
            facts = copy.deepcopy(good)
            *parents, last = paths[random.integers(len(paths))]
            tree = facts
            for key in parents:
                tree = tree[key]
            if isinstance(tree, dict) and random.random() < 0.2:
                del tree[last]
            else:
                tree[last] = WRONG[random.integers(len(WRONG))]
            path.write_text(json.dumps(facts))
            refused(lambda: load_denoiser(saved, UNet))
            if refused(lambda trainer=another: trainer.load(saved)):
                n += 1
                assert another.step == 0 and another.optimizer.state == {}, f"case {i}"
                for name, array in arrays_of(another).items():
                    np.testing.assert_array_equal(array, before[name])
            else:
                another = make_trainer(seed=4)
    assert n > 200


def test_damaged_bytes_of_the_description(saved):
    path, _ = files(saved)
    good, n, count = path.read_bytes(), 0, 0
    for _, random in cases(300, 2):
        path.write_bytes(damaged(good, random))
        count += 1
        n += refused(lambda: make_trainer().load(saved))
    assert n > count / 3


def test_every_damage_of_the_arrays_is_noticed(saved):
    _, path = files(saved)
    good = path.read_bytes()
    for i, random in cases(600, 3):
        if i % 2:
            bad = bytearray(good)
            bad[random.integers(len(bad))] ^= 1 << int(random.integers(8))
        else:
            bad = damaged(good, random)
        path.write_bytes(bad)
        assert bytes(bad) == good or refused(lambda: load_checkpoint(saved)), f"case {i}"


@pytest.mark.parametrize("checksum", [None, "right"])
def test_damaged_arrays_that_pass_as_whole(saved, checksum):
    """As in checkpoints of older versions without a checksum, or of somebody who made a right one."""
    path, arrays = files(saved)
    good, facts = arrays.read_bytes(), json.loads(path.read_text())
    for _, random in cases(300, 4):
        bad = damaged(good, random)
        arrays.write_bytes(bad)
        facts |= {"bytes": len(bad), "sha256": checksum and hashlib.sha256(bad).hexdigest()}
        path.write_text(json.dumps(facts))
        refused(lambda: make_trainer().load(saved))


@pytest.mark.parametrize("name", ["/etc/passwd", "../arrays-1.safetensors", "a/arrays-1.safetensors", "..", "", 3, None, "arrays-\0.safetensors"])
def test_a_name_that_leads_elsewhere_is_refused(saved, name):
    path, _ = files(saved)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"arrays": name}))
    with pytest.raises(CheckpointError, match="the arrays must be a file arrays-.*in this folder, got"):
        load_checkpoint(saved)


@pytest.mark.parametrize("setting", [{"n_blocks": 10**9}, {"n_channels": 4 * 10**9}, {"ch_mults": [1] * 9000, "is_attn": [False] * 9000}])
def test_a_network_larger_than_its_arrays_is_not_made(saved, setting):
    path, _ = files(saved)
    facts = json.loads(path.read_text())
    facts["model"] |= setting
    path.write_text(json.dumps(facts))
    with no_hang(), pytest.raises(CheckpointError, match=r"want a network of more than the [\d,]+ numbers that its arrays hold"):
        load_denoiser(saved, UNet)


def without(prefix):
    return lambda arrays: {name: array for name, array in arrays.items() if not name.startswith(prefix)}


FIRST = "image_proj.weight"


@pytest.mark.parametrize(
    "change, message",
    [
        (without("ema."), r"incomplete: missing ema\.\S+, ema\.\S+, ema\.\S+ and \d+ more"),
        (without(f"ema.{FIRST}"), rf"incomplete: missing ema\.{FIRST}$"),
        (without(f"model.{FIRST}"), rf"incomplete: missing model\.{FIRST}$"),
        (without("optimizer."), r"incomplete: missing optimizer\.m\.\S+,"),
        (without(f"optimizer.v.{FIRST}"), rf"incomplete: missing optimizer\.v\.{FIRST}$"),
        (without("losses"), "incomplete: missing losses"),
        (lambda a: a | {"optimizer.m.more": np.zeros(1, "f")}, r"it has unknown arrays: optimizer\.m\.more$"),
        (lambda a: a | {f"ema.{FIRST}": np.zeros(3, "f")}, rf"ema\.{FIRST} has shape \(3,\), wanted is \("),
        (lambda a: a | {f"model.{FIRST}": a[f"model.{FIRST}"] * np.float32("nan")}, rf"model\.{FIRST} has NaN or inf"),
    ],
)
def test_an_incomplete_checkpoint_is_refused_by_name_and_changes_nothing(saved, tmp_path, change, message):
    whole = load_checkpoint(saved)
    save_checkpoint(tmp_path / "d", whole.kind, whole.description, change(whole.arrays))
    trainer = make_trainer(seed=9)
    before = copy.deepcopy((arrays_of(trainer), trainer.rng.state(), trainer.loader.state()))
    with pytest.raises(CheckpointError, match=message):
        trainer.load(tmp_path / "d")
    after = arrays_of(trainer), trainer.rng.state(), trainer.loader.state()
    np.testing.assert_equal(after, before)
    assert trainer.step == trainer.optimizer.steps == 0


def test_another_data_set_is_refused(tmp_path):
    here = {"name": "MNIST", "folder": "/data", "n_images": 30, "checksum": "1a"}
    trainer, other = make_trainer(), make_trainer()
    trainer.settings = replace(trainer.settings, dataset=here)
    other.settings = replace(other.settings, dataset=here | {"name": "KMNIST", "checksum": "2b"})
    trainer.save(tmp_path)
    with pytest.raises(CheckpointError, match="the run was trained on MNIST from /data, this is KMNIST from /data: the name is KMNIST but was MNIST"):
        other.load(tmp_path)
    other.settings = replace(other.settings, dataset=here | {"folder": "/moved"})
    other.load(tmp_path)
    make_trainer().load(tmp_path)


def test_settings_of_numpy_and_paths_are_converted(tmp_path):
    options = {"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(True), "d": Path("x/y"), "e": (np.uint8(1), [np.arange(2)]), 7: None}
    make_trainer().save(tmp_path, options)
    assert load_checkpoint(tmp_path).description["options"] == {"a": 3, "b": 0.5, "c": True, "d": "x/y", "e": [1, [[0, 1]]], "7": None}


def test_settings_that_json_cannot_hold_are_named_and_nothing_is_written(tmp_path):
    with pytest.raises(TypeError, match=r"options\.a\[1\] is a set, which a checkpoint can't hold"):
        make_trainer().description({"a": [1, {2}]})
    with pytest.raises(TypeError, match="save_checkpoint: x is a object, which"):
        save_checkpoint(tmp_path / "c", "ddpm", {"x": object()}, {})
    assert not (tmp_path / "c").exists()


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_the_umask_decides_who_may_read(tmp_path):
    before = os.umask(0o022)
    try:
        save_checkpoint(tmp_path, "any", {}, {"a": np.zeros(2)})
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o644}


@pytest.mark.parametrize("which", ["checkpoint.json", "arrays"])
def test_no_permission_is_not_called_damage(saved, monkeypatch, which):
    real = Path.open

    def denied(path, *arguments, **options):
        if path.name.startswith(which):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(CheckpointError, match=f"{which}.*: no permission to read it; it may be whole"):
        load_checkpoint(saved)


FULL = """
import resource, signal, sys
import numpy as np
from minidiff.training.checkpoint import save_checkpoint
save_checkpoint(sys.argv[1], "any", {"step": 1}, {"a": np.zeros(9)})
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    save_checkpoint(sys.argv[1], "any", {"step": 2}, {"a": np.zeros(9999)})
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
def test_a_full_disk_is_an_oserror_with_the_path_and_the_old_checkpoint_stays(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert "cannot write: File too large" in done.stdout and str(tmp_path / "arrays-00000002") in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) == 1 and len(os.listdir(tmp_path)) == 2
    assert load_checkpoint(tmp_path).description["step"] == 1


@pytest.mark.parametrize("file", ["arrays-", "checkpoint.json"])
def test_no_space_left_in_either_file_keeps_the_old_checkpoint(saved, monkeypatch, file):
    for name in ("write_bytes", "write_text"):
        real = getattr(Path, name)

        def full(path, data, real=real):
            if path.name.startswith(f".{file}"):
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(path, data)

        monkeypatch.setattr(Path, name, full)
    with pytest.raises(OSError, match=f"cannot write: No space left on device: '.*{file}"):
        save_checkpoint(saved, "ddpm", {"step": 7}, {"a": np.zeros(3)})
    assert load_checkpoint(saved).description["step"] == 2 and len(os.listdir(saved)) == 2


@pytest.mark.parametrize("skipped", [[], "x", None, {"nobody": 1}, {"final.weight": -1}, {"final.weight": 1.5}])
def test_wrong_counts_of_skipped_steps_are_refused(saved, skipped):
    path, _ = files(saved)
    facts = json.loads(path.read_text())
    facts["optimizer"]["skipped"] = skipped
    path.write_text(json.dumps(facts))
    with pytest.raises(CheckpointError, match="optimizer.skipped"):
        make_trainer().load(saved)
