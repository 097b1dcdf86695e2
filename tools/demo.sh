#!/bin/sh
# demo.sh [--help]: builds brood, runs its examples, and hashes this machine's headers and compiler with all
# processors, to compare the result with sha256sum's. Installs what is missing for that, and says so first.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
build=$root/build-user

usage()
{
    cat <<'END'
usage: sh tools/demo.sh [--help]

Builds brood in build-user, runs its examples, and hashes this machine's headers and compiler with all processors, to
compare the result with sha256sum's. Installs what is missing for that (Debian), and says so first.
END
}

case "$#:${1:-}" in
    0:) ;;
    1:--help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
esac

sh "$root/tools/install.sh" demo

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

echo "Building in $build"
if ! { cmake -S "$root" --preset user && cmake --build "$build" --target examples; } >"$scratch/log" 2>&1; then
    cat "$scratch/log"
    echo "the build failed"
    exit 1
fi

for name in locks shared_memory shared_dict shared_list namespace queue pipe loop pool pool_async pool_loop context \
    counter list tree; do
    printf '\nexamples/%s.c\n' "$name"
    "$build/examples/$name"
done

trees=''
for tree in /usr/include /usr/lib/gcc; do
    if [ -d "$tree" ]; then
        trees="$trees $tree"
    fi
done
# shellcheck disable=SC2086 # a list of directories
set -- $trees
printf '\nexamples/hashtree: SHA-256 of every file in %s\n' "$*"

now()
{
    date +%s.%N
}

seconds()
{
    awk -v from="$1" -v to="$2" 'BEGIN { printf "%.2f", to - from }'
}

# Read once before the clock runs, so that both find the files in memory.
find "$@" -type f -exec cat {} + >/dev/null
start=$(now)
find "$@" -type f -exec sha256sum {} + >"$scratch/theirs"
middle=$(now)
"$build/examples/hashtree" "$@" >"$scratch/ours"
end=$(now)

for lines in ours theirs; do
    LC_ALL=C sort "$scratch/$lines" >"$scratch/$lines.sorted"
done
count=$(wc -l <"$scratch/ours")
echo "$count files"
echo "  sha256sum, one process, its own SHA-256:    $(seconds "$start" "$middle") s"
echo "  hashtree, all processors, OpenSSL's SHA-256: $(seconds "$middle" "$end") s"
if ! cmp "$scratch/ours.sorted" "$scratch/theirs.sorted"; then
    echo "different"
    exit 1
fi
echo "equal"
