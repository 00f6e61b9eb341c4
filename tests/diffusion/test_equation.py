import pytest

from minidiff.classroom.index import get_equation
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
    assert (entry.summary, entry.errata, entry.registered_in) == ("Twice x.", (1,), __name__)


def test_an_id_belongs_to_one_function(registry):
    equation("test.one", "none")(len)
    with pytest.raises(ValueError, match="the id 'test.one' is taken by builtins.len"):
        equation("test.one", "none")(max)


def test_the_location_is_the_same_wherever_the_package_is_installed(monkeypatch, tmp_path):
    place = get_equation("forward.q_sample").location
    path, _, line = place.rpartition(":")
    assert path == "minidiff/diffusion/forward.py" and int(line) > 1
    monkeypatch.chdir(tmp_path)
    assert get_equation("forward.q_sample").location == place
