#!/bin/sh
# captures.sh BUILD_DIR: what docs/inspect.md shows of the tool can be captured anew: every screen shows what it is
# to show, the page around them stays as it is, and the page in docs/ has them all.
set -u

build=${1:?usage: captures.sh BUILD_DIR}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if grep -q '^BROOD_SANITIZE:[A-Z]*=.' "$build/CMakeCache.txt"; then
    echo "the page shows programs without a sanitizer"
    exit 77
fi
if ! command -v python3 >/dev/null || [ ! -x "$build/inspect/brood" ]; then
    echo "the tool, or python3, which makes the terminal for it, is not there"
    exit 77
fi
if ! grep -q '^CURSES_CURSES_LIBRARY:FILEPATH=/' "$build/CMakeCache.txt"; then
    echo "the tool fills no screen: ncurses' headers are not installed"
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

# The page without its screens; it is an error if one of them is not there.
text()
{
    awk '
        /^<!-- capture / { inside = 1; lines = 0 }
        inside { lines++ }
        !inside { print }
        /^<!-- end -->/ { inside = 0; if (lines < 5) { print "an empty screen"; exit 1 } }
    ' "$1"
}

text_stays()
{
    text "$root/docs/inspect.md" >"$scratch/before" && text "$scratch/inspect.md" >"$scratch/after" &&
        diff "$scratch/before" "$scratch/after"
}

screens_are_drawn()
{
    python3 -c 'import sys, xml.dom.minidom
for path in sys.argv[1:]:
    texts = xml.dom.minidom.parse(path).getElementsByTagName("text")
    sys.exit(f"{path}: {len(texts)} lines") if len(texts) < 5 else None
' "$scratch/inspect_top.svg" "$scratch/inspect_doctor.svg" "$root/docs/inspect_top.svg" "$root/docs/inspect_doctor.svg"
}

cp "$root/docs/inspect.md" "$scratch"
holds captured python3 "$root/docs/captures.py" "$build" "$scratch/inspect.md"
holds text_stays text_stays
holds screens_are_drawn screens_are_drawn

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
