#!/bin/sh
# install.sh TASK: says what the task needs from the system and installs what is missing (Debian: apt-get, as root or by
# sudo). TASK: demo, check or bench. With everything there it changes nothing and needs no rights. Talks on stderr, so
# that the caller's output stays its own.
set -eu

# package, and what shows that it is there: a command, or a file
known='
gcc              gcc
libc6-dev        /usr/include/stdlib.h
cmake            cmake
ninja-build      ninja
libssl-dev       /usr/include/openssl/evp.h
libpng-dev       /usr/include/png.h
libncurses-dev   /usr/include/curses.h
libuv1-dev       /usr/include/uv.h
g++              g++
clang            clang
clang-format     clang-format
clang-tidy       clang-tidy
shellcheck       shellcheck
procps           pgrep
libboost-dev     /usr/include/boost/version.hpp
python3          python3
python3-cbor2    /usr/lib/python3/dist-packages/cbor2
'

usage='usage: sh tools/install.sh demo|check|bench|--help

Says what the demonstration, the check or the speed lab needs, and installs what of that is missing (Debian: apt-get, as
root or by sudo).'

build='gcc libc6-dev cmake ninja-build'
libraries='libssl-dev libpng-dev libncurses-dev libuv1-dev'
case "$#:${1:-}" in
    1:demo) needs="$build $libraries" ;;
    1:check) needs="$build $libraries g++ clang clang-format clang-tidy shellcheck procps python3 python3-cbor2" ;;
    1:bench) needs="$build g++ libboost-dev python3" ;;
    1:--help)
        echo "$usage"
        exit 0
        ;;
    *)
        echo "$usage" >&2
        exit 2
        ;;
esac

present()
{
    case "$1" in
        /*) [ -e "$1" ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

missing=''
for package in $needs; do
    probe=$(printf '%s' "$known" | while read -r name shows; do
        if [ "$name" = "$package" ]; then
            echo "$shows"
        fi
    done)
    present "$probe" || missing="$missing $package"
done

if [ -z "$missing" ]; then
    echo "Needed and installed already: $needs" >&2
    exit 0
fi
echo "Missing, to be installed with apt-get:$missing" >&2

if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here: install these, or what your system calls them, and start again." >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=''
elif command -v sudo >/dev/null; then
    as_root='sudo'
else
    echo "That takes root or sudo, and there is neither: have these installed and start again." >&2
    exit 1
fi

apt()
{
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # a list of names
if ! { apt update && apt install --no-install-recommends -y -o Dpkg::Use-Pty=0 $missing; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "apt-get could not install:$missing" >&2
    exit 1
fi
