"""Where a program can't write or read, it says so before any work, in one line."""

import runpy

import numpy as np
import pytest
from support.examples import EXAMPLES, write_digits
from support.programs import PROGRAMS, arguments

DATA = ("train_mnist_ddpm.py", "train_mnist_vqvae.py", "train_classifier.py")
TRAINING = (*DATA, "train_mnist_ldm.py", "inpaint_mnist.py", "swiss_roll.py")
WRITING = tuple(name for name in PROGRAMS if name != "evaluate.py")


@pytest.fixture
def ends(capsys, monkeypatch, tmp_path):
    """ends(name, *words) -> what the program wrote to stderr; it must end with status 2 and one line."""
    monkeypatch.chdir(tmp_path)

    def ends(name, *words):
        capsys.readouterr()
        with arguments(name, *words), pytest.raises(SystemExit) as end:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        errors = capsys.readouterr().err
        assert end.value.code == 2 and "Traceback" not in errors, errors
        assert len([line for line in errors.splitlines() if "error: " in line]) == 1
        return errors

    return ends


@pytest.mark.parametrize("name", WRITING)
def test_an_out_that_is_no_folder(name, ends, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "cannot make the folder" in ends(name, "--out", tmp_path / "file")
    assert "cannot make the folder" in ends(name, "--out", tmp_path / "file" / "below")
    assert "cannot make the folder: File name too long" in ends(name, "--out", tmp_path / ("x" * 300))
    assert "wanted the name of a file or a folder, got nothing" in ends(name, "--out", "")
    assert (tmp_path / "file").read_text() == "mine" and [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", WRITING)
def test_a_folder_where_a_picture_will_be(name, ends, tmp_path):
    (tmp_path / "out" / "samples.png").mkdir(parents=True)
    assert "samples.png: a folder is where a file will be written" in ends(name, "--out", tmp_path / "out")


@pytest.mark.parametrize("name", TRAINING)
def test_a_file_where_the_checkpoint_will_be(name, ends, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint").write_text("mine")
    assert "checkpoint: a file is where a folder will be" in ends(name, "--out", tmp_path / "out")


@pytest.mark.parametrize("name", (*TRAINING, "guided_mnist.py"))
def test_a_run_that_is_there(name, ends, tmp_path):
    place = "noisy_classifier/checkpoint" if name == "guided_mnist.py" else "checkpoint"
    (tmp_path / "out" / place).mkdir(parents=True)
    file = tmp_path / "out" / place / "checkpoint.json"
    file.write_text("{}")
    text = ends(name, "--out", tmp_path / "out")
    assert "a run is there already: go on with it (--resume), replace it (--overwrite), or choose another --out" in text
    assert "damaged" in ends(name, "--out", tmp_path / "out", "--resume")
    assert file.read_text() == "{}"


@pytest.mark.parametrize("name", (*TRAINING, "guided_mnist.py"))
def test_nothing_to_resume(name, ends, tmp_path):
    assert "there is no checkpoint here" in ends(name, "--out", tmp_path / "out", "--resume")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", DATA)
def test_data_that_are_not_there(name, ends, tmp_path):
    (tmp_path / "file").write_text("")
    common = (name, "--out", tmp_path / "out", "--data", "mnist", "--data-dir")
    assert "file" in ends(*common, tmp_path / "file")
    (tmp_path / "damaged").mkdir()
    write_digits(tmp_path / "damaged", 20)
    (tmp_path / "damaged" / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bnothing")
    assert "t10k-images-idx3-ubyte.gz" in ends(*common, tmp_path / "damaged")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("sample_mnist.py", "--checkpoint"), ("sample_text.py", "--ldm"), ("guided_mnist.py", "--denoiser"), ("evaluate.py", "--bits-per-dim"),
        ("evaluate.py", "--samples"), ("train_mnist_ldm.py", "--autoencoder"), ("inpaint_mnist.py", "--autoencoder"),
    ],
)  # fmt: skip
def test_what_is_to_be_read(name, option, ends, tmp_path):
    """A folder without it, a file, a device, and a name that is too long."""
    np.savez(tmp_path / "file", samples=np.zeros(3))
    (tmp_path / "folder").mkdir()
    for path in ("folder", "file.npz", "/dev/null", "x" * 300, "nowhere", "a\udcffb"):
        ends(name, option, path)
    assert "got nothing" in ends(name, option, "")
