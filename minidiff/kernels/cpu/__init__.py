"""Convolution by NumPy, as fast as it gets: products of matrices, Winograd, and memory that is used again."""
