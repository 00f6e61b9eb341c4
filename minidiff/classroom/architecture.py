"""The deck's formulas that live in the layers: registered here, so that the layers need not know the deck."""

from __future__ import annotations

from minidiff import functional as F
from minidiff.diffusion.equation import equation
from minidiff.models.unet_blocks import TimeEmbedding

SLIDE = "Diffusion Model Architecture"

equation(
    "unet.swish",
    slide=SLIDE,
    paper="Ramachandran et al. 1710.05941",
    latex=r"\mathrm{Swish}(x) = x \cdot \mathrm{sigmoid}(x)",
)(F.swish.reference)

equation(
    "unet.group_norm",
    slide=SLIDE,
    paper="Wu & He 1803.08494 eq. 1-7",
    latex=r"\hat{x} = \frac{x-\mu_g}{\sqrt{\sigma_g^2+\epsilon}}, \quad y = \gamma\hat{x} + \beta",
    errata=(35, 38),
)(F.group_norm.reference)

equation(
    "unet.time_embedding",
    slide=SLIDE,
    paper="Vaswani et al. sec. 3.5, in the deck's order",
    latex=r"PE_{t,i}^{(1)} = \sin\Big(\frac{t}{10000^{i/(d-1)}}\Big) \quad PE_{t,i}^{(2)} = \cos\Big(\frac{t}{10000^{i/(d-1)}}\Big)",
    errata=(36,),
)(TimeEmbedding.forward)

equation(
    "ldm.attention",
    slide="LDM Training (Phase 2)",
    paper="LDM sec. 3.3; Vaswani et al. eq. 1",
    latex=r"\mathrm{Attention}(Q,K,V) = \mathrm{softmax}\Big(\frac{QK^T}{\sqrt{d}}\Big)V",
    errata=(34, 49),
)(F.attention.reference)
