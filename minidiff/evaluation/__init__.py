"""Measures of how good samples and models are."""

from minidiff.evaluation.judgement import (
    Credentials,
    Judgement,
    credentials,
    find_classifier,
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

__all__ = [
    "Credentials", "Judgement", "SampleQuality", "accuracy_per_t", "agreement",
    "bits_per_dimension", "credentials", "find_classifier", "frechet_distance", "judge",
    "load_classifier", "loss_per_t", "sample_quality",
]  # fmt: skip
