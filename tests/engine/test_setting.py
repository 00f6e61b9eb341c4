"""`no_grad` and its siblings as blocks, and over functions and generators."""

import pytest

import minidiff as md
from minidiff.engine import anomaly, registry
from minidiff.engine.random import RNG, _layers_draw_from, layers_draw_from

SETTINGS = {  # what makes a block, and what tells whether one is inside
    "no_grad": (md.no_grad, lambda: not md.is_recording()),
    "detect_anomaly": (md.detect_anomaly, anomaly.enabled),
    "use_kernels": (lambda: md.use_kernels("reference"), lambda: registry._choice.get().mode == "reference"),
    "layers_draw_from": (lambda: layers_draw_from(RNG(0)), lambda: _layers_draw_from.get() is not None),
}
every_setting = pytest.mark.parametrize("block, inside", SETTINGS.values(), ids=SETTINGS)


@every_setting
def test_a_decorated_function(block, inside):
    @block()
    def double(x):
        """Twice."""
        assert inside()
        return 2 * x

    assert double(3) == 6 and double.__doc__ == "Twice." and not inside()


@every_setting
def test_a_decorated_generator_is_inside_while_its_body_runs_and_its_caller_is_not(block, inside):
    seen = []

    @block()
    def counting(n):
        received = None
        try:
            for i in range(n):
                seen.append(inside())
                received = yield i, received
                seen.append(inside())
        except KeyError:
            seen.append(inside())
            yield "caught"
        finally:
            seen.append(inside())
        return "end"

    steps = counting(3)
    assert next(steps) == (0, None) and not inside()
    assert steps.send("a") == (1, "a") and not inside()
    assert steps.throw(KeyError("b")) == "caught" and not inside()
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "end" and not inside()
    assert all(seen) and len(seen) == 5
    assert [i for i, _ in counting(2)] == [0, 1]
    started = counting(2)
    next(started)
    started.close()
    assert all(seen) and not inside()


@every_setting
def test_blocks_of_generators_that_are_advanced_in_turn_leave_nothing_behind(block, inside):
    def waiting():
        with block():
            yield
            assert inside()
            yield

    first, second = waiting(), waiting()
    for step in (first, second, first, second):
        next(step)
    assert next(first, "end") == "end"
    assert inside()  # that of the second is open
    assert next(second, "end") == "end"
    assert not inside()


@every_setting
def test_a_block_may_be_entered_again(block, inside):
    again = block()
    with again:
        with again:
            assert inside()
        assert inside()
    assert not inside()


def test_an_enable_grad_generator_within_no_grad():
    x = md.Tensor([1.0], requires_grad=True)

    @md.enable_grad()
    def steps():
        yield x * 2
        yield x * 3

    with md.no_grad():
        assert [y.requires_grad for y in steps()] == [True, True]
        assert not (x * 2).requires_grad


def test_without_brackets():
    @md.no_grad
    def double(x):
        return 2 * x

    assert not double(md.Tensor([1.0], requires_grad=True)).requires_grad


def test_what_cannot_be_decorated():
    async def later():
        pass

    for thing in (later, dict, 3):
        with pytest.raises(TypeError, match=r"no_grad: only functions and generators can be decorated, got .*use `with` inside of it"):
            md.no_grad()(thing)


def test_kernels_named_inside_are_added_to_those_named_outside():
    with md.use_kernels(conv2d="im2col"), md.use_kernels("check"):
        assert registry._choice.get() == ("check", {"conv2d": "im2col"})
