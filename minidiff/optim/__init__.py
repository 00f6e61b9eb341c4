"""Optimisers, gradient clipping and learning-rate schedules."""

from minidiff.optim.adam import Adam, AdamW
from minidiff.optim.clipping import clip_grad_norm_, clip_gradients
from minidiff.optim.learning_rate import cosine_decay, warmup
from minidiff.optim.muon import Muon
from minidiff.optim.optimizer import SGD, Optimizer

__all__ = [
    "SGD", "Adam", "AdamW", "Muon", "Optimizer", "clip_grad_norm_", "clip_gradients",
    "cosine_decay", "warmup",
]  # fmt: skip
