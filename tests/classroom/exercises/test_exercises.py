"""The package's own code passes each exercise, and at least three wrong answers for each are named."""

import ast
import inspect

import pytest

from minidiff.classroom.exercises.faults import faults_of
from minidiff.classroom.exercises.grading import grade
from minidiff.classroom.exercises.stubs import stub, with_code
from minidiff.classroom.exercises.tables.exercises import EXERCISES, get_exercise
from minidiff.classroom.exercises.tables.faults import FAULTS
from minidiff.classroom.exercises.tables.hints import HINTS

NAMES = [exercise.name for exercise in EXERCISES]
WRONG = [(exercise.name, *fault) for exercise in EXERCISES for fault in faults_of(exercise)]


def answer(tmp_path, name, code):
    """The verdict on a student's file with this code in place of the function."""
    exercise = get_exercise(name)
    file = tmp_path / f"{name}.py"
    file.write_text(with_code(exercise, code), encoding="utf-8")
    return grade(exercise, file)


def test_there_are_enough_and_none_is_there_twice():
    assert len(NAMES) == len(set(NAMES)) >= 20
    assert set(HINTS) == set(NAMES) and set(FAULTS) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_packages_own_code_is_right(name, tmp_path):
    verdict = answer(tmp_path, name, get_exercise(name).source)
    assert verdict.right and "agree with the package's own" in verdict.text, verdict.text


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_is_a_file_that_says_what_is_to_be_done(name, tmp_path):
    exercise = get_exercise(name)
    file = tmp_path / "stub.py"
    file.write_text(stub(exercise), encoding="utf-8")
    verdict = grade(exercise, file)
    assert not verdict.right and "the body is still to be written" in verdict.text


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_does_not_show_the_solution(name):
    exercise = get_exercise(name)
    definition = next(n for n in ast.parse(stub(exercise)).body if isinstance(n, ast.FunctionDef))
    left = definition
    if exercise.hole not in ("", "forward"):
        left = next(n for n in ast.walk(definition) if getattr(n, "name", "") == exercise.hole)
    code = left.body[ast.get_docstring(left) is not None :]
    assert [type(statement) for statement in code] == [ast.Raise]


@pytest.mark.parametrize("name", NAMES)
def test_no_hint_is_a_line_of_the_solution(name):
    code = inspect.getsource(get_exercise(name).function).splitlines()
    lines = [line.strip() for line in code if " = " in line or "+=" in line]
    assert HINTS[name] and not [line for line in lines for hint in HINTS[name] if line in hint]


def test_each_exercise_has_three_wrong_answers():
    counts = {name: sum(wrong[0] == name for wrong in WRONG) for name in NAMES}
    assert min(counts.values()) >= 3, counts


@pytest.mark.parametrize(("name", "what", "old", "new"), WRONG, ids=lambda text: text[:30])
def test_a_wrong_answer_fails_and_its_fault_is_named(name, what, old, new, tmp_path):
    head, _, tail = get_exercise(name).source.rpartition(old)
    verdict = answer(tmp_path, name, head + new + tail)
    assert not verdict.right and verdict.text.startswith(f"{name}: ")
    assert f"These numbers come out with this fault: {what}." in verdict.text
    assert "exact" in verdict.text or "steps" in verdict.text


