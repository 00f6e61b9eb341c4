# %% [markdown]
# # Latent diffusion
#
# Codebooks, attention and words: slides 34 to 42.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidiff as md
from minidiff import RNG
from minidiff.classroom.index import get_equation
from minidiff.data import make_digits, to_float
from minidiff.diffusion.latent import nearest_code, perplexity, straight_through
from minidiff.functional import attention
from minidiff.models import VQAutoencoder, VQConfig
from minidiff.optim import AdamW
from minidiff.pictures import image_grid

digits = to_float(make_digits(200, seed=0).images)
image_grid(digits[:10], columns=10)

# %% [markdown]
# ## The nearest code

# %%
get_equation("vq.nearest")

# %%
rng = RNG(1)
codebook, z_e = rng.normal((8, 2)), rng.normal((400, 2))
k = nearest_code(z_e, codebook)
plt.figure(figsize=(4, 3.4))
plt.scatter(*z_e.T, s=6, c=k, cmap="tab10")
plt.scatter(*codebook.T, marker="x", color="black")
plt.title(f"8 codes, perplexity {float(perplexity(k, 8)):.1f}");

# %% [markdown]
# **Question 1.** Move one code far away (`codebook[0] = 10`). What does the perplexity say, and
# will training bring it back?
#
# ## Straight through
#
# The value is the code's, the gradient is the encoder's.

# %%
z = md.Tensor(z_e[:2], requires_grad=True)
z_q = straight_through(z, codebook[k[:2]])
z_q.sum().backward()
z_q.numpy() - codebook[k[:2]], z.grad

# %% [markdown]
# ## A small autoencoder
#
# Sixty steps on 200 digits: enough to see shapes, not enough to be sharp.

# %%
model = VQAutoencoder(VQConfig(n_channels=8, n_codes=32), RNG(2))
optimizer = AdamW(model.named_parameters(), lr=4e-3)
losses = []
for _ in range(60):
    terms = model.terms(md.Tensor(digits[rng.integers(0, 200, (16,))]))
    terms.loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(terms.loss.item())
plt.figure(figsize=(6, 2.6))
plt.plot(losses)
plt.title("loss of the autoencoder");

# %%
with md.no_grad():
    again = model.eval()(md.Tensor(digits[:8])).numpy()
image_grid(np.concatenate([digits[:8], again]), columns=8)

# %% [markdown]
# ## Attention
#
# One query between two keys: a sharper one as the keys grow.

# %%
query = md.Tensor(np.array([[[[1.0, 0.0]]]], np.float32))
key = np.array([[[[1.0, 0.0], [0.0, 1.0]]]], np.float32)
value = md.Tensor(np.array([[[[1.0], [0.0]]]], np.float32))
sizes = np.linspace(0, 10, 40)
keys = [md.Tensor(np.float32(size) * key) for size in sizes]
weights = [attention(query, key, value).item() for key in keys]
plt.figure(figsize=(5, 3))
plt.plot(sizes, weights)
plt.xlabel("size of the keys")
plt.title("weight of the matching key");

# %% [markdown]
# **Question 2.** Why is there a `1 / sqrt(d)` in attention? Draw the same curve for random
# queries of 64 numbers.
