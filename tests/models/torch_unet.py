"""The deck's U-Net in plain PyTorch, written from the slides "Diffusion Model Architecture": the independent twin of minidiff.models.UNet.

The parameter names are the same, so one state_dict fits both. It shares no code with minidiff and is what benchmarks compare with.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def groups_for(channels, n_groups=None):
    if n_groups is not None:
        return n_groups
    return next(g for g in (8, 7, 6, 5, 4, 3, 2, 1) if channels % g == 0 and channels > g or g == 1)  # no group of a single channel


class TimeEmbedding(nn.Module):
    def __init__(self, time_channels):
        super().__init__()
        self.n_channels = time_channels
        self.lin1 = nn.Linear(time_channels // 4, time_channels)
        self.lin2 = nn.Linear(time_channels, time_channels)

    def forward(self, t):
        half_dim = self.n_channels // 8
        emb = math.log(10_000) / (half_dim - 1)
        emb = torch.exp(torch.arange(half_dim, device=t.device) * -emb)
        emb = t[:, None] * emb[None, :]
        emb = torch.cat((emb.sin(), emb.cos()), dim=1)
        return self.lin2(F.silu(self.lin1(emb)))


class ResidualBlock(nn.Module):
    def __init__(self, in_channels, out_channels, time_channels, dropout, n_groups):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups_for(in_channels, n_groups), in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb = nn.Linear(time_channels, out_channels)
        self.norm2 = nn.GroupNorm(groups_for(out_channels, n_groups), out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x, t):
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb(F.silu(t))[:, :, None, None]
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return h + self.shortcut(x)


class AttentionBlock(nn.Module):
    def __init__(self, n_channels, n_heads, n_groups):
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.GroupNorm(groups_for(n_channels, n_groups), n_channels)
        self.projection = nn.Linear(n_channels, 3 * n_channels)
        self.output = nn.Linear(n_channels, n_channels)

    def forward(self, x, t=None):
        batch, channels, height, width = x.shape
        tokens = self.norm(x).flatten(2).mT
        q, k, v = (part.unflatten(2, (self.n_heads, -1)).transpose(1, 2) for part in self.projection(tokens).chunk(3, dim=2))
        res = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return x + self.output(res).mT.unflatten(2, (height, width))


class DownBlock(nn.Module):
    def __init__(self, in_channels, out_channels, time_channels, has_attn, n_heads, dropout, n_groups):
        super().__init__()
        self.res = ResidualBlock(in_channels, out_channels, time_channels, dropout, n_groups)
        self.attn = AttentionBlock(out_channels, n_heads, n_groups) if has_attn else nn.Identity()

    def forward(self, x, t):
        return self.attn(self.res(x, t))


class UpBlock(DownBlock):
    """Its in_channels count those of the skip connection, too."""


class MiddleBlock(nn.Module):
    def __init__(self, n_channels, time_channels, n_heads, dropout, n_groups):
        super().__init__()
        self.res1 = ResidualBlock(n_channels, n_channels, time_channels, dropout, n_groups)
        self.attn = AttentionBlock(n_channels, n_heads, n_groups)
        self.res2 = ResidualBlock(n_channels, n_channels, time_channels, dropout, n_groups)

    def forward(self, x, t):
        return self.res2(self.attn(self.res1(x, t)), t)


class Downsample(nn.Module):
    def __init__(self, n_channels):
        super().__init__()
        self.conv = nn.Conv2d(n_channels, n_channels, (3, 3), (2, 2), (1, 1))

    def forward(self, x, t):
        return self.conv(x)


class Upsample(nn.Module):
    def __init__(self, n_channels):
        super().__init__()
        self.conv = nn.ConvTranspose2d(n_channels, n_channels, (4, 4), (2, 2), (1, 1))

    def forward(self, x, t):
        return self.conv(x)


class NearestUpsample(nn.Module):
    def __init__(self, n_channels):
        super().__init__()
        self.conv = nn.Conv2d(n_channels, n_channels, 3, padding=1)

    def forward(self, x, t):
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class UNet(nn.Module):
    """The arguments are those of minidiff.models.UNet; image_size and rng say nothing here and are taken for its sake."""

    def __init__(
        self, image_channels=1, n_channels=32, ch_mults=(1, 2, 2), is_attn=(False, False, True), n_blocks=1, *, cumulative=False, n_heads=4,
        dropout=0.0, upsample="transposed", n_groups=None, image_size=None, rng=None,
    ):  # fmt: skip
        super().__init__()
        time_channels = 4 * n_channels
        block = {"time_channels": time_channels, "n_heads": n_heads, "dropout": dropout, "n_groups": n_groups}
        n_resolutions = len(ch_mults)
        widths, width = [], n_channels
        for mult in ch_mults:
            width = width * mult if cumulative else n_channels * mult
            widths.append(width)

        self.image_proj = nn.Conv2d(image_channels, n_channels, 3, padding=1)
        self.time_emb = TimeEmbedding(time_channels)

        self.down = nn.ModuleList()
        skips, channels = [n_channels], n_channels
        for i, width in enumerate(widths):
            for _ in range(n_blocks):
                self.down.append(DownBlock(channels, width, has_attn=is_attn[i], **block))
                channels = width
                skips.append(channels)
            if i < n_resolutions - 1:
                self.down.append(Downsample(channels))
                skips.append(channels)

        self.middle = MiddleBlock(channels, **block)

        self.up = nn.ModuleList()
        for i in reversed(range(n_resolutions)):
            for k in range(n_blocks + 1):
                skip = skips.pop()
                width = widths[i] if k < n_blocks else skip
                self.up.append(UpBlock(channels + skip, width, has_attn=is_attn[i], **block))
                channels = width
            if i > 0:
                self.up.append(Upsample(channels) if upsample == "transposed" else NearestUpsample(channels))

        self.norm = nn.GroupNorm(groups_for(n_channels, n_groups), n_channels)
        self.final = nn.Conv2d(channels, image_channels, 3, padding=1)

    def forward(self, x, t):
        t = self.time_emb(t)
        x = self.image_proj(x)
        h = [x]
        for m in self.down:
            x = m(x, t)
            h.append(x)
        x = self.middle(x, t)
        for m in self.up:
            if not isinstance(m, (Upsample, NearestUpsample)):
                x = torch.cat((x, h.pop()), dim=1)
            x = m(x, t)
        return self.final(F.silu(self.norm(x)))
