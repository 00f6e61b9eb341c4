import pytest

from minidiff.optim import cosine_decay, warmup


def test_warmup_rises_to_one_and_stays():
    assert [warmup(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warmup(0, 0) == 1.0


def test_cosine_decay_falls_from_one_to_the_final_factor():
    assert cosine_decay(0.0) == 1.0 and cosine_decay(0.5) == pytest.approx(0.5) and cosine_decay(1.0) == pytest.approx(0.0, abs=1e-15)
    assert cosine_decay(0.5, final=0.2) == pytest.approx(0.6) and cosine_decay(2.0, final=0.2) == pytest.approx(0.2)
    assert cosine_decay(-1.0) == 1.0
    factors = [cosine_decay(i / 20) for i in range(21)]
    assert factors == sorted(factors, reverse=True)
