"""The index of the deck: each slide's title, its formulas, and the equations that run them."""

from __future__ import annotations

from minidiff.classroom.tables.slides_forward import SLIDES_FORWARD
from minidiff.classroom.tables.slides_loss import SLIDES_LOSS
from minidiff.classroom.tables.slides_networks import SLIDES_NETWORKS
from minidiff.classroom.tables.slides_reverse import SLIDES_REVERSE
from minidiff.classroom.tables.slides_sampling import SLIDES_SAMPLING

SLIDES = (
    *SLIDES_FORWARD,
    *SLIDES_REVERSE,
    *SLIDES_LOSS,
    *SLIDES_SAMPLING,
    *SLIDES_NETWORKS,
)
