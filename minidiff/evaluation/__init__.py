"""Measures of how good samples and models are."""

from minidiff.evaluation.judgement import Judgement, judge, load_classifier
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
    "Judgement", "SampleQuality", "accuracy_per_t", "agreement", "bits_per_dimension",
    "frechet_distance", "judge", "load_classifier", "loss_per_t", "sample_quality",
]  # fmt: skip
