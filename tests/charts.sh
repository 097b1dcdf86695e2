#!/bin/sh
# charts.sh BUILD_DIR: the charts in docs/ are those of README's figures, each of which is in one or has no place there;
# and they can be drawn from what the speed lab prints.
set -u

build=${1:?usage: charts.sh BUILD_DIR}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if ! command -v python3 >/dev/null; then
    echo "charts are drawn by python3, which is not installed"
    exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0

# holds NAME COMMAND...: the command succeeds, and what it says is shown if not.
holds()
{
    name=$1
    shift
    if "$@" >"$scratch/log" 2>&1; then
        echo "ok $name"
        passed=$((passed + 1))
    else
        echo "FAILED $name"
        cat "$scratch/log"
        failed=$((failed + 1))
    fi
}

# README has not changed since, or they were drawn anew: python3 docs/charts.py
charts_are_readmes()
{
    python3 "$root/docs/charts.py" --out "$scratch" || return 1
    for chart in "$scratch"/speed_*.svg "$root"/docs/speed_*.svg; do
        cmp "$root/docs/$(basename "$chart")" "$scratch/$(basename "$chart")" || return 1
    done
    diff "$root/docs/speed.md" "$scratch/speed.md"
}

# All but those of memory.
each_figure_is_drawn()
{
    # shellcheck disable=SC2016 # Markdown's own
    sed -n 's/^| `\([a-z0-9_]*\)` |.*/\1/p' "$root/README.md" >"$scratch/figures"
    [ "$(wc -l <"$scratch/figures")" -gt 40 ] || return 1
    # shellcheck disable=SC2016
    grep '^| `[a-z0-9_]*` |.*| KiB |' "$root/README.md" | sed 's/^| `\([a-z0-9_]*\)`.*/\1/' >"$scratch/memory"
    grep -vxFf "$scratch/memory" "$scratch/figures" | while read -r figure; do
        grep -qF ">$figure<" "$scratch"/speed_*.svg || echo "$figure"
    done >"$scratch/lost"
    cat "$scratch/lost"
    [ ! -s "$scratch/lost" ]
}

page_has_each_chart()
{
    for chart in "$root"/docs/speed_*.svg; do
        grep -qF "]($(basename "$chart"))" "$root/docs/speed.md" || {
            basename "$chart"
            return 1
        }
    done
}

pictures_are_whole()
{
    python3 -c 'import sys, xml.dom.minidom
for path in sys.argv[1:]:
    if not xml.dom.minidom.parse(path).getElementsByTagName("rect"):
        sys.exit(path)
' "$scratch"/speed_*.svg
}

# What the lab prints, and what a whole grid would be: two lines of it.
runs_are_drawn()
{
    mkdir "$scratch/run"
    cp "$root/docs/speed.md" "$scratch/run"
    "$build/bench/speedlab" --quick --json value_add >"$scratch/run.json" || return 1
    sed 's/^/{"name": "queue_grid", "unit": "msg\/s", /' >"$scratch/grid.json" <<'END'
"bytes": 64, "putters": 1, "getters": 1, "brood": 1000000, "mq": 50000, "unix": 900000}
"bytes": 65536, "putters": 8, "getters": 8, "brood": 1000, "boost": 5}
END
    [ "$(python3 "$root/docs/charts.py" --out "$scratch/run" "$scratch/run.json" - <"$scratch/grid.json")" = \
        'speed_memory.svg speed_grid.svg' ] || return 1
    grep -qF '>value_add<' "$scratch/run/speed_memory.svg" &&
        grep -qF '>64 KiB, 8 put, 8 get<' "$scratch/run/speed_grid.svg"
}

misuse()
{
    ! python3 "$root/docs/charts.py" --out "$scratch" /dev/null && ! python3 "$root/docs/charts.py" --colour
}

cp "$root/docs/speed.md" "$scratch"
holds charts_are_readmes charts_are_readmes
holds each_figure_is_drawn each_figure_is_drawn
holds page_has_each_chart page_has_each_chart
holds pictures_are_whole pictures_are_whole
if [ -x "$build/bench/speedlab" ]; then
    holds runs_are_drawn runs_are_drawn
fi
holds misuse misuse

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