# answers that people write in their own way, and what their numbers say without any list of faults
OWN_WORDS = [
    ("q_sample", "def q_sample(x_0, t, eps, schedule):\n"
     "    now = schedule.at(t, like=x_0)\n"
     "    return np.sqrt(now.alpha) * x_0 + np.sqrt(now.one_minus_alpha_bar) * eps",
     "the ratio is sqrt(alpha_t / alpha_bar_t); the part with eps is right"),
    ("q_sample", "def q_sample(x_0, t, eps, schedule):\n"
     "    now = schedule.at(t, like=x_0)\n"
     "    return now.alpha_bar**0.5 * x_0", "the part with eps is missing; the part with x_0 is right"),
    ("q_sample", "def q_sample(x_0, t, eps, schedule):\n"
     "    now = schedule.at(t, like=x_0)\n"
     "    return now.alpha_bar**0.5 * x_0 - now.one_minus_alpha_bar**0.5 * eps",
     "the part with eps has the wrong sign"),
    ("q_sample", "def q_sample(x_0, t, eps, schedule):\n"
     "    now = schedule.at(t, like=x_0)\n"
     "    return x_0 + (now.one_minus_alpha_bar / now.alpha_bar) ** 0.5 * eps", "the ratio is 1/sqrt(alpha_bar_t)"),
    ("L_simple", "def L_simple(eps, eps_hat):\n    return ((eps - eps_hat) ** 2).sum() / len(eps)",
     "the ratio is the number of pixels of an image"),
    ("latent_scale", "def latent_scale(z):\n    return -1 / z.std()", "the sign of scale is wrong: the ratio is -1"),
    ("ddim_sigma", "def ddim_sigma(t, t_prev, schedule, eta=0.0):\n"
     "    now, prev = schedule.at(t), schedule.at(t_prev, first=0)\n"
     "    return (prev.one_minus_alpha_bar / now.one_minus_alpha_bar * schedule.jump_beta(t_prev, t)) ** 0.5",
     "the ratio is 1/eta"),
    ("make_tau", "def make_tau(T, S, spacing='uniform'):\n"
     "    i = np.arange(S) if S > 1 else np.array([1])\n"
     "    p, w = (2 if spacing == 'quadratic' else 1), max(S - 1, 1)\n"
     "    d = (2 * (T - 1) * i**p + w**p) // (2 * w**p)\n"
     "    return np.maximum.accumulate(d - i) + i", "the difference is -1"),
    ("make_tau", "def make_tau(T, S, spacing='uniform'):\n    return np.linspace(T, 1, S).round()",
     "the numbers are right, but in the reverse order"),
    ("attention", "def attention(query, key, value, mask=None, is_causal=False, scale=None):\n"
     "    s = query @ key.swapaxes(-1, -2) / 8**0.5\n"
     "    e = np.exp(s)\n"
     "    return 2 * e / e.sum(-1, keepdims=True) @ value", "the ratio is 2"),
    ("kl_to_standard_normal", "def kl_to_standard_normal(mu, log_variance):\n"
     "    return 0.5 * (mu**2 + np.exp(log_variance) - 1 - log_variance)",
     "kl has the shape (2, 6), wanted (2,): two arrays were broadcast, or an axis was not summed"),
    ("mu_theta", "def mu_theta(x_t, t, eps_hat, schedule):\n"
     "    now = schedule.at(t, like=x_t)\n"
     "    return (x_t - now.beta / now.one_minus_alpha_bar**0.5 * eps_hat) * now.alpha**0.5",
     "the ratio is alpha_t"),
    ("group_norm", "def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):\n"
     "    g = x.reshape(len(x), num_groups, -1)\n"
     "    g = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + eps)\n"
     "    return g.reshape(x.shape) * weight[:, None, None]", "the difference is -bias"),
    ("v_target", "def v_target(x_0, t, eps, schedule):\n"
     "    now = schedule.at(t, like=x_0)\n"
     "    a, b = now.alpha_bar**0.5, now.one_minus_alpha_bar**0.5\n"
     "    return a * x_0 - b * eps", "the factor of x_0 is 0.706584, exact -0.707629"),
    ("alpha_bar_table", "def alpha_bar_table(beta):\n    return np.cumprod(1 - beta) ** 2", "the ratio is alpha_bar_t"),
    ("ema_codebook", "def ema_codebook(N, m, z_e, k, gamma=0.99):\n"
     "    one = (k[:, None] == np.arange(len(N))) * 1.0\n"
     "    N, m = gamma * N + (1 - gamma) * one.sum(0), gamma * m + (1 - gamma) * one.T @ z_e\n"
     "    return N, m, m", "codebook[0, 0] is"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "said"), OWN_WORDS)
def test_what_the_numbers_suggest(name, code, said, tmp_path):
    verdict = answer(tmp_path, name, code)
    assert not verdict.right and said in verdict.text, verdict.text


