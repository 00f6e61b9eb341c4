# %% [markdown]
# # Kernels
#
# One operation, several programs that compute it. No GPU is needed.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import minidiff as md
from minidiff.data import make_digits, to_float
from minidiff.functional import attention, conv2d, group_norm
from minidiff.pictures import image_grid

images = to_float(make_digits(16, seed=0).images)
sobel = np.array([[[[1, 0, -1], [2, 0, -2], [1, 0, -1]]]], np.float32)
edges = conv2d(md.Tensor(images), md.Tensor(sobel), padding=1).numpy()
image_grid(np.concatenate([images[:8], edges[:8] / np.abs(edges).max()]), columns=8)

# %% [markdown]
# ## The definition and the fast form
#
# `use_kernels("reference")` runs the definition: loops over the elements of the kernel, nothing
# else.

# %%
x = md.Tensor(md.RNG(0).normal((16, 16, 28, 28)))
w = md.Tensor(md.RNG(1).normal((16, 16, 3, 3)))
results, seconds = {}, {}
for name in ("reference", "auto"):
    with md.use_kernels(name):
        conv2d(x, w, padding=1)
        start = time.perf_counter()
        results[name] = conv2d(x, w, padding=1).numpy()
        seconds[name] = time.perf_counter() - start
f"{np.abs(results['reference'] - results['auto']).max():.1e} apart"

# %%
plt.figure(figsize=(4, 2.6))
plt.bar(list(seconds), [1000 * s for s in seconds.values()])
plt.title("milliseconds, this machine");

# %% [markdown]
# **Question 1.** The two results differ a little. Is one of them wrong? In which order does
# each add?
#
# ## Online softmax
#
# Attention without the matrix of logits: a running maximum, repaired when it rises.

# %%
logits, values = md.RNG(2).normal((200,)) * 5, md.RNG(3).normal((200,))
m, total, output, history = -np.inf, 0.0, 0.0, []
for s, v in zip(logits, values, strict=True):
    m_new = max(m, s)
    total = np.exp(m - m_new) * total + np.exp(s - m_new)
    output = np.exp(m - m_new) * output + np.exp(s - m_new) * v
    m = m_new
    history.append(output / total)
softmax = np.exp(logits - logits.max())
exact = (softmax / softmax.sum() * values).sum()
print(f"online {output / total:.7f}, with all logits {exact:.7f}")

# %%
plt.figure(figsize=(6, 2.6))
plt.plot(history)
plt.axhline(history[-1], ls="--", c="grey")
plt.title("the output after so many keys");

# %% [markdown]
# **Question 2.** Why is `exp(s - m)` never too large for float32, whatever the logits are?
#
# ## The same in the package

# %%
q, k, v = (md.Tensor(md.RNG(i).normal((1, 2, 49, 16))) for i in range(3))
with md.use_kernels("reference"):
    exact = attention(q, k, v).numpy()
f"{np.abs(attention(q, k, v).numpy() - exact).max():.1e} apart"

# %%
ones, zeros = md.Tensor(np.ones(16, np.float32)), md.Tensor(np.zeros(16, np.float32))
normed = group_norm(x, 4, ones, zeros).numpy()
image_grid(normed[:2].reshape(-1, 1, 28, 28) / np.abs(normed).max(), columns=16)
