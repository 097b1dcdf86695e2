#!/bin/sh
# check.sh [--long]: builds brood in every way it must build in, runs all its tests in each, and looks over sources,
# scripts and library. Installs what is missing for that, and says so first. The last line sums up all cases; the exit
# status is 0 if none failed.
#
# Counting: a test program says itself how many of its cases passed; any other test, build or look-over is one case. A
# program that fails without saying so adds one failure, so that no crash is lost in a sum.
set -eu

usage()
{
    cat <<'END'
usage: sh tools/check.sh [--long | --help]

Builds with gcc, clang, AddressSanitizer + UBSan and ThreadSanitizer in build, build-clang, build-asan and build-tsan,
runs the tests in each (the crash lab in the first; in the last those of a single process, which is all that it sees),
and looks over the sources. Takes some minutes. The builds behind the first, and clang-tidy, run beside the tests, at
the lowest priority: those processes wait most of the time.

  --long  besides: the whole crash lab, the fuzzers for ten minutes each, and the tests 20 times over with all
          processors busy. Takes an hour and more.
END
}

rounds=0
case "$#:${1:-}" in
    0:) ;;
    1:--long) rounds=20 ;;
    1:--help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
esac

cd -- "$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)"
sh tools/install.sh check

jobs=$(nproc)
tests_at_once=$((2 * jobs + 1)) # many of them wait, most of the time
began=$(date +%s)
passed=0
failed=0
skipped=0
burners=''
build_with=''
beside='' # the process that runs what runs beside the tests

# The tests' own temporary folder, so that what they forget is seen. Open to all, as /tmp is: some change their user.
work=$(mktemp -d)
mkdir "$work/tmp"
chmod 755 "$work"
chmod 1777 "$work/tmp"

clean_up()
{
    for burner in $burners; do
        kill "$burner" 2>/dev/null || true
    done
    if [ -n "$beside" ] && kill "$beside" 2>/dev/null; then
        marked "$beside_mark" | xargs -r kill 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

shared_before=$(ls -A /dev/shm 2>/dev/null || true)

# Whoever descends from here carries this mark in its environment, wherever it was forked or spawned.
mark="BROOD_CHECK=$$"
beside_mark="BROOD_CHECK_BESIDE=$$"
descendant()
{
    env "$mark" TMPDIR="$work/tmp" "$@"
}

# The ids of the processes that carry a mark.
marked()
{
    for process in /proc/[0-9]*; do
        if { tr '\0' '\n' <"$process/environ" | grep -qxF "$1"; } 2>/dev/null; then
            echo "${process#/proc/}"
        fi
    done
}

stage()
{
    stage_began=$(date +%s)
    printf '%-28s' "$1"
}

# done_stage TEXT [FILE]: ends the stage's line; FILE is shown where something failed.
done_stage()
{
    printf '%5d s  %s\n' "$(($(date +%s) - stage_began))" "$1"
    if [ $# -gt 1 ]; then
        cat "$2"
    fi
}

# one NAME COMMAND...: one case, passed if the command succeeds.
one()
{
    stage "$1"
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
        done_stage 'ok'
    else
        failed=$((failed + 1))
        done_stage 'FAILED' "$work/log"
        return 1
    fi
}

# add PASSED FAILED SKIPPED FILE: adds the cases of a stage and ends its line.
add()
{
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + $3))
    if [ "$2" -gt 0 ]; then
        done_stage "$1 passed, $2 FAILED, $3 skipped" "$4"
    elif [ "$3" -gt 0 ]; then
        done_stage "$1 passed, $3 skipped"
    else
        done_stage "$1 passed"
    fi
}

build()
{
    cmake --preset "$1" >"$work/found.$1" 2>&1 || {
        cat "$work/found.$1"
        return 1
    }
    $build_with cmake --build --preset "$1" -- --quiet
}

