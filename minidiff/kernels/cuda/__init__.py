"""The operations by the CUDA kernels of csrc/: on a GPU, or emulated on a CPU."""
