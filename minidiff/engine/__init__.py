"""The engine: tensors, operations with their derivatives, the tape, and the arrays and random numbers under them."""
