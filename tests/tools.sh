#!/bin/sh
# tools.sh BUILD_DIR: the tools look at their arguments before they install or build anything, and the texts name no
# tool and no option that there is not.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0

# What they would install and build with: it leaves a mark.
mkdir "$scratch/bin"
for name in apt-get sudo cmake; do
    printf '#!/bin/sh\n>"%s/began"\nexit 1\n' "$scratch" >"$scratch/bin/$name"
    chmod +x "$scratch/bin/$name"
done
PATH=$scratch/bin:$PATH

# answers STATUS TOOL ARGUMENT...: it ends with that, its usage on standard output (0) or error (2), and nothing more.
answers()
{
    wanted=$1
    shift
    tool=$1
    case "$wanted" in
        0) said=$scratch/out silent=$scratch/err ;;
        *) said=$scratch/err silent=$scratch/out ;;
    esac
    shift
    rm -f "$scratch/began"
    sh "$root/tools/$tool" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    if [ "$status" -eq "$wanted" ] && head -n 1 "$said" | grep -q "^usage: sh tools/$tool" && [ ! -s "$silent" ] &&
        [ ! -e "$scratch/began" ]; then
        echo "ok $tool $*"
        passed=$((passed + 1))
    else
        echo "FAILED $tool $*: status $status"
        head -n 5 "$scratch/out" "$scratch/err"
        failed=$((failed + 1))
    fi
}

for tool in install.sh demo.sh check.sh bench.sh ports.sh; do
    answers 0 "$tool" --help
    answers 2 "$tool" --bogus
    answers 2 "$tool" bogus
done
answers 2 install.sh
answers 2 install.sh demo bogus
answers 2 demo.sh --help bogus
answers 2 bench.sh --svg
answers 2 ports.sh i386 bogus
answers 2 ports.sh i386 --help
answers 2 bench.sh alloc_free --svg
answers 2 bench.sh alloc_free bogus
answers 0 bench.sh --quick alloc_free --svg --json --help

# knows TOOL WORD...: it is there, and its usage has each word that begins with a dash, and each name of a port.
knows()
{
    tool=$1
    shift
    sh "$root/tools/$tool" --help >"$scratch/out" 2>&1 || return 1
    for word in "$@"; do
        case "$word" in
            --* | i386 | musl | aarch64) grep -qwe "$word" "$scratch/out" || return 1 ;;
        esac
    done
}

cat "$root"/*.md "$root"/docs/*.md | grep -o 'sh tools/[a-z]*\.sh[^`#>|:;,.)]*' |
    sed 's,^sh tools/,,; s/ *$//' | sort -u >"$scratch/named"
while read -r line; do
    # shellcheck disable=SC2086 # a tool and its words
    if knows $line; then
        echo "ok texts name $line"
        passed=$((passed + 1))
    else
        echo "FAILED texts name $line"
        failed=$((failed + 1))
    fi
done <"$scratch/named"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
