#!/bin/sh
# documents.sh BUILD_DIR: the programs in docs/*.md do what stands there. Each block of C with a main is compiled
# without a warning and run; so is each block of C++, where there are its compiler and Boost, and of Python, where there
# is a python3. They print the next block of text, and end with 0. Each block of sh is run where build, docs, examples
# and tools lie, and ends with 0. Links lead to files that are there, and to headings that they have.
set -u

build=${1:?usage: documents.sh BUILD_DIR}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if grep -q '^BROOD_SANITIZE:[A-Z]*=.' "$build/CMakeCache.txt"; then
    echo "the programs are compiled without a sanitizer"
    exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
passed=0
failed=0

# Writes NAME-1.c, NAME-2.c, ...: the programs, and NAME-1.text, ...: what they print.
extract()
{
    awk -v name="$scratch/$(basename "$1" .md)" '
        /^```(c|cpp|python)$/ { kind = substr($0, 4); code = ""; inside = 1; next }
        /^```sh$/ { kind = "sh"; code = ""; inside = 1; next }
        /^```text$/ { kind = "text"; code = ""; inside = 1; next }
        /^```$/ && inside {
            inside = 0
            if (kind == "c" && code !~ /int main\(/) next
            if (kind == "text") {
                for (i in waiting) printf "%s", code >(name "-" waiting[i] ".text")
                split("", waiting)
                next
            }
            printf "%s", code >(name "-" (++count) "." (kind == "python" ? "py" : kind))
            if (kind != "sh") waiting[count] = count
            next
        }
        inside { code = code $0 "\n" }
    ' "$1"
}

# program FILE COMMAND...: it prints what the text beside the file says, nothing on standard error, and ends with 0.
program()
{
    name=$(basename "$1")
    expected=${1%.*}.text
    shift
    if [ -e "$expected" ] && timeout 60 "$@" >"$scratch/out" 2>"$scratch/err" && diff "$expected" "$scratch/out" &&
        [ ! -s "$scratch/err" ]; then
        echo "ok $name"
        passed=$((passed + 1))
    else
        echo "FAILED $name"
        cat "$scratch/err"
        failed=$((failed + 1))
    fi
}

# commands FILE: they end well.
commands()
{
    if (cd "$scratch/root" && timeout 120 sh -e "$1") >"$scratch/out" 2>&1; then
        echo "ok $(basename "$1")"
        passed=$((passed + 1))
    else
        echo "FAILED $(basename "$1")"
        cat "$1" "$scratch/out"
        failed=$((failed + 1))
    fi
}

# headings FILE: as links name them.
headings()
{
    sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9 \n_-' | tr ' ' '-'
}

# links FILE: each that is not to the web.
links()
{
    lost=''
    grep -o ']([^) ]*)' "$1" | sed 's/^](//; s/)$//' | grep -v '^https*:' >"$scratch/links"
    while read -r link; do
        path=${link%%#*}
        target=$1
        [ -z "$path" ] || target=$(dirname "$1")/$path
        if [ ! -e "$target" ] || { [ "$link" != "$path" ] && ! headings "$target" | grep -qxF -- "${link#*#}"; }; then
            lost="$lost $link"
        fi
    done <"$scratch/links"
    if [ -z "$lost" ]; then
        echo "ok links of $(basename "$1")"
        passed=$((passed + 1))
    else
        echo "FAILED links of $(basename "$1"):$lost"
        failed=$((failed + 1))
    fi
}

for document in "$root"/docs/*.md; do
    extract "$document"
done
for source in "$scratch"/*.c; do
    "$compiler" -std=c11 -Wall -Wextra -Wpedantic -Werror -D_GNU_SOURCE "$source" -o "${source%.c}" \
        -I "$root/include" "$build/libbrood.a" -pthread >"$scratch/compiler" 2>&1 || cat "$scratch/compiler"
    program "$source" "${source%.c}"
done
cxx=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
if [ -n "$cxx" ] && echo '#include <boost/interprocess/offset_ptr.hpp>' | "$cxx" -E -x c++ - >/dev/null 2>&1; then
    for source in "$scratch"/*.cpp; do
        "$cxx" -std=c++17 -Wall -Wextra "$source" -o "${source%.cpp}" -pthread >"$scratch/compiler" 2>&1 ||
            cat "$scratch/compiler"
        program "$source" "${source%.cpp}"
    done
fi
if command -v python3 >/dev/null; then
    for source in "$scratch"/*.py; do
        program "$source" python3 "$source"
    done
fi

mkdir "$scratch/root"
ln -s "$(cd "$build" && pwd)" "$scratch/root/build"
for folder in bench docs examples include tests tools; do
    ln -s "$root/$folder" "$scratch/root/$folder"
done
for source in "$scratch"/*.sh; do
    [ -e "$source" ] || continue
    if grep -q python3 "$source" && ! command -v python3 >/dev/null; then
        continue
    fi
    commands "$source"
done
for document in "$root"/*.md "$root"/docs/*.md; do
    links "$document"
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
