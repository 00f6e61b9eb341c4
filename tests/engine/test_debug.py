"""The debugger, driven by scripted commands as by a person at the prompt."""

import bdb
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine import debug, registry
from minidiff.nn import Linear
from minidiff.optim import AdamW

HERE = Path(__file__).name
PROMPT = "(minidiff) "


@pytest.fixture(autouse=True)
def no_debugger_is_left():
    before = sys.gettrace()
    yield
    sys.settrace(before)
    if debug.Debugger.watching:
        debug.Debugger.watching._restore()
    bdb.Breakpoint.clearBreakpoints()
    assert registry._choice.get().mode == "auto", "the kernels were not restored"


def session(program, *commands):
    """What the debugger says, command by command, to a program that gets it as its argument."""
    out = io.StringIO()
    debugger = debug.Debugger(io.StringIO("\n".join([*commands, ""])), out)
    try:
        program(debugger)
    except SystemExit:
        pass
    return out.getvalue().split(PROMPT)


def stops(said):
    """(file, function, line of code) of every place where it stopped."""
    return re.findall(r"^> (.+):\d+ (.+)\(\)\n-> (.*)$", "\n".join(said), re.MULTILINE)


def normal(*shape):
    return md.RNG(sum(shape)).normal(shape)


def presses(function, *arguments, **options):
    """Presses of `s` from the line of a call to the line after it, and where they stopped."""

    def program(debugger):
        debugger.set_trace()
        function(*arguments, **options)
        after = True  # noqa: F841
        debugger.set_continue()

    places = stops(session(program, *["s"] * 1000))
    ends = [i for i, (_, _, line) in enumerate(places) if line.startswith("after = True")]
    return ends[0], places[1 : ends[0]]


@pytest.mark.parametrize(
    ("most", "name", "file", "arguments", "options"),
    [
        (12, "swish", "functional/activation.py", lambda: (normal(2, 3),), {}),
        (20, "q_sample", "diffusion/forward.py", lambda: (normal(2, 1, 4, 4), np.array([3, 5]), normal(2, 1, 4, 4), make_schedule("linear", 10)), {}),
        (40, "group_norm", "functional/normalization.py", lambda: (normal(2, 4, 3, 3), 2, normal(4), normal(4)), {}),
        (40, "conv2d", "functional/conv2d.py", lambda: (normal(2, 3, 8, 8), normal(4, 3, 3, 3), normal(4)), {"padding": 1}),
    ],
    ids=["swish", "q_sample", "group_norm", "conv2d"],
)  # fmt: skip
def test_presses_of_s_through_one_call(most, name, file, arguments, options):
    function = q_sample if name == "q_sample" else getattr(F, name)
    count, places = presses(function, *arguments(), **options)
    assert 3 <= count <= most
    assert places[0][:2] == (f"minidiff/{file}", name), "the first s is in the formula"
    assert {place.split("/")[1] for place, _, _ in places} <= {"functional", "diffusion"}


def test_an_operator_of_tensors_enters_the_definition():
    x, y = md.Tensor([1.0, 2.0]), md.Tensor([3.0, 4.0])
    _, places = presses(lambda: x * y)
    assert [place[:2] for place in places][1] == ("minidiff/functional/arithmetic.py", "multiply")


def test_a_layer_is_entered_at_its_forward():
    layer, x = Linear(3, 2, rng=md.RNG(0)), md.Tensor(normal(4, 3))
    _, places = presses(layer, x)
    assert places[0][:2] == ("minidiff/nn/layers.py", "forward")
    assert any(place[:2] == ("minidiff/functional/linear.py", "linear") for place in places)


def test_s_enters_each_derivative_in_turn():
    x = md.Tensor([[0.5, -1.0]], requires_grad=True)
    loss = (F.swish(x) * x).sum()
    _, places = presses(loss.backward)
    functions = [function for _, function, _ in places]
    assert list(dict.fromkeys(functions)) == ["sum_backward", "multiply_backward", "swish_backward"]
    assert x.grad is not None


def test_a_step_of_the_optimiser_is_its_rule_for_each_parameter():
    layer = Linear(3, 2, rng=md.RNG(0))
    optimizer = AdamW(layer.named_parameters())
    (layer(md.Tensor(normal(4, 3))) ** 2).mean().backward()
    _, places = presses(optimizer.step)
    assert {place[:2] for place in places} == {("minidiff/optim/adam.py", "update")}
    assert sum(line.startswith("return p - ") for _, _, line in places) == 2


def test_r_comes_back_to_the_callers_next_line_and_says_what_was_returned():
    x = np.array([0.5, -1.0], np.float32)

    def program(debugger):
        debugger.set_trace()
        y = F.swish(x)
        done = y  # noqa: F841
        debugger.set_continue()

    said = session(program, "s", "r", "p y", "c")
    assert stops(said)[1][:2] == ("minidiff/functional/activation.py", "swish")
    assert said[2].startswith("swish -> (") and "[ 0.31123, -0.26894]" in said[2]
    assert stops(said)[2][1:] == ("program", "done = y  # noqa: F841")
    assert said[3].startswith("[ 0.31123, -0.26894]  (2,)")


