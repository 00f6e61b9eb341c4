"""Does a printed formula state what its equation computes? Every statement on the numbers of every case."""

import numpy as np
from support.latex_cases import CASES as CASES_OF_THE_DECK
from support.latex_cases_after import CASES_AFTER
from support.latex_eval import (
    LatexError,
    Parser,
    evaluate,
    is_words,
    split,
    statements,
    text_of,
    tokens_of,
)

CASES = CASES_OF_THE_DECK | CASES_AFTER
TOLERANCE = 1e-7  # float32 layers and numerical gradients; a wrong symbol is off by far more


def states(id, latex):
    """Whether all statements hold, and one of their sides is the function's result, in every case."""
    for env, result, after in CASES[id]():
        try:
            with np.errstate(all="ignore"):  # the root of a negative number is one way to be wrong
                seen = sides_of(latex, env, after)
        except (LatexError, ArithmeticError, TypeError, ValueError, KeyError, IndexError, AttributeError, StopIteration):
            return False
        if seen is None or not any(close(side, result) for side in seen):
            return False
    return True


def sides_of(latex, env, after):
    """The values of all sides, or None if a statement does not hold."""
    env, seen = dict(env), []
    for sides in statements(latex):
        if is_words(sides):
            continue
        relations = [relation for relation, _ in sides]
        if relations[-1] == r"\leftarrow":
            key = Parser(list(sides[0][1]), env).symbol_key()
            new = evaluate(sides[1][1], env)
            env |= {key: after[key]}
            values = [evaluate(sides[0][1], env), new]
        elif relations[-1] == r"\in":
            inside = [part for _, part in split(sides[1][1][1:-1], {","})]
            found = [evaluate(part, env) for part in inside]
            value = evaluate(sides[0][1], env)
            values = [value, value if any(close(value, other) for other in found) else None]
        else:
            values = [evaluate(side, env) for _, side in sides if not over_chains(side)]
        if any(value is None or not close(values[0], value) for value in values):
            return None
        seen += values
    return seen


def over_chains(side):
    """An integral over all chains x_{1:T}, which has no number: its estimate is the next side."""
    return side[:1] == [r"\int"] and text_of(side).endswith("dx_1:T")


def close(a, b):
    if isinstance(a, tuple) or isinstance(b, tuple):
        return isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) and all(map(close, a, b))
    if np.shape(a) != np.shape(b) and np.size(a) != 1 and np.size(b) != 1:
        return False
    return bool(np.allclose(np.asarray(a, dtype=float), np.asarray(b, dtype=float), rtol=TOLERANCE, atol=1e-9))


def mutants_of(latex):
    """(what, mutant): every change of one symbol - a sign, an accent, an index, a root, a power, a factor 2."""
    tokens = tokens_of(latex)
    for i, token in enumerate(tokens):
        before, here, behind = tokens[:i], tokens[i], tokens[i + 1 :]

        def made(*new, before=before, behind=behind):
            return " ".join([*before, *new, *behind])

        if in_words(tokens, i):
            continue
        if token in "+-":
            yield f"sign {i}", made("-" if here == "+" else "+")
        elif token in (r"\bar", r"\tilde", r"\hat"):
            yield f"no {here[1:]} {i}", made()
        elif token == r"\sqrt":
            yield f"no root {i}", made()
        elif token == "^" and behind[:1] == ["2"]:
            yield f"no square {i}", " ".join([*before, *behind[1:]])
        elif token == "_" and behind[:1] == ["t"]:
            yield f"t - 1 for t {i}", " ".join([*before, "_", "{", "t", "-", "1", "}", *behind[1:]])
        elif token == "_" and behind[:5] == ["{", "t", "-", "1", "}"]:
            yield f"t for t - 1 {i}", " ".join([*before, "_", "t", *behind[5:]])
        elif token == r"\alpha":
            yield f"beta for alpha {i}", made(r"\beta")
        elif token == r"\beta":
            yield f"alpha for beta {i}", made(r"\alpha")


def in_words(tokens, i):
    """Inside \\text{...}."""
    depth = 0
    for j in range(i, -1, -1):
        depth += (tokens[j] == "}") - (tokens[j] == "{")
        if tokens[j] == r"\text" and depth < 0:
            return True
    return False

