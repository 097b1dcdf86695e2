#!/bin/sh
# interop.sh BUILD_DIR: brood's connections and those of Python's multiprocessing.connection, each way round, by the
# system's python3 and those that BROOD_PYTHONS names (paths, separated by blanks).
set -u

build=${1:?usage: interop.sh BUILD_DIR}
folder=$(CDPATH='' cd -- "$(dirname -- "$0")/interop" && pwd)
if [ ! -e "$build/libbrood_openssl.so" ]; then
    echo "libbrood_openssl is not built"
    exit 77
fi
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3)
if ! "${python:-false}" -c 'import multiprocessing.connection' 2>/dev/null; then
    echo "there is no python3 here"
    exit 77
fi
passed=0
failed=0
for python in "$python" ${BROOD_PYTHONS:-}; do
    output=$("$python" "$folder/peer.py" "$build/tests/interop/peer" 2>&1)
    printf '%s: %s\n' "$("$python" --version)" "$output"
    sums=$(echo "$output" | sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
    sums=${sums:-0 1}
    passed=$((passed + ${sums% *}))
    failed=$((failed + ${sums#* }))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
