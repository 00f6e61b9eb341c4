#!/usr/bin/env bash
# Runs the tests of csrc/cpu with AddressSanitizer and UndefinedBehaviorSanitizer: any report ends with an error.
#
#     PYTHON=.venv/bin/python tests/run_sanitizers.sh [pytest options]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

CXX="g++ -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" MINIDIFF_KERNELS=native \
    "$python" setup.py -q build --build-base "$folder/work" --build-lib "$folder/library"

export PYTHONPATH=$folder/library PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)" \
    "$python" -P -m pytest -q -p no:cacheprovider tests/kernels/test_native.py "$@"
