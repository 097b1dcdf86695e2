#!/bin/sh
# ports.sh [PORT...]: builds brood for other processors and C libraries and runs its tests where this machine can run
# them. Installs what is missing for that, and says so first. The last line sums up; the exit status is 0 if nothing
# failed. What is to be expected stands in docs/platforms.md.
#
# Counting: each port's build is one case, and a test program says itself how many of its cases passed. One that fails
# without saying so adds a failure.
set -eu

usage()
{
    cat <<'END'
usage: sh tools/ports.sh [i386 | musl | aarch64]... | --help

Builds library, tool, tests and examples for each port, warnings as errors, in build-i386, build-musl and
build-aarch64, and runs the test programs of the first two, and a sample of the crash lab of the first: this kernel runs
them. Without OpenSSL, ncurses, libpng and libuv, whatever is installed. Takes some ten minutes a port.
END
}

ports=''
for argument in "$@"; do
    case "$argument" in
        i386 | musl | aarch64) ports="$ports $argument" ;;
        --help)
            if [ $# -gt 1 ]; then
                usage >&2
                exit 2
            fi
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
done
ports=${ports:- i386 musl aarch64}

cd -- "$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)"
for port in $ports; do
    sh tools/install.sh "$port"
done

passed=0
failed=0
skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' HUP INT TERM

# configure PORT ARGUMENT...: what all ports have in common.
configure()
{
    folder=build-$1
    shift
    cmake -G Ninja -B "$folder" -DCMAKE_BUILD_TYPE=Release -DCMAKE_COMPILE_WARNING_AS_ERROR=ON \
        -DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON -DCMAKE_DISABLE_FIND_PACKAGE_PNG=ON -DUV_INCLUDE=OFF -DUV_LIBRARY=OFF \
        -DBROOD_OPENSSL=OFF -DBROOD_CURSES=OFF -DBROOD_BUILD_BENCH=OFF "$@"
}

# cross PROCESSOR COMPILER [ARGUMENT...]: the kernel is Linux all the same.
cross()
{
    processor=$1
    compiler=$2
    shift 2
    configure "$processor" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$processor" \
        -DCMAKE_C_COMPILER="$compiler" "$@"
}

# musl-gcc leaves the kernel's headers out, since they lie among glibc's; and has no build-ids made, by which functions
# of libraries are known again.
musl()
{
    headers=$PWD/build-musl/kernel
    mkdir -p "$headers"
    ln -sfn /usr/include/linux "$headers/linux"
    ln -sfn /usr/include/asm-generic "$headers/asm-generic"
    ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$headers/asm"
    configure musl -DCMAKE_C_COMPILER=musl-gcc -DCMAKE_C_FLAGS="-idirafter $headers" \
        -DCMAKE_EXE_LINKER_FLAGS=-Wl,--build-id -DCMAKE_MODULE_LINKER_FLAGS=-Wl,--build-id \
        -DCMAKE_SHARED_LINKER_FLAGS=-Wl,--build-id
}

build()
{
    case "$1" in
        i386) cross i386 i686-linux-gnu-gcc -DCMAKE_C_FLAGS=-Wno-psabi ;; # it only tells of an older gcc's layout
        aarch64) cross aarch64 aarch64-linux-gnu-gcc ;;
        musl) musl ;;
    esac && cmake --build "build-$1" -- --quiet
}

# run_tests FOLDER: all its test programs, one after the other, and a sample of the crash lab on i386.
run_tests()
{
    for test in "$1"/tests/* build-i386/crash/crashlab; do
        if [ ! -f "$test" ] || [ ! -x "$test" ]; then
            continue
        fi
        case "$test" in
            */corpus_*) continue ;;
            "$1"/*) ;;
            *) continue ;;
        esac
        status=0
        case "$test" in
            */crashlab) "$test" --quick ;;
            *) "$test" ;;
        esac >"$log" 2>&1 || status=$?
        sums=$(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)\{0,1\}$/\1 \2 \4/p' "$log")
        # shellcheck disable=SC2086 # two or three numbers
        set -- "$1" ${sums:-0 0}
        [ "$status" -eq 0 ] || [ "$3" -gt 0 ] || set -- "$1" "$2" 1 "${4:-0}"
        passed=$((passed + $2))
        failed=$((failed + $3))
        skipped=$((skipped + ${4:-0}))
        if [ "$3" -gt 0 ]; then
            echo "---- $test"
            grep -vE '^(ok|skipped) ' "$log" || true
        fi
    done
}

for port in $ports; do
    if ! build "$port" >"$log" 2>&1; then
        failed=$((failed + 1))
        echo "$port: does not build"
        cat "$log"
        continue
    fi
    passed=$((passed + 1))
    if [ "$port" = aarch64 ]; then
        echo "$port: builds; its tests are not run here, see docs/platforms.md"
        continue
    fi
    before="$passed $failed $skipped"
    run_tests "build-$port"
    # shellcheck disable=SC2086 # three numbers
    set -- $before
    echo "$port: builds; tests: $((passed - $1)) passed, $((failed - $2)) failed, $((skipped - $3)) skipped"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
