"""Lookup in a table of vectors."""

from __future__ import annotations

from minidiff.engine.add_at import add_at
from minidiff.engine.backend import array_module
from minidiff.engine.checks import check_index_range, poisoned
from minidiff.engine.operation import operation
from minidiff.kernels import arguments


@operation(check=arguments.embedding)
def embedding(indices, weight):
    """y = weight[indices], the row of the table for each index

    indices: ints in 0..K-1, any shape; weight: (K, D) -> indices.shape + (D,).
    Raises: TypeError if indices are not ints; IndexError if one is outside 0..K-1."""
    xp = array_module(weight)
    nan_or_0 = check_index_range("embedding", indices, len(weight), lowest=0)
    y = poisoned(weight[indices], nan_or_0)

    def embedding_backward(dy):
        """A row that was looked up n times collects n gradients."""
        dweight = xp.zeros_like(weight)
        add_at(dweight, indices, dy)
        return None, dweight

    return y, embedding_backward
