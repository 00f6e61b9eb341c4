"""Training: the loop and its trainers, the moving average, checkpoints, parallel processes."""

from minidiff.training.autoencoder_trainer import AutoencoderTrainer
from minidiff.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    make_folder,
    save_checkpoint,
)  # fmt: skip
from minidiff.training.classification import (
    ClassifierSettings,
    ClassifierTrainer,
    classifier_steps,
    save_classifier,
)
from minidiff.training.divergence import DivergenceError, check_loss
from minidiff.training.ema import EMA
from minidiff.training.loop import LoopSettings, TrainingLoop
from minidiff.training.noisy_classification import (
    NoisyClassifierTrainer,
    noisy_classifier_steps,
    save_noisy_classifier,
)
from minidiff.training.run import RunSettings, run
from minidiff.training.shipped import run_or_shipped, shipped_run
from minidiff.training.text_condition import with_captions
from minidiff.training.trainer import Trainer, TrainerSettings
from minidiff.training.workers import Workers

__all__ = [
    "EMA", "AutoencoderTrainer", "CheckpointError", "ClassifierSettings", "ClassifierTrainer",
    "DivergenceError", "LoopSettings", "NoisyClassifierTrainer", "RunSettings", "Trainer",
    "TrainerSettings", "TrainingLoop", "Workers", "check_loss", "classifier_steps",
    "load_checkpoint", "make_folder", "noisy_classifier_steps", "run", "save_checkpoint",
    "run_or_shipped", "save_classifier", "save_noisy_classifier", "shipped_run", "with_captions",
]  # fmt: skip
