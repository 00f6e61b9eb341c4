"""What is written is what is read; what is damaged is refused by name."""

import json

import numpy as np
import pytest

from minidiff.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    make_folder,
    save_checkpoint,
)


@pytest.fixture
def folder(tmp_path):
    arrays = {"model.w": np.arange(6.0).reshape(2, 3), "ema.w": np.ones(2)}
    save_checkpoint(tmp_path / "c", "ddpm", {"step": 3, "rng": {"state": 2**100}}, arrays)
    return tmp_path / "c"


def test_round_trip(folder):
    checkpoint = load_checkpoint(folder, "ddpm")
    assert checkpoint.kind == "ddpm"
    assert checkpoint.description == {"step": 3, "rng": {"state": 2**100}}
    np.testing.assert_array_equal(checkpoint.part("model")["w"], np.arange(6.0).reshape(2, 3))
    assert list(checkpoint.part("ema")) == ["w"]


def test_the_next_checkpoint_replaces_the_last(folder):
    save_checkpoint(folder, "ddpm", {"step": 3}, {"model.w": np.zeros(1)})
    save_checkpoint(folder, "ddpm", {"step": 4}, {"model.w": np.ones(1)})
    assert load_checkpoint(folder).arrays["model.w"] == 1
    assert len(list(folder.iterdir())) == 2


def test_a_transposed_array_is_written_as_it_looks(tmp_path):
    array = np.arange(6.0).reshape(2, 3).T
    save_checkpoint(tmp_path, "x", {}, {"a": array})
    np.testing.assert_array_equal(load_checkpoint(tmp_path).arrays["a"], array)


def test_interrupted_while_writing_the_old_one_stays(folder, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("minidiff.training.checkpoint.json.dumps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(folder, "ddpm", {"step": 9}, {"model.w": np.zeros(1)})
    monkeypatch.undo()
    assert len(list(folder.iterdir())) == 2
    assert load_checkpoint(folder).description["step"] == 3


def test_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint here \(no checkpoint.json\)"):
        load_checkpoint(tmp_path)


def test_wrong_kind(folder):
    with pytest.raises(CheckpointError, match="this is a checkpoint of kind 'ddpm', wanted is 'classifier'"):
        load_checkpoint(folder, "classifier")


def test_cut_off_arrays(folder):
    (file,) = folder.glob("arrays-*")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"arrays-00000003.*cut off or missing: it has \d+ bytes, checkpoint.json says \d+"):
        load_checkpoint(folder)
    file.unlink()
    with pytest.raises(CheckpointError, match="cut off or missing: it has 0 bytes"):
        load_checkpoint(folder)


def test_damaged_arrays(folder):
    (file,) = folder.glob("arrays-*")
    content = bytearray(file.read_bytes())
    content[:8] = b"\xff" * 8
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(folder)


@pytest.mark.parametrize("text", ["", '{"kind": "ddpm"', '{"kind": "ddpm"}', "[]"])
def test_damaged_description(folder, text):
    (folder / "checkpoint.json").write_text(text)
    with pytest.raises(CheckpointError, match="checkpoint.json: damaged or cut off"):
        load_checkpoint(folder)


def test_other_format(folder):
    facts = json.loads((folder / "checkpoint.json").read_text()) | {"format": 99}
    (folder / "checkpoint.json").write_text(json.dumps(facts))
    with pytest.raises(CheckpointError, match="written in format 99, this version of minidiff reads format 1"):
        load_checkpoint(folder)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot make the folder") as error:
        make_folder(tmp_path / "file" / "out")
    assert error.value.filename == str(tmp_path / "file" / "out")
