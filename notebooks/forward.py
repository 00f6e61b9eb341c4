# %% [markdown]
# # The way forward
#
# How an image becomes noise: slides 1 to 5. Run a cell with Shift and Enter. Change numbers and
# run it again.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minidiff import RNG
from minidiff.classroom.index import get_equation
from minidiff.data import make_digits, swiss_roll, to_float
from minidiff.diffusion import forward_steps, make_schedule, q_sample
from minidiff.pictures import image_grid

rng = RNG(0)
digits = to_float(make_digits(10, seed=0).images)
image_grid(digits, columns=10)

# %% [markdown]
# A schedule holds all coefficients. `at(t)` shows those of one time.

# %%
schedule = make_schedule("linear", T=1000)
schedule.at(500)

# %% [markdown]
# ## One jump to any time
#
# The closed form, `x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps`, is one function.

# %%
get_equation("forward.q_sample")

# %%
x_0, times = digits[3:4], [1, 50, 100, 200, 300, 500, 1000]
eps = rng.normal(x_0.shape)
noisy = np.concatenate([q_sample(x_0, t, eps, schedule) for t in times])
image_grid(noisy, columns=7, labels=[f"t = {t}" for t in times])

# %% [markdown]
# **Question 1.** At which t can you no longer tell which digit it is? Guess the part of the
# image that is left then,
# `sqrt(alpha_bar_t)`, before you look it up with `schedule.at(t)`.

# %% [markdown]
# ## Or step by step
#
# `forward_steps` walks the Markov chain. A Step holds every named term.

# %%
points = swiss_roll(1000)
steps = list(forward_steps(points, make_schedule("linear", T=100), RNG(1)))
steps[0]

# %%
figure, axes = plt.subplots(1, 5, figsize=(12, 2.6), sharex=True, sharey=True)
for axis, t in zip(axes, (1, 10, 25, 50, 100), strict=True):
    axis.scatter(*steps[t - 1].x_t.T, s=2)
    axis.set_title(f"t = {t}")

# %% [markdown]
# ## Two roads to noise

# %%
figure, axis = plt.subplots(figsize=(6, 3))
for name in ("linear", "cosine"):
    alpha_bar = make_schedule(name, T=1000).tables["alpha_bar"]
    axis.plot(np.sqrt(alpha_bar), label=name)
axis.set(xlabel="t", title="part of the image that is left")
axis.legend();

# %% [markdown]
# **Question 2.** With `make_schedule("linear", T=50, rescale=False)`, how much of the image is
# left at the end, and what does
# that mean for sampling, which starts from pure noise?

# %%
short = make_schedule("linear", T=50, rescale=False)
print(short.check().sentence)
