"""The formulas of the slides that live in the layers.

They are registered here, so that the layers need not know the slides.
"""

from __future__ import annotations

from minidiff import functional as F
from minidiff.diffusion.equation import equation
from minidiff.models.unet_blocks import TimeEmbedding
from minidiff.nn.attention import MultiHeadAttention

equation("unet.swish", "Ramachandran et al. 1710.05941")(F.swish.reference)
equation("unet.group_norm", "Wu & He 1803.08494 eq. 1-7", errata=(35, 38))(
    F.group_norm.reference
)
equation("unet.time_embedding", "Vaswani et al. sec. 3.5, in the slides' order", errata=36)(
    TimeEmbedding.forward
)
equation("ldm.projections", "LDM sec. 3.3", errata=(48, 49))(MultiHeadAttention.projections)
equation("ldm.attention", "LDM sec. 3.3; Vaswani et al. eq. 1", errata=(34, 49))(
    F.attention.reference
)
