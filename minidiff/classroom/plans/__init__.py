"""Plans for 90 minutes, one for each part of the lecture, as data.

The teacher's guide on the site and `python -m minidiff rehearse` are made from them, so the two
can't differ.
"""

from __future__ import annotations

from minidiff.classroom.plans.ddim import DDIM
from minidiff.classroom.plans.forward import FORWARD
from minidiff.classroom.plans.kernels import KERNELS
from minidiff.classroom.plans.latent import LATENT
from minidiff.classroom.plans.plan import Plan, Stage
from minidiff.classroom.plans.reverse import REVERSE
from minidiff.classroom.plans.unet import UNET

PLANS: dict[str, Plan] = {
    plan.name: plan for plan in (FORWARD, REVERSE, DDIM, UNET, LATENT, KERNELS)
}

__all__ = ["PLANS", "Plan", "Stage"]
