"""minidiff.profile(): what it counts, what it prints and writes, and that it changes nothing."""

import json

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff.engine import profiler


def step(x, weight):
    loss = (F.linear(x, weight) ** 2).sum()
    loss.backward()
    return loss.numpy(), weight.grad


def tensors():
    rng = np.random.default_rng(0)
    return [md.Tensor(rng.standard_normal(shape, dtype=np.float32), requires_grad=True) for shape in ((3, 4), (5, 4))]


def test_it_counts_each_operation_forward_and_backward_with_its_shapes(capsys):
    with md.profile() as profile:
        step(*tensors())
        step(*tensors())
    rows = {(row.name, row.phase): row for row in profile.rows}
    assert set(rows) == {(name, phase) for name in ("linear", "power", "sum") for phase in ("forward", "backward")}
    assert all(row.calls == 2 and row.seconds > 0 for row in rows.values())
    assert rows["linear", "forward"].shapes == ((3, 4), (5, 4))
    assert rows["linear", "backward"].shapes == ((3, 5),) and rows["linear", "backward"].by == "functional/linear.py"
    assert [e.phase for e in profile.events[:6]] == ["forward"] * 3 + ["backward"] * 3
    assert sum(row.seconds for row in profile.rows) <= profile.seconds
    text = capsys.readouterr().out
    assert text == f"{profile}\n" and "linear backward" in text and "3x4 5x4" in text
    assert text.splitlines()[-1].endswith("of it in operations")


def test_it_says_which_kernel_ran():
    x = md.Tensor(np.zeros((1, 2, 4, 4), np.float32))
    weight = md.Tensor(np.zeros((2, 2, 3, 3), np.float32))
    with md.use_kernels("reference"), md.profile(show=False) as profile:
        F.conv2d(x, weight)
    assert [row.by for row in profile.rows] == ["functional/conv2d.py"]
    with md.use_kernels(conv2d="im2col"), md.profile(show=False) as profile:
        F.conv2d(x, weight)
    assert [row.by for row in profile.rows] == ["kernels/cpu/conv2d.py"]


def test_it_has_the_shapes_of_tensors_in_a_list_and_operations_without_derivative():
    with md.profile(show=False) as profile:
        F.concatenate([np.zeros((2, 1)), np.zeros((2, 3))], 1)
        F.argmax(np.zeros(5))
    assert [(event.name, event.shapes) for event in profile.events] == [("concatenate", ((2, 1), (2, 3))), ("argmax", ((5,),))]
    assert profile.events[1].by == ""


def test_results_and_guards_are_the_same_as_without():
    plain, weight_grad = step(*tensors())
    with md.profile(show=False):
        profiled, profiled_grad = step(*tensors())
        x, weight = tensors()
        loss = (F.linear(x, weight) ** 2).sum()
        with pytest.raises(ValueError, match="read-only"):
            x.data[0] = 7  # the derivative of `linear` needs it
        loss.backward()
    assert plain == profiled
    np.testing.assert_array_equal(weight_grad, profiled_grad)


def test_a_section_is_timed_but_is_no_operation():
    with md.profile(show=False) as profile:
        with profile.section("optimiser"):
            pass
        step(*tensors())
    section = next(row for row in profile.rows if row.phase == "section")
    assert section.name == "optimiser" and section.calls == 1 and section.shapes == ()


def test_the_trace_is_chrome_s(tmp_path, capsys):
    path = tmp_path / "trace.json"
    with md.profile(show=False, trace=path) as profile:
        step(*tensors())
    assert capsys.readouterr().out == ""
    events = json.loads(path.read_text())["traceEvents"]
    assert len(events) == len(profile.events) == 6
    assert {event["ph"] for event in events} == {"X"} and events[0]["cat"] == "forward"
    assert events[0]["name"] == "linear" and events[0]["args"]["shapes"] == [[3, 4], [5, 4]]
    ends = [event["ts"] + event["dur"] for event in events]
    assert all(a["ts"] >= 0 for a in events) and ends == sorted(ends)
    assert list(tmp_path.iterdir()) == [path]


def test_many_rows_are_summed_up_in_one_line():
    with md.profile(show=False) as profile:
        for n in range(1, 41):
            F.exp(np.zeros(n))
    lines = str(profile).splitlines()
    assert len(lines) == 1 + profiler.MOST_ROWS + 2 and lines[-2].endswith("in 10 more rows")


def test_wrong_uses_say_what_is_wrong(tmp_path):
    with md.profile(show=False), pytest.raises(RuntimeError, match="another minidiff.profile\\(\\) is running"), md.profile():
        pass
    with pytest.raises(FileNotFoundError, match="the folder of trace = '.*/none/trace.json' is missing"), md.profile(trace=tmp_path / "none" / "trace.json"):
        pass
    with pytest.raises(KeyError), md.profile(trace=tmp_path / "trace.json"):
        raise KeyError
    assert profiler.active is None and not list(tmp_path.iterdir())
