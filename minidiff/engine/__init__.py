"""The engine: tensors, operations with their derivatives, the tape, arrays, random numbers."""
