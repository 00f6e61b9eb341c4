import pytest

from minidiff.diffusion import equation as equations
from minidiff.diffusion.equation import equation


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(equations, "_registry", dict(equations._registry))


def test_the_decorator_returns_the_function_itself(registry):
    def twice(x):
        """Twice x.

        More about it."""
        return 2 * x

    assert equation("test.twice", "none", errata=1)(twice) is twice
    entry = equations.registered()["test.twice"]
    assert (entry.errata, entry.registered_in) == ((1,), __name__)


def test_an_id_belongs_to_one_function(registry):
    equation("test.one", "none")(len)
    with pytest.raises(ValueError, match="the id 'test.one' is taken by builtins.len"):
        equation("test.one", "none")(max)
