"""Printed LaTeX as numbers: a recursive-descent evaluator for what the equations' LaTeX uses.

An environment maps names to values. A name is the symbol without its font (`\\mathbf{x}` is "x", but
`\\mathcal{N}` is "cal N"), with its accent ("bar alpha"). A subscript is part of the name if the environment
has that name ("beta_min"); otherwise it is evaluated and looks up the value: `\\bar\\alpha_{t-1}` is
env["bar alpha"][t - 1]. A value that can be called takes the brackets that follow as its arguments.
"""

import math
import re

import numpy as np

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|PE|[A-Za-z]|\d+|[^\s]")
SPACE = {r"\,", r"\big", r"\Big"}
FONTS = {r"\mathbf", r"\boldsymbol"}
NAMES = {r"\mathrm", r"\text"}
ACCENTS = {r"\bar", r"\tilde", r"\hat"}
FUNCTIONS = {r"\log": np.log, r"\exp": np.exp, r"\cos": np.cos, r"\sin": np.sin}
RELATIONS = {"=", r"\sim", r"\leftarrow", r"\in"}
OPEN, CLOSE = {"(": ")", "[": "]", "{": "}", r"\{": r"\}"}, {")", "]", "}", r"\}"}
SEPARATORS = {",", ";", "|", r"\|"}
NO_FACTOR = {"+", "-", "/", r"\cdot", r"\pm", "_", "^", ":", ">"} | CLOSE | RELATIONS | {",", ";", "|"}


class LatexError(ValueError):
    """The text cannot be read as a number: wrong syntax or a name without a value."""


def tokens_of(latex):
    return [token for token in TOKEN.findall(latex) if token not in SPACE]


def split(tokens, at):
    """The parts between top-level separators of `at`, each with the separator before it."""
    parts, depth, separator = [], 0, None
    current = []
    for token in tokens:
        depth += (token in OPEN) - (token in CLOSE)
        if token in at and depth == 0:
            parts.append((separator, current))
            separator, current = token, []
        else:
            current.append(token)
    return [*parts, (separator, current)]


def statements(latex):
    """The formula at its `\\quad`s: each statement as a list of (relation before it, tokens of a side)."""
    for _, tokens in split(tokens_of(latex), {r"\quad"}):
        while tokens and tokens[-1] == ",":
            tokens = tokens[:-1]
        yield split(tokens, RELATIONS)


def is_words(sides):
    """A statement in words, or a list that goes on ("...") - no number."""
    return any(r"\dots" in side for _, side in sides) or (len(sides) == 1 and sides[0][1][:1] == [r"\text"])


def evaluate(tokens, env):
    """The value of a list of tokens.   Raises LatexError if anything is left over."""
    parser = Parser(list(tokens), env)
    value = parser.expression()
    if parser.tokens:
        raise LatexError(f"cannot read {' '.join(parser.tokens)}")
    return value


def text_of(tokens):
    return "".join(t.lstrip("\\") for t in tokens if t not in FONTS and t not in NAMES and t not in "{}")


