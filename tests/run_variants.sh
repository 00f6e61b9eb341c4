#!/usr/bin/env bash
# Runs the tests of the operations with other kernels than this processor's best: the variants of csrc/cpu for AVX2 and for any
# processor, then no compiled kernels at all, in a copy of the package as MINIDIFF_KERNELS="" installs it.
#
#     PYTHON=.venv/bin/python tests/run_variants.sh [pytest options]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
tests=(tests/kernels/test_every_entry.py tests/kernels/test_native.py tests/kernels/test_training_step.py)

known=$("$python" -c 'from minidiff.kernels.cpu import native; module, _ = native.load(); print(*(module.variants() if module else ()))')
for variant in avx2 plain; do
    if [[ " $known " != *" $variant "* ]]; then
        echo "+ MINIDIFF_CPU_VARIANT=$variant: this processor or this build has none"
        continue
    fi
    echo "+ MINIDIFF_CPU_VARIANT=$variant"
    MINIDIFF_CPU_VARIANT=$variant "$python" -m pytest -q -p no:cacheprovider "${tests[@]}" "$@"
done

echo '+ MINIDIFF_KERNELS=""'
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
MINIDIFF_KERNELS="" "$python" setup.py -q build --build-base "$folder/work" --build-lib "$folder/library"
built=$(find "$folder/library" -name '_kernels_*')
[ -z "$built" ] || { echo "kernels were built: $built"; exit 1; }
PYTHONPATH=$folder/library "$python" -P -m pytest -q -p no:cacheprovider "${tests[@]}" "$@"
