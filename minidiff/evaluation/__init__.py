"""Measures of how good samples and models are."""

from minidiff.evaluation.judgement import (
    Credentials,
    Judgement,
    credentials,
    find_classifier,
    fitting_classifier,
    judge,
    load_classifier,
)
from minidiff.evaluation.metrics import (
    SampleQuality,
    accuracy_per_t,
    agreement,
    bits_per_dimension,
    frechet_distance,
    loss_per_t,
    sample_quality,
)  # fmt: skip
from minidiff.evaluation.preview import PreviewJudge, held_out_loss, preview_judge

__all__ = [
    "Credentials", "Judgement", "PreviewJudge", "SampleQuality", "accuracy_per_t", "agreement",
    "bits_per_dimension", "credentials", "find_classifier", "fitting_classifier",
    "frechet_distance", "held_out_loss", "judge", "load_classifier", "loss_per_t",
    "preview_judge", "sample_quality",
]  # fmt: skip
