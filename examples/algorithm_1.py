"""Algorithm 1, training, line by line, on points in the plane: to be stepped through.

    python examples/algorithm_1.py                 # trains for some seconds
    python examples/algorithm_1.py --debug         # stops at the loop; `s` steps

It needs no trainer and no file: a swiss roll, a small network, and AdamW.
"""

import sys

import minidiff as md
from minidiff.data import swiss_roll
from minidiff.diffusion import L_simple, make_schedule, q_sample
from minidiff.models import PointDenoiser, PointDenoiserConfig
from minidiff.optim import AdamW

rng = md.RNG(0)
data = swiss_roll(1000, 0)
schedule = make_schedule("linear", T=100)
eps_theta = PointDenoiser(PointDenoiserConfig(n_hidden=32), rng)
optimizer = AdamW(eps_theta.named_parameters(), lr=3e-3)
losses = []

if "--debug" in sys.argv:
    md.debug.set_trace()
for _ in range(1000):  # 1: repeat
    x_0 = data[rng.integers(0, len(data), (64,))]  # 2: x_0 ~ q(x_0)
    t = rng.integers(1, schedule.T + 1, (64,))  # 3: t ~ Uniform({1, ..., T})
    eps = rng.normal((64, 2))  # 4: eps ~ N(0, I)
    x_t = q_sample(x_0, t, eps, schedule)
    loss = L_simple(eps, eps_theta(x_t, t))
    loss.backward()  # 5: gradient descent step on ||eps - eps_theta(x_t, t)||^2
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())

start, end = sum(losses[:50]) / 50, sum(losses[-200:]) / 200
print(f"loss {start:.3f} at the start, {end:.3f} at the end")  # 6: until converged