# run_beside: all builds but the first, and clang-tidy. Of each, NAME.log is what it says, and NAME.ended, which comes
# last, its exit status and how many seconds it took.
run_beside()
{
    build_with='nice -n 19'
    for name in clang asan tsan tidy; do
        began_beside=$(date +%s)
        status=0
        if [ "$name" = tidy ]; then
            tidy >"$work/$name.log" 2>&1 || status=$?
        else
            build "$name" >"$work/$name.log" 2>&1 || status=$?
        fi
        echo "$status $(($(date +%s) - began_beside))" >"$work/ended"
        mv "$work/ended" "$work/$name.ended"
    done
}

# of_beside NAME: waits for it, and is it, for `one`.
of_beside()
{
    while [ ! -e "$work/$1.ended" ] && kill -0 "$beside" 2>/dev/null; do
        sleep 1
    done
    read -r status seconds <"$work/$1.ended" || return 1 # it died
    stage_began=$(($(date +%s) - seconds))
    cat "$work/$1.log"
    return "$status"
}

# Reads ctest's report; writes what the failed tests said, and after it a line with the sums.
# shellcheck disable=SC2016 # awk's dollars
count_cases='
function plain(text) {
    gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text); gsub(/&apos;/, "\047", text)
    gsub(/&amp;/, "\\&", text)
    return text
}
/^\t<testcase / {
    split($0, part, "\""); name = part[2]
    match($0, /status="[a-z]*"/); status = substr($0, RSTART + 8, RLENGTH - 9)
    said = ""; output = ""; skip = 0
    next
}
/^\t\t<skipped message="SKIP_RETURN_CODE=/ { skip = 1; next }
/^\t\t<skipped / { output = "not run\n"; next }
/^\t<\/testcase>/ {
    split(said, n, /[^0-9]+/)
    p = n[1] + 0; f = n[2] + 0; s = n[3] + 0
    if (said == "" && status == "run") p = 1
    else if (said == "" && skip) s = 1
    else if (status != "run" && !skip && f == 0) f = 1
    if (f) printf "---- %s\n%s", name, output
    passed += p; failed += f; skipped += s
    next
}
/^\t\t<failure / { next }
{
    line = $0
    sub(/^\t\t<system-out>/, "", line); sub(/<\/system-out>$/, "", line)
    output = output plain(line) "\n"
    if (line ~ /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/) said = line
}
END { print passed + 0, failed + 0, skipped + 0 }
'

# run_tests NAME FOLDER [ARGUMENT...]: what ctest finds in the folder.
run_tests()
{
    stage "$1"
    folder=$2
    shift 2
    rm -f "$work/report"
    descendant ctest --test-dir "$folder" --parallel "$tests_at_once" --output-junit "$work/report" \
        --test-output-size-passed 16000000 --test-output-size-failed 16000000 "$@" >"$work/log" 2>&1 || true
    if [ -f "$work/report" ]; then
        awk "$count_cases" "$work/report" >"$work/cases"
    else
        echo '0 0 0' >"$work/cases"
    fi
    # shellcheck disable=SC2046 # three numbers
    set -- $(tail -n 1 "$work/cases")
    if [ "$(($1 + $2 + $3))" -eq 0 ]; then
        add 0 1 0 "$work/log" # not one test: something is wrong with the build
        return
    fi
    sed -i '$d' "$work/cases"
    add "$1" "$2" "$3" "$work/cases"
}

sources()
{
    find src include examples tests crash bench inspect -name '*.[ch]' -o -name '*.cpp'
}

scripts()
{
    find tools tests bench crash examples .ci -name '*.sh' -o -path .ci/run
}

format()
{
    sources | xargs clang-format --dry-run -Werror >"$work/found" 2>&1 && return
    grep -E '^[^ ].*: error:' "$work/found" || cat "$work/found"
    return 1
}

