#!/usr/bin/env bash
# Runs the tests of the operations with other kernels than this processor's best: the variants of csrc/cpu for AVX2 and for any
# processor, and no compiled kernels at all (a copy of the package as MINIDIFF_KERNELS="" installs it).
#
#     PYTHON=.venv/bin/python tests/run_variants.sh [pytest options]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
tests=(tests/kernels/test_every_entry.py tests/kernels/test_native.py tests/functional tests/kernels/test_training_step.py)

for variant in avx2 plain; do
    echo "+ MINIDIFF_CPU_VARIANT=$variant"
    MINIDIFF_CPU_VARIANT=$variant "$python" -m pytest -q -p no:cacheprovider "${tests[@]}" "$@"
done

echo '+ MINIDIFF_KERNELS=""'
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
MINIDIFF_KERNELS="" "$python" setup.py -q build --build-base "$folder/work" --build-lib "$folder/library"
found=$(find "$folder/library" -name '_kernels_*')
[ -z "$found" ] || { echo "kernels were built: $found"; exit 1; }
PYTHONPATH=$folder/library "$python" -P -m pytest -q -p no:cacheprovider "${tests[@]}" "$@"