def test_up_and_where_show_no_frame_of_the_engine():
    def program(debugger):
        debugger.set_trace()
        F.swish(np.ones(2, np.float32))
        debugger.set_continue()

    said = session(program, "s", "up", "down", "w", "c")
    assert stops([said[2]])[0][1:] == ("program", "F.swish(np.ones(2, np.float32))")
    assert stops([said[3]])[0][:2] == ("minidiff/functional/activation.py", "swish")
    assert "minidiff/engine" not in said[4] and HERE in said[4] and "swish()" in said[4]


def test_after_a_breakpoint_in_a_formula_s_still_comes_back_to_the_program():
    """Nothing was traced on the way to the breakpoint, the caller neither."""

    def called(x):
        y = F.swish(x)
        return y

    def program(debugger):
        debugger.set_trace()
        called(np.ones(2, np.float32))
        debugger.set_continue()

    line = next(i for i, text in enumerate(Path(F.swish.reference.__code__.co_filename).read_text().splitlines(), 1) if text == "    y = x * sigma")
    said = session(program, f"b minidiff/functional/activation.py:{line}", "c", "s", "s", "s", "clear 1", "c")
    assert re.match(r"Breakpoint \d+ at /.*/minidiff/functional/activation.py:", said[1])
    assert [stop[1] for stop in stops(said)] == ["program", "swish", "swish", "swish", "called"]


def test_a_breakpoint_is_found_where_explain_prints_it(monkeypatch, tmp_path):
    """Also if the package is not below sys.path, as in an editable install, nor below the working directory."""
    from minidiff.classroom.index import get_equation

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / "minidiff").is_dir()])
    place = get_equation("forward.q_sample").location

    def program(debugger):
        debugger.set_trace()
        for t in (1, 2):
            q_sample(np.ones((1, 2)), t, np.zeros((1, 2)), make_schedule("linear", 10))
        debugger.set_continue()

    said = session(program, f"b {place}", "c", "p t", "c", "p t", "clear 1", "c")
    assert "not found" not in said[1] and place in said[2]
    assert said[3] == "1\n" and said[5] == "2\n"


def test_a_generator_is_stepped_from_yield_to_the_loop_and_back():
    def program(debugger):
        debugger.set_trace()
        for step in ddpm_steps(lambda x_t, t: 0.5 * x_t, (1, 2), make_schedule("linear", 3), md.RNG(0)):
            shown = step.t  # noqa: F841
        debugger.set_continue()

    said = session(program, *["s"] * 200)
    names = [name for _, name, _ in stops(said)]
    assert names.count("ddpm_steps") > 20 and names[-1] == "program"
    assert [line for _, _, line in stops(said)].count("shown = step.t  # noqa: F841") == 3
    assert "ddpm_steps -> Step ddpm, t = 3" in "".join(said) and "StopIteration" not in "".join(said)


def test_small_values_are_shown_whole_and_large_ones_by_their_range():
    def program(debugger):
        small, large, tensor = np.array([1.0, 2.5]), np.arange(1000.0), md.Tensor([[1.0, -1.0]])  # noqa: F841
        number, text, nothing = 0.1 + 0.2, "a", lambda: None  # noqa: F841
        debugger.set_trace()
        debugger.set_continue()

    said = session(program, "p small", "p large", "p tensor", "tensor", "p number", "p text", "p nothing", "p missing", "c")
    expected = ["[1. , 2.5]  (2,)", "float64 (1000,), min 0, mean 499.5, max 999", *["[[ 1., -1.]]  (1, 2)"] * 2, "0.3", "a", "<lambda>()"]
    assert [answer.rstrip("\n") for answer in said[1:8]] == expected
    assert "NameError: name 'missing' is not defined" in said[8]


def test_an_error_in_a_formula_stops_there():
    schedule = make_schedule("linear", 10)

    def program(debugger):
        debugger.set_trace()
        with pytest.raises(ValueError, match="t must be in"):
            q_sample(np.ones((1, 2)), 11, np.ones((1, 2)), schedule)
        debugger.set_continue()

    said = session(program, *["s"] * 3, "p t", "c")
    assert "ValueError: schedule: t must be in 1..T" in "".join(said) and "11\n" in said
    assert "q_sample -> None" not in "".join(said)


def test_a_comprehension_is_one_line():
    """Python 3.12 and later have a line for each of its turns."""

    def program(debugger):
        debugger.set_trace()
        squares = [i * i for i in range(5)]
        total = sum(squares)  # noqa: F841
        debugger.set_continue()

    lines = [line for _, name, line in stops(session(program, *["s"] * 20)) if name == "program"]
    assert [line.split(" = ")[0] for line in lines[:2]] == ["squares", "total"]