# The compiler's own analysis was part of the builds; this one knows more and takes longer. Headers come with what
# includes them. What was clean and has not changed since, nor any header nor how all is compiled, is passed over.
tidy()
{
    mkdir -p build-clang/tidy
    shared=$({
        find include src tests crash bench examples inspect -name '*.h'
        find .clang-tidy CMake* cmake -type f
    } | xargs stat --format='%Y %n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
    # shellcheck disable=SC2016 # the inner shell's
    awk -F '"' '$2 == "file" && $4 ~ /\.c$/ { print $4 }' build-clang/compile_commands.json | sort -u |
        while read -r source; do
            clean=build-clang/tidy/$(echo "$source" | tr / -)
            if [ ! -e "$clean" ] || [ -n "$(find "$source" "$shared" -newer "$clean")" ]; then
                echo "$source"
            fi
        done | nice -n 19 xargs -r -P "$jobs" -n 1 sh -c \
        'clang-tidy -p build-clang --quiet "$1" && touch "build-clang/tidy/$(echo "$1" | tr / -)"' tidy
}

shell()
{
    scripts | xargs shellcheck
}

# Succeeds if it is given nothing; else shows it.
none()
{
    ! grep '^'
}

# What no tool above looks at: long lines (clang-format leaves comments alone), tabs, blanks at a line's end, marks of
# unfinished work.
text()
{
    marks='TO''DO|FIX''ME|X''XX'
    tab=$(printf '\t')
    {
        { sources; scripts; find cmake -type f; find docs -name '*.py'; } | LC_ALL=C.UTF-8 xargs grep -nE '^.{121}'
        { sources; scripts; find cmake CMakeLists.txt ./*.md -type f; } | xargs grep -nE "$tab| +\$|\\<($marks)\\>"
    } | none
}

# A lock that is taken over from a dead holder is taken: `if (brood_lock_acquire(...))` takes that for a failure.
acquired()
{
    acquire='brood_(managed_)?(lock|rwlock|semaphore|condition|value|array)_acquire(_read|_write)?'
    bare="(if|while|assert|CHECK|NEED) *\\(!? *$acquire *\\(([^()]|\\([^()]*\\))*\\) *\\)"
    echo 'if (brood_lock_acquire(&lock, f(1)))' | grep -qE "$bare" || return 1
    echo 'while (!brood_rwlock_acquire_read(&lock, 1))' | grep -qE "$bare" || return 1
    sources | xargs grep -nE "$bare" | none
}

# A room includes its own headers and those of the rooms below it: nothing of a room that stands further right.
rooms()
{
    order='os error wait region sync process exchange tls pool manager'
    status=0
    below=' brood '
    for room in $order; do
        below="$below$room "
        [ -d "src/$room" ] || continue
        includes=$(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "src/$room"/*.[ch] | sort -u)
        for included in $includes; do
            case "$below" in
                *" $included "*) ;;
                *)
                    grep -n "^#include \"$included/" "src/$room"/*.[ch]
                    status=1
                    ;;
            esac
        done
    done
    for room in src/*/; do
        case " $order " in
            *" $(basename "$room") "*) ;;
            *)
                echo "$room has no place among the rooms: $order"
                status=1
                ;;
        esac
    done
    return "$status"
}

# The functions of the headers.
promised()
{
    cat include/brood/*.h | tr '\n' ' ' | sed 's/BROOD_API/\n&/g' |
        sed -n 's/^BROOD_API[^(]*\(brood_[a-z0-9_]*\)(.*/\1/p' | sort -u >"$work/promised"
}

# Every function of the headers is in the shared library, and nothing else is to be seen.
exports()
{
    promised
    nm -D --defined-only build/libbrood.so | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$work/exported"
    [ -s "$work/promised" ] && diff "$work/promised" "$work/exported"
}

# The same of the archive, whose other names a program's own would silently replace.
archive()
{
    promised
    nm -g --defined-only build/libbrood.a | awk 'NF == 3 { print $3 }' | sort >"$work/exported"
    [ -s "$work/promised" ] && diff "$work/promised" "$work/exported"
}

links()
{
    readelf -d build/libbrood.so | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' >"$work/needed"
    [ -s "$work/needed" ] && grep -vE '^(libc\.so\.6|ld-linux-.*\.so\..*)$' "$work/needed" | none
}

# libbrood_openssl shows its one table, and needs OpenSSL and libc.
openssl_module()
{
    nm -D --defined-only build/libbrood_openssl.so | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' >"$work/exported"
    echo brood_openssl | diff - "$work/exported" || return 1
    readelf -d build/libbrood_openssl.so | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' >"$work/needed"
    grep -vE '^(lib(c|ssl|crypto)\.so\..*|ld-linux-.*\.so\..*)$' "$work/needed" | none
}

# Nobody who carries the mark is alive, and nothing more lies about than before.
leftovers()
{
    status=0
    for process in $(marked "$mark"); do
        echo "still running: $process $({ tr '\0' ' ' <"/proc/$process/cmdline"; } 2>/dev/null || true)"
        status=1
    done
    if [ "$(ls -A /dev/shm 2>/dev/null || true)" != "$shared_before" ]; then
        echo "/dev/shm held: $shared_before"
        echo "and holds now: $(ls -A /dev/shm)"
        status=1
    fi
    if [ -n "$(ls -A "$work/tmp")" ]; then
        echo "left in the temporary folder:"
        ls -lA "$work/tmp"
        status=1
    fi
    return "$status"
}

# Each fuzzer for ten minutes.
fuzz()
{
    for fuzzer in build-clang/tests/fuzz_*; do
        if [ ! -f "$fuzzer" ]; then # the folder of what it has found
            continue
        fi
        name=${fuzzer##*/fuzz_}
        one "fuzz: $name" "$fuzzer" -max_total_time=600 -max_len=1024 -verbosity=0 "-artifact_prefix=$fuzzer.found/" \
            "$fuzzer.found" "tests/fuzz/$name" || true
    done
}

# The whole campaign of the crash lab, which prints its own count.
crash_campaign()
{
    stage 'crash lab, whole'
    descendant build/crash/crashlab >"$work/log" 2>&1 && ended=0 || ended=1
    # shellcheck disable=SC2046 # two or three numbers, or none
    set -- $(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)\{0,1\}$/\1 \2 \4/p' "$work/log")
    if [ $# -lt 2 ] || { [ "$2" -eq 0 ] && [ "$ended" -ne 0 ]; }; then
        set -- "${1:-0}" 1
    fi
    add "$1" "$2" "${3:-0}" "$work/log"
}

if one 'gcc: build' build release; then
    export "${beside_mark?}"
    run_beside &
    beside=$!
    unset BROOD_CHECK_BESIDE
    run_tests 'gcc: tests' build
    one 'library: exports' exports || true
    one 'library: archive' archive || true
    one 'library: links' links || true
    one 'library: openssl' openssl_module || true
    if one 'clang: build' of_beside clang; then
        run_tests 'clang: tests' build-clang --exclude-regex '^(crashlab|install|hashtree)$'
    fi
    if one 'asan: build' of_beside asan; then
        run_tests 'asan: tests' build-asan
    fi
    if one 'tsan: build' of_beside tsan; then
        run_tests 'tsan: tests' build-tsan --label-regex '^tsan$'
    fi
    one 'sources: clang-tidy' of_beside tidy || true
fi
one 'sources: format' format || true
one 'sources: text' text || true
one 'sources: rooms' rooms || true
one 'sources: locks' acquired || true
one 'scripts: shellcheck' shell || true

if [ "$rounds" -gt 0 ]; then
    fuzz
    crash_campaign
    for _ in $(seq "$jobs"); do
        sh -c 'while :; do :; done' &
        burners="$burners $!"
    done
    for round in $(seq "$rounds"); do
        run_tests "under load, round $round" build --exclude-regex '^crashlab$'
    done
fi

one 'nothing left behind' leftovers || true

echo "All in $(($(date +%s) - began)) s."
summary="$passed passed, $failed failed"
if [ "$skipped" -gt 0 ]; then
    summary="$summary, $skipped skipped"
fi
echo "$summary"
[ "$failed" -eq 0 ]
