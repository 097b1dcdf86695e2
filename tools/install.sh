#!/bin/sh
# install.sh TASK: says what the task needs from the system and installs what is missing (Debian: apt-get, as root or by
# sudo). TASK: demo, check, bench, or a port: i386, musl or aarch64. With everything there it changes nothing and needs
# no rights. Talks on stderr, so that the caller's output stays its own.
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
linux-libc-dev   /usr/include/linux/futex.h
musl-tools       musl-gcc
gcc-i686-linux-gnu     i686-linux-gnu-gcc
libc6-dev-i386-cross   /usr/i686-linux-gnu/include/stdlib.h
libc6-i386             /lib/ld-linux.so.2
lib32gcc-s1            /usr/lib32/libgcc_s.so.1
gcc-aarch64-linux-gnu  aarch64-linux-gnu-gcc
libc6-dev-arm64-cross  /usr/aarch64-linux-gnu/include/stdlib.h
'

usage='usage: sh tools/install.sh demo|check|bench|i386|musl|aarch64|--help

Says what the demonstration, the check, the speed lab or a port needs, and installs what of that is missing (Debian:
apt-get, as root or by sudo).'

build='gcc libc6-dev cmake ninja-build'
libraries='libssl-dev libpng-dev libncurses-dev libuv1-dev'
case "$#:${1:-}" in
    1:demo) needs="$build $libraries" ;;
    1:check) needs="$build $libraries g++ clang clang-format clang-tidy shellcheck procps python3 python3-cbor2" ;;
    1:bench) needs="$build g++ libboost-dev python3" ;;
    1:i386) needs="$build gcc-i686-linux-gnu libc6-dev-i386-cross libc6-i386 lib32gcc-s1" ;;
    1:musl) needs="$build linux-libc-dev musl-tools" ;;
    1:aarch64) needs="$build gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
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
