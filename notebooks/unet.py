# %% [markdown]
# # U-Net and autograd
#
# The network of slides 26 to 32, and how a gradient gets to its weights.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidiff as md
from minidiff import RNG
from minidiff.data import make_digits, to_float
from minidiff.diffusion import L_simple, make_schedule, q_sample
from minidiff.functional import conv2d, group_norm, swish
from minidiff.models import UNet, UNetConfig
from minidiff.optim import AdamW
from minidiff.pictures import image_grid

model = UNet(UNetConfig(n_channels=8), RNG(0))
print(f"{model.parameter_count():,} parameters")
digits = to_float(make_digits(64, seed=0).images)
image_grid(digits[:10], columns=10)

# %% [markdown]
# ## Shapes
#
# Each part called by hand, as `UNet.forward` does.

# %%
x, swish_t = md.Tensor(digits[:1]), swish(model.time_emb(np.array([500])))
h = model.image_proj(x)
shapes = [h.shape]
for block in model.down:
    h = block(h, swish_t)
    shapes.append(h.shape)
shapes

# %%
maps = h.numpy()[0][:, None]
image_grid(maps / np.abs(maps).max(), columns=8, title="16 feature maps of 7 x 7")

# %% [markdown]
# **Question 1.** With four levels, which sizes would come, and where does it break? Try
# `UNetConfig(ch_mults=(1, 2, 2, 2), is_attn=(False,) * 4, image_size=28)`.
#
# ## Three small functions

# %%
line = np.linspace(-6, 6, 200)
plt.figure(figsize=(5, 3))
plt.plot(line, swish(md.Tensor(line)).numpy())
plt.title("swish");

# %%
images = md.Tensor(RNG(1).normal((2, 8, 7, 7)) * 3 + 5)
weight, bias = md.Tensor(np.ones(8, np.float32)), md.Tensor(np.zeros(8, np.float32))
normed = group_norm(images, 4, weight, bias)
for name, x in (("before", images.numpy()), ("after", normed.numpy())):
    print(f"{name}: mean {x.mean():.4f}, standard deviation {x.std():.4f}")

# %% [markdown]
# ## A derivative, checked by hand

# %%
image = md.Tensor(digits[:1].astype(np.float64), requires_grad=True)
edge = md.Tensor(np.array([[[[1.0, 0.0, -1.0]]]]), requires_grad=True)
y = conv2d(image, edge, padding=(0, 1))
(y**2).sum().backward()
dx = image.grad / np.abs(image.grad).max()
shown = np.concatenate([image.numpy(), y.numpy() / 2, dx])
image_grid(shown, columns=3, labels=["x", "y", "dx"])

# %%
step = 1e-6
moved = edge.numpy().copy()
moved[0, 0, 0, 0] += step
y_moved = conv2d(md.Tensor(image.numpy()), md.Tensor(moved), padding=(0, 1)).numpy()
difference = (y_moved**2).sum() - (y.numpy() ** 2).sum()
print(f"difference {difference / step:.6f}, derivative {edge.grad[0, 0, 0, 0]:.6f}")

# %% [markdown]
# **Question 2.** The two numbers agree to about six digits, not to sixteen. Why does a smaller
# `step` make it worse?
#
# ## Some steps of training
#
# Algorithm 1 on 64 digits. The loss begins near 1: the network knows nothing, and the noise has
# variance 1.

# %%
rng, schedule = RNG(2), make_schedule("linear", T=1000)
optimizer = AdamW(model.named_parameters(), lr=2e-3)
losses = []
for _ in range(20):
    x_0 = digits[rng.integers(0, 64, (8,))]
    t, eps = rng.integers(1, 1001, (8,)), rng.normal((8, 1, 28, 28))
    loss = L_simple(eps, model(md.Tensor(q_sample(x_0, t, eps, schedule)), t))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
plt.figure(figsize=(6, 3))
plt.plot(losses)
plt.title("loss");
