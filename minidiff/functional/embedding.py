"""Lookup in a table of vectors."""

from __future__ import annotations

from minidiff.engine.add_at import add_at
from minidiff.engine.backend import array_module
from minidiff.engine.operation import operation
from minidiff.functional.checks import check_index_range, poisoned


@operation
def embedding(indices, weight):
    """weight[indices]: the row of the table for each index.    indices: ints in 0..K-1, weight: (K, D) -> indices.shape + (D,).

    Raises TypeError for indices that are no ints, IndexError for one outside 0..K-1.
    """
    xp = array_module(indices, weight)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"embedding: indices must be ints, got {indices.dtype}")
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight must be (K, D), got shape {weight.shape}")
    nan_or_0 = check_index_range("embedding", indices, len(weight), lowest=0)

    def embedding_backward(dy):
        """A row that was looked up n times collects n gradients."""
        dweight = xp.zeros_like(weight)
        add_at(dweight, indices, dy)
        return None, dweight

    return poisoned(weight[indices], nan_or_0), embedding_backward
