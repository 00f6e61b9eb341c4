"""benchmarks/gpu.py has one chance on a machine with a GPU: here every line of it runs without one, and its ways to fail are tried."""

import argparse
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import fake_cupy

from minidiff.kernels.cuda.ladder import NORM_WHILE_LOADING, RUNGS

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
OPERATIONS = {"conv2d", "conv_transpose2d", "attention", "group_norm_swish"}


@pytest.fixture
def gpu_module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu")


def test_a_dry_run_runs_every_part_and_writes_the_report(tmp_path):
    pytest.importorskip("torch", reason="the benchmark compares with PyTorch: needs the compare extra")
    if reason := fake_cupy.usable():
        pytest.skip(reason)
    result = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py"), "--dry-run", "--minutes", "60", "--out", str(tmp_path), "--parts", "build", "machine",
         *(f"kernels-{operation}" for operation in OPERATIONS), "ladder", "training-32", "compile-32", "compute-sanitizer memcheck"],
        capture_output=True, text=True,  # no limit: the machine may be busy
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stand-in-for-a-gpu.json", "stand-in-for-a-gpu.md"]
    everything = json.loads((tmp_path / "stand-in-for-a-gpu.json").read_text())
    assert [outcome["state"] for outcome in everything["outcomes"]] == ["done"] * 10
    rows = everything["results"]
    kernels = [row for row in rows if row["kind"] == "kernel"]
    assert {row["operation"].split(",")[0] for row in kernels} == OPERATIONS
    for row in kernels:
        assert all("seconds" in entry for entry in [*row["ours"].values(), *row["theirs"].values()]), row
        assert all(entry["graph"] for entry in row["ours"].values()), row
        assert all(error < 1e-5 or version == "tf32" for version, error in row["errors"].items()), row
    rungs = [row for row in rows if row["kind"] == "ladder"]
    normed = [("conv2d", rung) for rung in (NORM_WHILE_LOADING, "03_kept, then 07_two_slabs", "fast, then fast")]
    assert [(row["operation"], row["rung"]) for row in rungs] == [(o, rung) for o, names in RUNGS.items() for rung in names] + normed
    assert all(row["seconds"] > 0 and row["error"] < 1e-5 for row in rungs), rungs
    network, graph = (row for row in rows if row["kind"] == "check")
    assert network["agrees"] and graph["graph_agrees"]
    assert sum(len(row["found"]) for row in rows if row["kind"] == "plans") > 0
    steps = {(row["task"], row["contestant"]): row for row in rows if row["kind"] == "step"}
    assert len(steps) == 10 and all("seconds" in row for row in steps.values())
    assert all("recorded" in steps[task, "minidiff, CUDA graph"]["note"] for task in ("train", "sample"))
    page = (tmp_path / "stand-in-for-a-gpu.md").read_text()
    assert "A dry run on a CPU" in page and "WRONG" not in page and "NOT" not in page and "failed" not in page


def test_only_some_shapes_batches_and_versions_are_measured(tmp_path):
    pytest.importorskip("torch", reason="the benchmark compares with PyTorch: needs the compare extra")
    if reason := fake_cupy.usable():
        pytest.skip(reason)
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--dry-run", "--out", str(tmp_path), "--parts", "kernels-conv2d"]
    chosen = ["--shapes", "2,3,6", "--batches", "2", "--versions", "tf32", "fast"]
    result = subprocess.run([*command, *chosen], capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = [row for row in json.loads((tmp_path / "gpu.json").read_text())["results"] if row["kind"] == "kernel"]
    assert len(rows) == 3 and all(list(row["ours"]) == ["tf32", "fast"] for row in rows)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--shapes", "64,64,2"], "--shapes: wanted how a shape of benchmarks/gpu_shapes.py begins, such as 64,64,28, got '64,64,2'"),
        (["--batches", "7"], "--batches: wanted some of 128, 32, 1, 2, got '7'"),
    ],
)
def test_a_selection_of_nothing_is_an_error(gpu_module, monkeypatch, capsys, tmp_path, words, message):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path / "report"), *words])
    with pytest.raises(SystemExit, match="2"):
        gpu_module.main()
    assert message in capsys.readouterr().err and not (tmp_path / "report").exists()


def part(gpu_module, code, share=30.0):
    return gpu_module.Part("a part", share, [sys.executable, "-c", code])


def test_a_part_that_fails_is_named_with_the_end_of_what_it_said(gpu_module):
    outcome = gpu_module.run(part(gpu_module, "print('so far so good'); raise SystemExit(3)"), time.monotonic() + 60)
    assert outcome["state"] == "failed (3)" and "so far so good" in outcome["tail"]
    assert gpu_module.run(gpu_module.Part("a part", 9, ["/nowhere/at/all"]), time.monotonic() + 60)["state"] == "not there"


def test_a_part_that_hangs_is_ended_with_all_that_it_started(gpu_module, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_module, "LEAST", 0.0)
    code = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(4); open({str(tmp_path / 'still-there')!r}, 'w')"])
