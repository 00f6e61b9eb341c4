"""Algorithm 2, sampling, line by line, with the exact noise predictor of two clusters.

    python examples/algorithm_2.py                 # samples in a second
    python examples/algorithm_2.py --debug         # stops at the first line; `s` steps

No network and no training: eps_theta is the formula that a network would have to learn.
"""

import sys

import minidiff as md
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.reverse import mu_theta, sigma_squared
from minidiff.diffusion.schedule import make_schedule
from minidiff.engine.elementwise import sqrt

rng = md.RNG(0)
schedule = make_schedule("linear", T=100)
means = [[-0.8, 0.2], [0.8, -0.2]]
clusters = GaussianMixture(weights=[0.7, 0.3], means=means, stds=0.05)
eps_theta = clusters.eps_theta(schedule)

if "--debug" in sys.argv:
    md.debug.set_trace()
x_t = rng.normal((1000, 2))  # 1: x_T ~ N(0, I)
for t in range(schedule.T, 0, -1):  # 2: for t = T, ..., 1
    z = rng.normal((1000, 2)) if t > 1 else 0.0  # 3: z ~ N(0, I) if t > 1, else z = 0
    eps_hat = eps_theta(x_t, t)
    mu = mu_theta(x_t, t, eps_hat, schedule)
    sigma_t = sqrt(sigma_squared(t, schedule))
    x_t = mu + sigma_t * z  # 4: x_{t-1}
x_0 = x_t  # 6: return x_0

left = (x_0[:, 0] < 0).mean()
print(f"{left:.0%} of the points are in the left cluster, which weighs 70%")
print(f"mean there: {x_0[x_0[:, 0] < 0].mean(axis=0).round(2)}, right is [-0.8, 0.2]")
