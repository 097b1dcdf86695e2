#!/bin/sh
# Runs the speed lab of a build; tools/bench.sh builds it first. Its arguments are the lab's own: see --help.
# BROOD_BUILD names the build's folder; unset: build, beside this one.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
lab=${BROOD_BUILD:-$root/build}/bench/speedlab
if [ ! -x "$lab" ]; then
    echo "bench/run.sh: $lab is not built" >&2
    exit 1
fi
exec "$lab" "$@"
