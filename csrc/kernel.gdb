# gdb settings for stepping through emulated kernels:   gdb -x csrc/kernel.gdb --args python small.py
# The kernels' module is loaded later, when Python imports it.
set breakpoint pending on
set pagination off
# `step` at a __syncthreads() shall land on the next line of the same thread, not in the emulator.
skip -gfi */cuda_cpu*
