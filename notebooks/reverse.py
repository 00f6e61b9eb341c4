# %% [markdown]
# # The way back and the bound
#
# From noise to data: slides 6 to 21. Nothing is trained until the end: the exact predictor of a
# mixture of Gaussians is known.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minidiff import RNG
from minidiff.classroom.derivations.loss_weight import loss_weight
from minidiff.classroom.index import get_equation
from minidiff.data import make_digits, to_float
from minidiff.diffusion import (
    GaussianMixture, ddpm_steps, make_schedule, training_terms, vlb_steps,
)
from minidiff.pictures import image_grid

schedule = make_schedule("linear", T=1000)
mixture = GaussianMixture([0.7, 0.3], [[-0.8, 0.2], [0.8, -0.2]], 0.1)
plt.figure(figsize=(4, 3))
plt.scatter(*mixture.sample(500, RNG(0)).T, s=3)
plt.title("the data");

# %% [markdown]
# ## One step back
#
# Mean and variance of the step, and the term that the network gives.

# %%
get_equation("reverse.mu_theta")

# %%
eps_theta = mixture.eps_theta(schedule)
walk = list(ddpm_steps(eps_theta, (500, 2), schedule, RNG(1)))
walk[0]

# %%
figure, axes = plt.subplots(1, 5, figsize=(12, 2.6), sharex=True, sharey=True)
for axis, t in zip(axes, (1000, 500, 200, 50, 1), strict=True):
    axis.scatter(*walk[1000 - t].x_prev.T, s=2)
    axis.set_title(f"after t = {t}")

# %% [markdown]
# **Question 1.** In `walk[-1]` the noise `z` is zero. Why must it be, and which erratum of the
# deck forgets it?

# %% [markdown]
# ## The same with images
#
# 200 drawn digits, each a narrow Gaussian, are a mixture as well.

# %%
images = to_float(make_digits(200, seed=0).images)
digits = GaussianMixture(np.ones(200), images, 0.1)
short = make_schedule("linear", T=200)
digit_walk = list(ddpm_steps(digits.eps_theta(short), (6, 1, 28, 28), short, RNG(2)))
rows = [digit_walk[k].x_0_hat for k in (0, 50, 100, 150, 199)]
image_grid(np.concatenate(rows), columns=6)

# %% [markdown]
# Each row is the prediction of x_0 at one time: blurred first, as the mean of all digits that
# are still possible.
#
# ## The bound, term by term

# %%
few = make_schedule("linear", T=50)
x_0 = mixture.sample(200, RNG(3))
terms = list(vlb_steps(mixture.eps_theta(few), x_0, few, RNG(4)))
terms[-1]

# %%
weights = [loss_weight(t, schedule) for t in range(1, 1001)]
plt.figure(figsize=(6, 3))
plt.loglog(range(1, 1001), weights)
plt.title("what L_simple leaves out")
plt.xlabel("t");

# %% [markdown]
# **Question 2.** The weight is largest at t = 1. Does L_simple spend more or less of the
# network on small t than the bound does?
#
# ## Algorithm 1
#
# One training step, all named terms.

# %%
t = np.full(4, 400)
eps = RNG(5).normal((4, 1, 28, 28))
step = training_terms(digits.eps_theta(schedule), images[:4], t, eps, schedule)
step