class Parser:
    def __init__(self, tokens, env):
        self.tokens, self.env, self.bars = tokens, env, 0

    # -- tokens

    def peek(self):
        return self.tokens[0] if self.tokens else None

    def take(self, wanted=None):
        if not self.tokens or (wanted is not None and self.tokens[0] != wanted):
            raise LatexError(f"wanted {wanted}, got {self.peek()}")
        return self.tokens.pop(0)

    def group(self):
        """The tokens of {...}, or of the one symbol that comes next; 12 is 1 and 2, as in \\tfrac12."""
        token = self.take()
        if token.isdigit() and len(token) > 1:
            self.tokens.insert(0, token[1:])
            return [token[0]]
        if token in ACCENTS | FONTS:
            return [token, *self.group()]
        if token != "{":
            return [token]
        inside, depth = [], 1
        while depth:
            token = self.take()
            depth += (token == "{") - (token == "}")
            inside.append(token)
        return inside[:-1]

    def value_of(self, tokens):
        return evaluate(tokens, self.env)

    def script(self, mark):
        """The tokens after _ or ^, or None."""
        if self.peek() != mark:
            return None
        self.take()
        return self.group()

    # -- grammar

    def expression(self):
        sign = 1
        if self.peek() in ("-", "+", r"\pm"):
            sign = -1 if self.take() == "-" else 1
        value = sign * self.term() if sign < 0 else self.term()
        while self.peek() in ("+", "-", r"\pm"):
            value = value - self.term() if self.take() == "-" else value + self.term()
        return value

    def term(self):
        value = self.product()
        while self.peek() in (r"\cdot", "/"):
            if self.take() == "/":
                value = value / self.product()
            else:
                other = self.product()
                value = np.dot(value, other) if np.ndim(value) and np.ndim(other) else value * other
        return value

    def product(self):
        """Factors side by side."""
        value = self.factor()
        while self.starts_factor():
            other = self.factor()
            value = value @ other if np.ndim(value) == np.ndim(other) == 2 else value * other
        return value

    def starts_factor(self):
        token = self.peek()
        return token is not None and token not in NO_FACTOR and not (token == r"\|" and self.bars)

    def factor(self):
        value = self.primary()
        while (exponent := self.script("^")) is not None:
            if exponent == ["T"] and np.ndim(value) == 2:
                value = value.T
            else:
                value = value ** self.value_of(exponent)
        return value

    def primary(self):
        token = self.peek()
        if token is None or token in NO_FACTOR:
            raise LatexError(f"a number is missing before {token}")
        if token.isdigit():
            return int(self.take())
        if token in ("(", "[", "{"):
            return self.bracket()
        if token == r"\|":
            return self.norm()
        special = {r"\frac": self.fraction, r"\tfrac": self.fraction, r"\sqrt": self.root, r"\int": self.integral}
        special |= {r"\sum": self.series, r"\prod": self.series, r"\nabla": self.gradient, r"\arg": self.arg_min}
        if token in special:
            return special[token]()
        if token in FUNCTIONS:
            return self.function()
        return self.symbol()

    def bracket(self):
        closing = OPEN[self.take()]
        bars, self.bars = self.bars, 0
        value = self.expression()
        self.take(closing)
        self.bars = bars
        return value

    def fraction(self):
        self.take()
        above, below = self.group(), self.group()
        return self.value_of(above) / self.value_of(below)

    def root(self):
        self.take()
        return np.sqrt(self.value_of(self.group()))

    def function(self):
        """log takes the whole product that follows; the others take a bracket or one factor."""
        name = self.take()
        if name == r"\log":
            return np.log(self.product())
        return FUNCTIONS[name](self.primary())

    def norm(self):
        self.take(r"\|")
        bars, self.bars = self.bars, 1
        value = self.expression()
        self.take(r"\|")
        self.bars = bars
        if self.script("_") not in (None, ["2"]):
            raise LatexError("a norm other than the Euclidean")
        return np.sqrt(np.sum(np.square(value)))

    def repeated(self, env_of):
        """The product that comes next, in several environments; read on after it."""
        start, found, bars = self.tokens, [], self.bars
        for env in env_of:
            parser = Parser(list(start), env)
            parser.bars = bars
            found.append(parser.term())
        self.tokens = parser.tokens
        return found

    def series(self):
        name, below, above = self.take(), self.script("_"), self.script("^")
        if below is None:
            return np.sum(self.term())
        (_, variable), *rest = split(below, {"=", ">"})
        key = text_of(variable)
        if not rest:
            values = self.env[f"range {key}"]
        elif rest[0][0] == "=":
            values = range(self.value_of(rest[0][1]), self.value_of(above) + 1)
        else:
            values = range(self.value_of(rest[0][1]) + 1, self.env["T"] + 1)
        terms = self.repeated([self.env | {key: value} for value in values])
        return sum(terms) if name == r"\sum" else math.prod(terms)

    def integral(self):
        """From the lower to the upper bound by Gauss-Legendre; without bounds, over a grid of the environment."""
        self.take()
        below, above = self.script("_"), self.script("^")
        end = len(self.tokens) - 1 - self.tokens[::-1].index("d")
        body, variable, self.tokens = self.tokens[:end], text_of(self.tokens[end + 1 :]), []
        if below is None:
            return evaluate(body, self.env | {variable: self.env[f"over {variable}"]}).sum() * self.env["cell"]
        low, high = self.value_of(below), self.value_of(above)
        nodes, weights = np.polynomial.legendre.leggauss(30)
        middle, half = (high + low) / 2, (high - low) / 2
        return sum(w * half * evaluate(body, self.env | {variable: middle + half * x}) for x, w in zip(nodes, weights, strict=True))

    def gradient(self):
        """Central differences with respect to the variable below the nabla, x_t if there is none."""
        self.take()
        below = self.script("_") or ["x", "_", "t"]
        parser = Parser(list(below), self.env)
        key, x = text_of(below[: below.index("_")]), self.value_of(below)
        parser.symbol_key()
        index = evaluate(parser.script("_"), self.env)
        steps = [sign * 1e-5 * row for row in np.eye(x.size).reshape(-1, *x.shape) for sign in (1, -1)]
        envs = [self.env | {key: self.env[key] | {index: x + step}} for step in steps]
        start, found = self.tokens, []
        for env in envs:
            parser = Parser(list(start), env)
            found.append(float(np.sum(parser.product())))
        self.tokens = parser.tokens
        return np.array([(a - b) / 2e-5 for a, b in zip(found[::2], found[1::2], strict=True)]).reshape(x.shape)

    def arg_min(self):
        self.take()
        self.take(r"\min")
        key = text_of(self.script("_"))
        values = self.env[f"range {key}"]
        terms = self.repeated([self.env | {key: value} for value in values])
        return values[int(np.argmin(terms))]

    def symbol_key(self):
        token = self.take()
        if token in ACCENTS:
            return f"{token[1:]} {Parser(self.group(), self.env).symbol_key()}"
        if token in FONTS:
            return Parser(self.group(), self.env).symbol_key() if self.peek() == "{" else self.symbol_key()
        if token == r"\mathcal":
            return f"cal {text_of(self.group())}"
        if token in NAMES:
            return text_of(self.group())
        return token.lstrip("\\")

    def symbol(self):
        key = self.symbol_key()
        if key.isdigit():
            return int(key)
        name, below = key, self.script("_")
        if key == "E":  # over what the mean is taken is below it, and in the environment's function
            return self.call(self.env["E"])
        if below is not None:
            name = f"{key}_{text_of(below)}"
        if self.peek() == "^":
            parser = Parser(self.tokens[1:], self.env)
            with_exponent = f"{name}^{text_of(parser.group())}"
            if with_exponent in self.env:
                name, self.tokens = with_exponent, parser.tokens
        if name in self.env:
            value = self.env[name]
        elif below is not None and key in self.env:
            value = self.entry(key, below)
        else:
            raise LatexError(f"no value for {name}")
        return self.call(value) if callable(value) else value

    def entry(self, key, below):
        index = tuple(evaluate(part, self.env) for _, part in split(below, {","}))
        index = index[0] if len(index) == 1 else index
        table = self.env[key]
        if not isinstance(table, dict):
            if np.ndim(table) < 1 or isinstance(index, tuple) or not 0 <= index < len(table):
                raise LatexError(f"{key} has no entry {index}")
        elif index not in table:
            raise LatexError(f"{key} has no entry {index}")
        return table[index]

    def call(self, value):
        if self.peek() not in ("(", "["):
            raise LatexError(f"an argument is missing before {self.peek()}")
        closing, arguments = OPEN[self.take()], []
        bars, self.bars = self.bars, 1
        while True:
            arguments.append(self.expression())
            if self.peek() == closing:
                break
            if self.take() not in SEPARATORS:
                raise LatexError("arguments that do not end")
        self.take(closing)
        self.bars = bars
        return value(self.env, *arguments)
