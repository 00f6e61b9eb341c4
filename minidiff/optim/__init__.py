"""Optimisers, gradient clipping and learning-rate schedules."""

from minidiff.optim.clipping import clip_grad_norm_, clip_gradients
from minidiff.optim.learning_rate import cosine_decay, warmup
from minidiff.optim.optimizer import SGD, Adam, AdamW, Optimizer

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "clip_grad_norm_", "clip_gradients", "cosine_decay", "warmup"]