print("begun", flush=True); time.sleep(60)"""
    start = time.monotonic()
    outcome = gpu_module.run(part(gpu_module, code, share=2.0), time.monotonic() + 60)
    assert outcome["state"] == "ran out of time" and "begun" in outcome["tail"] and time.monotonic() - start < 20
    time.sleep(4)
    assert not (tmp_path / "still-there").exists()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ending_it_ends_what_it_started(tmp_path, name):
    """A part that has a compiler at work; the signal reaches gpu.py alone."""
    code = f"""
import subprocess, sys, time
sys.path.insert(0, {str(BENCHMARKS)!r})
import gpu
compiler = "import time; time.sleep(4); open({str(tmp_path / 'still-there')!r}, 'w')"
part = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {{compiler!r}}]); open({str(tmp_path / 'begun')!r}, 'w'); time.sleep(60)"
gpu.what_is_missing = lambda *_: ""
gpu.parts = lambda *_: [gpu.Part("build", 60.0, [sys.executable, "-c", part])]
sys.argv = ["gpu.py", "--out", {str(tmp_path / 'report')!r}]
gpu.main()"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (-getattr(signal, name), 128 + getattr(signal, name)), errors
    time.sleep(4.5)
    assert (tmp_path / "begun").exists() and not (tmp_path / "still-there").exists()


@pytest.mark.parametrize(
    ("lacking", "words", "message"),
    [
        ("torch", ["--dry-run"], "the benchmark compares with PyTorch, which is not installed: pip install torch"),
        ("torch", [], "the benchmark compares with PyTorch, which is not installed"),
        ("cupy", ["--parts", "build"], "CuPy is not installed: pip install cupy-cuda12x on a machine with an NVIDIA GPU, or try --dry-run"),
        ("", ["--parts", "build"], "there is no GPU that CuPy can use .ImportError: no driver here.; try --dry-run"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_compiled(gpu_module, monkeypatch, capsys, tmp_path, lacking, words, message):
    (tmp_path / "cupy.py").write_text("raise ImportError('no driver here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == lacking else name)
    monkeypatch.setattr(gpu_module, "run", lambda *_: pytest.fail("a part was begun"))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path / "report"), *words])
    with pytest.raises(SystemExit, match="2"):
        gpu_module.main()
    assert re.search(message, capsys.readouterr().err) and not (tmp_path / "report").exists()


def test_nothing_is_begun_after_a_build_that_fails(gpu_module, tmp_path, monkeypatch):
    broken = gpu_module.Part("build", 9.0, [sys.executable, "-c", "raise SystemExit(1)"])
    begun = tmp_path / "begun"
    monkeypatch.setattr(gpu_module, "what_is_missing", lambda *_: "")
    monkeypatch.setattr(gpu_module, "parts", lambda *_: [broken, part(gpu_module, f"open({str(begun)!r}, 'w')")])
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path / "report")])
    with pytest.raises(SystemExit, match="1"):
        gpu_module.main()
    assert not begun.exists() and "| a part | not begun | |" in (tmp_path / "report" / "gpu.md").read_text()


def test_what_is_known_is_written_even_without_the_machine(gpu_module, tmp_path):
    results = tmp_path / "results.jsonl"
    results.write_text('{"kind": "failed", "part": "machine", "why": "no driver"}\n{"kind": "kernel", "cut off')
    outcome = {"name": "machine", "state": "failed (1)", "seconds": 2.0, "tail": "no driver here"}
    options = argparse.Namespace(out=tmp_path, dry_run=False)
    target = gpu_module.write(options, results, [outcome], ["kernels"], 5.0)
    page = target.read_text()
    assert target.name == "gpu.md" and "| kernels | not begun |" in page
    assert "machine failed: `no driver`" in page and "no driver here" in page


def test_wrong_and_failed_results_stand_out(gpu_module, tmp_path):
    row = {
        "kind": "kernel", "operation": "conv2d, forward", "shape": "s", "batch": 1, "floor": 1e-6, "floor_tf32": 1e-6,
        "ours": {"naive": {"wrong": 0.5}, "tiled": {"skipped": "too long"}, "fast": {"failed": "out of | memory"}},
        "theirs": {"fp32": {"seconds": 2e-6, "spread": 0.1, "graph": False}}, "errors": {"naive": 0.5},
    }  # fmt: skip
    step = {"kind": "step", "channels": 32, "batch": 128, "task": "train", "contestant": "torch.compile", "failed": "no compiler"}
    check = {"kind": "check", "channels": 32, "batch": 128}
    checks = [
        {**check, "loss_error": 1.0, "gradient_error": 1.0, "agrees": False}, {**check, "graph_error": 1.0, "graph_agrees": False},
        {**check, "failed": "out of memory"},
    ]  # fmt: skip
    results = tmp_path / "results.jsonl"
    results.write_text("\n".join(map(json.dumps, [row, step, *checks])))
    page = gpu_module.write(argparse.Namespace(out=tmp_path, dry_run=False), results, [], [], 5.0).read_text()
    assert "**WRONG** (5.0e-01) | too long |" in page and "failed: out of / memory" in page and "2.0*" in page
    assert "**a comparison failed**: `out of memory`" in page
    assert page.count("**DO NOT AGREE**") == 2 and "| train | torch.compile | failed" in page
