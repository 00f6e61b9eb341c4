"""The two code boxes of the deck as programs, and the debugger in them."""

import json
import re
from pathlib import Path

import pytest
from support.examples import EXAMPLES, command, run, succeed

ROOT = EXAMPLES.parent


def body(script):
    """The lines of the box: from the debugger's start to the print."""
    return (EXAMPLES / script).read_text().partition("set_trace()\n")[2].strip().splitlines()


def test_algorithm_1_trains():
    start, end = map(float, re.findall(r"\d\.\d+", succeed("algorithm_1.py")))
    assert end < 0.75 * start


def test_algorithm_2_draws_from_the_two_clusters():
    said = succeed("algorithm_2.py")
    share = int(re.search(r"(\d+)% of the points", said)[1])
    x, y = map(float, re.search(r"mean there: \[(.*?)\]", said)[1].split())
    assert abs(share - 70) <= 5 and abs(x + 0.8) < 0.03 and abs(y - 0.2) < 0.03


@pytest.mark.parametrize("script", ["algorithm_1.py", "algorithm_2.py"])
def test_a_box_fits_the_screen(script):
    text = (EXAMPLES / script).read_text()
    assert len(body(script)) <= 25 and max(map(len, text.splitlines())) <= 100
    assert sum(line.startswith(("import ", "from ")) for line in text.splitlines()) <= 8
    assert "Trainer" not in text


def test_the_debugger_goes_from_the_box_into_the_formula():
    import subprocess

    said = subprocess.run(
        command("algorithm_1.py", "--debug"), input="n\n" * 4 + "s\nr\ns\nq\n", capture_output=True, text=True, timeout=120
    )
    assert said.returncode == 0, said.stderr
    stops = re.findall(r"> (\S+):\d+ (\S+)\(\)\n-> (.*)", said.stdout)
    assert [name for _, name, _ in stops] == ["<module>"] * 5 + ["q_sample", "<module>", "forward"]
    assert stops[5][0] == "minidiff/diffusion/forward.py" and stops[7][0] == "minidiff/models/point_denoiser.py"
    assert "loss" not in said.stdout.split("(minidiff)")[-1], "q ends it"


def test_vs_code_has_four_entries_whose_programs_and_options_exist():
    text = re.sub(r"^\s*//.*$", "", (ROOT / ".vscode" / "launch.json").read_text(), flags=re.MULTILINE)
    entries = json.loads(text)["configurations"]
    assert len(entries) == 4
    for entry in entries:
        program = entry["program"].replace("${workspaceFolder}", str(ROOT))
        assert program == "${file}" or Path(program).is_file()
        assert entry["env"] == {"MINIDIFF_USE_KERNELS": "reference"} and entry["justMyCode"] is False
        skipped = [rule["path"].removeprefix("**/").removesuffix("/**") for rule in entry["rules"]]
        assert all((ROOT / path).exists() for path in skipped if path.startswith("minidiff"))
    (training,) = [entry for entry in entries if "args" in entry]
    help = run(Path(training["program"]).name, "--help").stdout
    assert all(option in help for option in training["args"] if option.startswith("--"))