Q_SAMPLE = "def q_sample(x_0, t, eps, schedule):\n"
TROUBLE = [
    (Q_SAMPLE + "    x_t = x_0 +\n", "q_sample.py:15: invalid syntax: x_t = x_0 +"),
    (Q_SAMPLE + "    x_t = alpha * x_0\n", "q_sample.py:15: NameError: name 'alpha' is not defined"),
    (Q_SAMPLE + "    x_t = sqrt(x_0) @ eps\n", "q_sample.py:15: ValueError: matmul"),
    (Q_SAMPLE + "    x_t = x_0\n", "x_t is None: is `return` missing?"),
    (Q_SAMPLE + "    return 'x_t'\n", "x_t must be numbers, got a str"),
    (Q_SAMPLE + "    x_0 *= 2\n    return x_0\n", "it changes its argument x_0 in place (as x_0 *= ... does): make a new array"),
    (Q_SAMPLE + "    return np.log(-x_0**2)\n", "it has nan (0 / 0, or the root or logarithm of a negative number?)"),
    (Q_SAMPLE + "    return x_0 / 0\n", "it has inf: is something divided by 0?"),
    (Q_SAMPLE + "    return x_0.mean()\n", "x_t has the shape (), wanted (2, 6): an axis too many was summed"),
    (Q_SAMPLE + "    raise SystemExit(3)\n", "q_sample.py:15: SystemExit: the code ends the program (exit or sys.exit)"),
    (Q_SAMPLE + "    return q_sample(x_0, t, eps, schedule)\n", "RecursionError: the function calls itself without end"),
    (Q_SAMPLE + "    return 0 * x_0\n", "all of it is 0: is a term missing?"),
    ("def another():\n    pass\n", "q_sample.py must define q_sample(...), as the stub does"),
    ("def q_sample(x_0, t):\n    pass\n", "q_sample must take (x_0, t, eps, schedule): "),
    (Q_SAMPLE + "    pass\n1 / 0\n", "ZeroDivisionError: division by zero"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "said"), TROUBLE)
def test_trouble_in_a_students_code_is_one_clear_message(code, said, tmp_path):
    verdict = answer(tmp_path, "q_sample", code)
    assert not verdict.right and said in verdict.text, verdict.text
    assert "Traceback" not in verdict.text and "\n" not in verdict.text


STEPS = "def ddpm_steps(eps_theta, start, schedule, rng, *, variance='', clip=None, guide=None, tau=None):\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("    while True:\n        yield Step('ddpm', 1, x_prev=start)\n", "it has yielded 10000 steps and does not end"),
        ("    yield start\n", "it must yield a Step for each t, got a ndarray"),
        ("    return start\n", "it must give a Step for each t (yield Step(...)), got a ndarray"),
        ("    for t in range(schedule.T, 0, -1):\n        yield Step('ddpm', t, x_t=start)\n", "the Step at t = 10 has no 'x_prev'; it has x_t"),
        ("    for t in range(1, schedule.T + 1):\n        yield Step('ddpm', t, x_prev=start)\n", "step 1 has t = 1, wanted t = 10: look at the loop over t"),
        ("    for t in range(schedule.T):\n        yield Step('ddpm', t, x_prev=start)\n", "step 1 has t = 0, wanted t = 10"),
    ],
)  # fmt: skip
def test_trouble_with_an_algorithm(code, said, tmp_path):
    verdict = answer(tmp_path, "ddpm_steps", STEPS + code)
    assert not verdict.right and said in verdict.text, verdict.text


def test_a_file_that_is_no_text(tmp_path):
    file = tmp_path / "q_sample.py"
    file.write_bytes(b"\xff\xfe\xff")
    assert "q_sample.py is not text in UTF-8" in grade(get_exercise("q_sample"), file).text


def test_only_the_terms_that_the_task_names_must_be_in_a_step(tmp_path):
    code = (
        "def training_terms(network, x_0, t, eps, schedule, prediction='eps', **condition):\n"
        "    x_t = q_sample(x_0, t, eps, schedule)\n"
        "    return Step('train', t, loss=((network(x_t, t) - eps) ** 2).mean())\n"
    )
    verdict = answer(tmp_path, "training_terms", code)
    assert verdict.right, verdict.text
