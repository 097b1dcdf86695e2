#!/bin/sh
# manual.sh BUILD_DIR: the reference is whole: each public function has its manual page, each header one too, and man
# finds nothing to say about how they are written.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if ! command -v python3 >/dev/null; then
    echo "the reference is made by python3, which is not installed"
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

functions()
{
    cat "$root"/include/brood/*.h | tr '\n' ' ' | sed 's/BROOD_API/\n&/g' |
        sed -n 's/^BROOD_API[^(]*\(brood_[a-z0-9_]*\)(.*/\1/p' | sort -u
}

# Nothing is missing, and nothing is there that is no function.
functions_have_pages()
{
    functions >"$scratch/functions"
    for page in "$scratch"/out/man/man3/*.3; do
        basename "$page" .3
    done | sort >"$scratch/pages"
    [ -s "$scratch/functions" ] && diff "$scratch/functions" "$scratch/pages"
}

# Each has a name, a synopsis and a description.
pages_are_whole()
{
    status=0
    for page in "$scratch"/out/man/man3/*.3; do
        for section in NAME SYNOPSIS DESCRIPTION; do
            grep -q "^.SH $section\$" "$page" || {
                echo "$(basename "$page"): no $section"
                status=1
            }
        done
        if grep -q 'see below$' "$page"; then
            echo "$(basename "$page"): its header does not say what it does"
            status=1
        fi
    done
    return "$status"
}

headers_have_pages()
{
    status=0
    for header in "$root"/include/brood/*.h; do
        noun=$(basename "$header" .h)
        for page in man/man7/brood_$noun.7 html/$noun.html; do
            [ -s "$scratch/out/$page" ] || {
                echo "no $page"
                status=1
            }
        done
    done
    return "$status"
}

# What man --warnings asks, of all pages at once.
man_is_silent()
{
    groff -man -ww -K utf8 -T utf8 -r LL=80n -z "$scratch"/out/man/*/* >"$scratch/said" 2>&1
    cat "$scratch/said"
    [ ! -s "$scratch/said" ]
}

mandoc_is_silent()
{
    mandoc -T lint -W error "$scratch"/out/man/*/*
}

# No link leads nowhere.
links_lead_somewhere()
{
    for page in "$scratch"/out/html/*.html; do
        grep -o 'href="[^"]*"' "$page" | sed 's/href="\(.*\)"/\1/'
    done | sort -u >"$scratch/links"
    for page in "$scratch"/out/html/*.html; do
        basename "$page"
        grep -o ' id="[^"]*"' "$page" | sed "s/ id=\"\(.*\)\"/$(basename "$page")#\1/"
    done | sort -u >"$scratch/places"
    comm -23 "$scratch/links" "$scratch/places" >"$scratch/lost"
    cat "$scratch/lost"
    [ -s "$scratch/links" ] && [ ! -s "$scratch/lost" ]
}

holds made python3 "$root/docs/reference.py" "$root" 0.0 "$scratch/out"
holds functions_have_pages functions_have_pages
holds pages_are_whole pages_are_whole
holds headers_have_pages headers_have_pages
holds links_lead_somewhere links_lead_somewhere
if command -v groff >/dev/null; then
    holds man_is_silent man_is_silent
fi
if command -v mandoc >/dev/null; then
    holds mandoc_is_silent mandoc_is_silent
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
