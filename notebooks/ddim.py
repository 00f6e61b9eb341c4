# %% [markdown]
# # DDIM and guidance
#
# The same predictor, other ways back: slides 22 to 25 and 33.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minidiff import RNG
from minidiff.classroom.index import get_equation
from minidiff.data import make_digits, to_float
from minidiff.diffusion import (
    GaussianMixture, ddim_invert, ddim_sample, ddim_steps, ddpm_steps, make_schedule,
    make_tau,
)
from minidiff.pictures import image_grid

schedule = make_schedule("linear", T=1000)
drawn = make_digits(200, seed=0)
digits = GaussianMixture(np.ones(200), to_float(drawn.images), 0.1, labels=drawn.labels)
eps_theta = digits.eps_theta(schedule)
x_T = RNG(5).normal((4, 1, 28, 28))
image_grid(ddim_sample(eps_theta, x_T, schedule, steps=20), columns=4)

# %%
get_equation("ddim.step")

# %% [markdown]
# ## Fewer steps

# %%
counts = (2, 5, 10, 20, 50)
rows = [ddim_sample(eps_theta, x_T, schedule, steps=S) for S in counts]
image_grid(np.concatenate(rows), columns=4, title="2, 5, 10, 20 and 50 steps")

# %% [markdown]
# **Question 1.** Two steps give something blurred. What is it the mean of? Look at `x_0_hat` of
# the first Step below.

# %%
first = next(ddim_steps(eps_theta, x_T, schedule, steps=2))
first

# %% [markdown]
# ## Ways of points
#
# DDPM's are random walks, DDIM's are smooth, from the same start.

# %%
points = GaussianMixture([0.5, 0.5], [[-0.8, 0.2], [0.8, -0.2]], 0.05)
start = RNG(6).normal((6, 2))
ways = {
    "DDPM": ddpm_steps(points.eps_theta(schedule), start, schedule, RNG(7)),
    "DDIM": ddim_steps(points.eps_theta(schedule), start, schedule, steps=100),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharex=True, sharey=True)
for axis, (name, walk) in zip(axes, ways.items(), strict=True):
    path = np.stack([start, *(step.x_prev for step in walk)])
    axis.plot(path[:, :, 0], path[:, :, 1], lw=0.8)
    axis.set_title(name)

# %%
print(make_tau(1000, 10))
print(make_tau(1000, 10, "quadratic"))

# %% [markdown]
# ## There and back
#
# Inversion finds the noise that DDIM turns into a given image.

# %%
image = to_float(drawn.images[:1])
noise = ddim_invert(eps_theta, image, schedule, steps=100)
again = ddim_sample(eps_theta, noise, schedule, steps=100)
there_and_back = np.concatenate([image, noise, again])
image_grid(there_and_back, columns=3, labels=["image", "its noise", "and back"])

# %% [markdown]
# ## Guidance
#
# A prediction for sevens and one for all digits; s goes beyond their difference.

# %%
sevens = digits.eps_theta(schedule, y=7)
rows = []
for s in (0.0, 1.0, 3.0):
    def guided(x_t, t, s=s):
        return eps_theta(x_t, t) + s * (sevens(x_t, t) - eps_theta(x_t, t))
    rows.append(ddim_sample(guided, x_T, schedule, steps=20))
image_grid(np.concatenate(rows), columns=4, title="s = 0, 1 and 3")

# %% [markdown]
# **Question 2.** Which value of s is "no guidance, but with the condition", and which w is that?
