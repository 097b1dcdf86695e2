#!/bin/sh
# bench.sh [ARGUMENT...]: builds brood and the peers this machine has, then runs the speed lab, whose own the arguments
# are. Installs what is missing, and says so first; only the figures go to standard output.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

figures()
{
    sed -n 's/^ *\.name = "\([a-z0-9_]*\)",$/\1/p' "$root/bench/figure.c"
}

usage()
{
    cat <<'END'
usage: sh tools/bench.sh [--json] [--quick] [--svg FILE] [FIGURE...]
       sh tools/bench.sh --fair SECONDS
       sh tools/bench.sh --grid [--json] [--quick]
       sh tools/bench.sh --scale [--json] [--quick]

Builds brood in build and measures it beside the machine's limit for the same work and the peers that are installed.
Installs what is missing for that (Debian), and says so first.

  --json       one line of JSON a figure, instead of a table
  --quick      1 round instead of 9: about a minute on an idle machine, and rougher
  --svg FILE   draws the figures as bars, too
  --fair N     no figures, but how evenly 8 processes share a lock, N seconds for each way of sharing it
  --grid       no figures, but the rates of queues by putters, getters and bytes, some minutes
  --scale      no figures, but what 1, 2, 4, ... processes do together with one lock, queue, pool, ...
  --help       this

Figures (all of them, if none is named):
END
    figures | sed 's/^/  /'
}

# Looked at before anything is installed or built for them.
wants=''
for argument in "$@"; do
    if [ -n "$wants" ]; then
        wants=''
        continue
    fi
    case "$argument" in
        --help)
            usage
            exit 0
            ;;
        --json | --quick | --grid | --scale) ;;
        --svg | --fair) wants=value ;;
        *)
            if ! figures | grep -qxF -- "$argument"; then
                usage >&2
                exit 2
            fi
            ;;
    esac
done
if [ -n "$wants" ]; then
    usage >&2
    exit 2
fi

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
