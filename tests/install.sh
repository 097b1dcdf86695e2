#!/bin/sh
# install.sh BUILD_DIR: what README says of use: its program is compiled against an installed brood by pkg-config, and
# against the package and the sources by CMake, and prints what it should. Neither side is in the other's way: not the
# program's names, nor a project's warnings and installation.
set -u

build=${1:?usage: install.sh BUILD_DIR}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
if grep -q '^BROOD_SANITIZE:[A-Z]*=.' "$build/CMakeCache.txt"; then
    echo "a sanitizer's library is not for installing"
    exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0

expected='1
4
9
16
25'

# holds NAME COMMAND...: the command succeeds.
holds()
{
    name=$1
    shift
    if "$@"; then
        echo "ok $name"
        passed=$((passed + 1))
    else
        echo "FAILED $name"
        cat "$scratch/log"
        failed=$((failed + 1))
    fi
}

# says NAME COMMAND...: the command prints what the program should.
says()
{
    name=$1
    shift
    if printed=$("$@" 2>"$scratch/errors") && [ "$printed" = "$expected" ]; then
        echo "ok $name"
        passed=$((passed + 1))
    else
        echo "FAILED $name: it printed '$printed'"
        cat "$scratch/log" "$scratch/errors"
        failed=$((failed + 1))
    fi
}

# The first block of C in README is a whole program.
awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' "$root/README.md" >"$scratch/program.c"
cmake --install "$build" --prefix "$scratch/usr" >"$scratch/log" 2>&1
pc=$(find "$scratch/usr" -name brood.pc)
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")

if command -v pkg-config >/dev/null; then
    # shellcheck disable=SC2046 # several words are meant
    "$compiler" -std=c11 -Wall -Wextra -Wpedantic -Werror "$scratch/program.c" -o "$scratch/by-pkg-config" \
        $(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --cflags --libs brood) >"$scratch/log" 2>&1
    says "pkg-config" env LD_LIBRARY_PATH="$(dirname "$(dirname "$pc")")" "$scratch/by-pkg-config"
else
    echo "skipped pkg-config: it is not installed"
fi

# with_key ARGUMENT...: a program that needs OpenSSL's part of brood, linked with these.
with_key()
{
    "$compiler" -std=c11 "$scratch/key.c" -o "$scratch/key" -I "$scratch/usr/include" "$@" >"$scratch/log" 2>&1 &&
        LD_LIBRARY_PATH=$libraries "$scratch/key" >"$scratch/log" 2>&1
}

# Keys and TLS come with the installation, where it has them, and are found.
libraries=$(dirname "$(dirname "$pc")")
if [ -e "$build/libbrood_openssl.so" ]; then
    cat >"$scratch/key.c" <<'END'
#include <brood.h>
int main(void)
{
    brood_init(NULL);
    return !brood_listener_create("unix:@brood-install", &(brood_listener_options){ .key = "k", .key_size = 1 });
}
END
    holds key_shared with_key -L "$libraries" -lbrood
    holds key_static with_key "$libraries/libbrood.a" -pthread
fi

# by_cmake NAME TARGET LINES: a project with these lines to find brood.
by_cmake()
{
    mkdir -p "$scratch/$1"
    {
        echo 'cmake_minimum_required(VERSION 3.25)'
        echo 'project(user LANGUAGES C)'
        echo "$3"
        echo "add_executable(program $scratch/program.c $scratch/names.c)"
        echo "target_link_libraries(program PRIVATE $2)"
    } >"$scratch/$1/CMakeLists.txt"
    cmake -S "$scratch/$1" -B "$scratch/$1/build" -G Ninja "-DCMAKE_C_COMPILER=$compiler" \
        "-DCMAKE_PREFIX_PATH=$scratch/usr" >"$scratch/log" 2>&1 &&
        cmake --build "$scratch/$1/build" >>"$scratch/log" 2>&1
    says "$1" "$scratch/$1/build/program"
}

# silent: the last build warned of nothing.
silent()
{
    ! grep -q 'warning:' "$scratch/log"
}

# installs COUNT NAME: how many brood.h does that project's installation bring along?
installs()
{
    cmake --install "$scratch/$2/build" --prefix "$scratch/from-$2" >"$scratch/log" 2>&1 &&
        [ "$(find "$scratch/from-$2" -name brood.h 2>/dev/null | wc -l)" -eq "$1" ]
}

# Names that are functions of brood's own: they are the program's to use as well.
for name in clock_now table_self keeper_main worker_main; do
    printf '#include <stdlib.h>\nvoid %s(void);\nvoid %s(void)\n{\n    abort();\n}\n' $name $name
done >"$scratch/names.c"

strict='set(CMAKE_BUILD_TYPE Release)
set(CMAKE_UNITY_BUILD ON)
set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
add_compile_options(-Wall -Wextra -Werror)'

by_cmake find_package brood::brood 'find_package(brood REQUIRED)'
by_cmake find_package_static brood::brood_static 'find_package(brood REQUIRED)'
by_cmake add_subdirectory brood::brood "add_subdirectory($root brood)"
holds add_subdirectory_installs_nothing installs 0 add_subdirectory
by_cmake add_subdirectory_strict brood::brood_static "$strict
set(BROOD_INSTALL ON)
add_subdirectory($root brood)"
holds add_subdirectory_strict_is_silent silent
holds add_subdirectory_installs_if_told installs 1 add_subdirectory_strict

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
