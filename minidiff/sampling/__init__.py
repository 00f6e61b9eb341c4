"""From a trained model to samples: checkpoints, predictors, text and other conditions."""

from minidiff.sampling.classifier_guidance import class_gradient, load_noisy_classifier
from minidiff.sampling.concat_conditions import class_planes, masked_image, random_masks, stroke_map
from minidiff.sampling.denoiser import Denoiser, load_denoiser
from minidiff.sampling.latents import (
    HELD_OUT,
    Reconstruction,
    TrainedAutoencoder,
    encode_images,
    keep_autoencoder,
    load_autoencoder,
    reconstruct,
    scale_of,
)  # fmt: skip
from minidiff.sampling.predictor import (
    eps_predictor,
    evaluating,
    guided_predictor,
    predictor,
)  # fmt: skip
from minidiff.sampling.solvers import SAMPLERS, SPACINGS, SamplerSettings, sample, sampler_steps
from minidiff.sampling.text_to_image import TextToImage, guided_by_text, load_text_to_image

__all__ = [
    "HELD_OUT", "SAMPLERS", "SPACINGS", "Denoiser", "Reconstruction", "SamplerSettings",
    "TextToImage", "TrainedAutoencoder",
    "class_gradient", "class_planes", "encode_images", "eps_predictor", "evaluating",
    "guided_by_text", "guided_predictor", "keep_autoencoder", "load_autoencoder", "load_denoiser",
    "load_noisy_classifier", "load_text_to_image", "masked_image", "predictor",
    "random_masks", "reconstruct", "sample", "sampler_steps", "scale_of", "stroke_map",
]  # fmt: skip
