#!/bin/sh
# bench.sh [ARGUMENT...]: builds brood and the peers this machine has, then runs the speed lab; --help lists its
# arguments. Installs what is missing, and says so first; only the figures go to standard output.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

sh "$root/tools/install.sh" bench

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' HUP INT TERM
if ! { cmake -S "$root" --preset release -U 'BROOD_BENCH_HAS_*' && cmake --build "$root/build" --target bench/all; } \
    >"$log" 2>&1; then
    cat "$log" >&2
    echo "the build failed" >&2
    exit 1
fi
sh "$root/bench/run.sh" "$@"
