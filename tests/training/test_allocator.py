"""Page faults are counted in processes of their own: what is kept here would change the other tests' memory."""

import os
import platform
import subprocess
import sys

import pytest

from minidiff.training.allocator import keep_freed_memory

SCRIPT = """
import resource, sys
import numpy as np
from minidiff.training.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()

def step():
    return [np.ones((32, 32, 14, 14), np.float32) for _ in range(20)]  # 0.8 MB each

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library isn't glibc")
def test_the_next_step_gets_the_memory_of_the_last_one_without_page_faults():
    def page_faults(how):
        result = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, env=os.environ, timeout=60)
        assert result.returncode == 0, result.stderr
        return int(result.stdout)

    kept, returned = page_faults("keep"), page_faults("return")
    assert kept < 100 and 5 * kept < returned  # 40,000 of 4 KB, or a few of 2 MB where the kernel hands out huge pages


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert keep_freed_memory() is False