def test_a_breakpoint_in_a_loop_of_one_line_stops_each_time():
    def program(debugger):
        total = 0
        debugger.set_trace()
        for i in range(3): total += i  # noqa: E701 one line
        debugger.set_continue()

    number = next(i for i, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith("E701 one line"))
    said = session(program, f"b {__file__}:{number}", "c", "c", "c", "clear 1", "n", "c")
    assert [line.endswith("one line") for _, _, line in stops(said)] == [True] * 4 + [False], said


def test_the_definitions_run_until_c():
    modes = []

    def program(debugger):
        debugger.set_trace()
        modes.append(registry._choice.get().mode)
        modes.append(registry._choice.get().mode)

    said = session(program, "n", "c")
    assert modes == ["reference", "auto"] and said[0].startswith("until c or q, operations run by their definitions (kernels: reference)\n")
    assert "(kernels: reference)" not in "".join(said[1:])


def test_with_a_breakpoint_set_c_keeps_the_definitions():
    """Else a faster kernel would run past a breakpoint in a definition."""
    modes = []

    def program(debugger):
        debugger.set_trace()
        modes.append(registry._choice.get().mode)
        modes.append(registry._choice.get().mode)  # here
        modes.append(registry._choice.get().mode)

    number = next(i for i, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith("# here"))
    said = session(program, f"b {__file__}:{number}", "c", "n", "clear 1", "c")
    assert modes == ["reference", "reference", "auto"], said


def test_kernels_that_the_program_chose_come_back_and_its_own_choice_is_left():
    def program(debugger):
        with md.use_kernels("check"):
            debugger.set_trace()
            assert registry._choice.get().mode == "reference"
            assert registry._choice.get().mode == "check"

    session(program, "n", "c")

    def leaves_the_block(debugger):
        with md.use_kernels("check"):
            debugger.set_trace()
        assert registry._choice.get().mode == "auto"
        debugger.set_continue()

    session(leaves_the_block, "n", "n", "c")
    assert registry._choice.get().mode == "auto"


def test_a_program_that_uses_reference_already_hears_nothing_of_it():
    def program(debugger):
        with md.use_kernels("reference"):
            debugger.set_trace()
            debugger.set_continue()

    assert "kernels" not in session(program, "c")[0]


def test_q_ends_the_program_without_a_traceback():
    reached = []

    def program(debugger):
        debugger.set_trace()
        reached.append(1)
        reached.append(2)

    session(program, "n", "q")
    assert reached == [1]


def test_set_trace_again_goes_on_with_the_same_debugger(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\nn\nn\nc\n"))
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    md.debug.set_trace()
    first = debug.Debugger.watching
    md.debug.set_trace()
    second = debug.Debugger.watching
    monkeypatch.undo()
    assert first is second is not None
    assert out.getvalue().count("kernels: reference") == 1


def run_python(*arguments, commands="", **environment):
    root = str(Path(md.__file__).parents[1])
    return subprocess.run(
        [sys.executable, *arguments], input=commands, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": root, **environment},
    )  # fmt: skip


def test_breakpoint_finds_it_by_the_environment(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import numpy as np\nfrom minidiff import functional as F\nbreakpoint()\ny = F.swish(np.ones(2, np.float32))\nprint('end')\n")
    done = run_python(program, commands="s\nup\nc\n", PYTHONBREAKPOINT="minidiff.debug.set_trace")
    assert done.returncode == 0 and done.stdout.endswith("end\n"), done.stderr
    assert "-> y = F.swish(" in done.stdout and "> minidiff/functional/activation.py:" in done.stdout


def test_the_end_of_the_input_and_q_end_a_program_quietly(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import minidiff.debug\nminidiff.debug.set_trace()\nx = 1\nprint('reached')\n")
    for commands in ("", "q\n"):
        done = run_python(program, commands=commands)
        assert (done.returncode, done.stderr) == (0, "") and "reached\n" not in done.stdout


def test_imports_are_not_stepped_through(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import minidiff.debug\nminidiff.debug.set_trace()\nimport minidiff.models.unet\nimport json.tool\nprint('end')\n")
    done = run_python(program, commands="s\ns\ns\nc\n")
    lines = [line for _, _, line in stops([done.stdout.replace(PROMPT, "")])]
    assert lines == ["import minidiff.models.unet", "import json.tool", "print('end')"]


def test_a_debugger_means_one_process(monkeypatch):
    from minidiff.training.workers import available_cores, default_count

    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    before = sys.gettrace()
    try:
        sys.settrace(None)
        if not getattr(sys, "monitoring", None):
            assert not debug.attached() and default_count() == min(available_cores(), 8)
        sys.settrace(lambda frame, event, arg: None)
        assert debug.attached() and default_count() == 1
    finally:
        sys.settrace(before)
    monkeypatch.setenv("PYTHONBREAKPOINT", "minidiff.debug.set_trace")
    assert default_count() == 1
