#!/bin/sh
# install.sh BUILD_DIR: what README says of use: its program is compiled, as C and as C++, against an installed brood by
# pkg-config, and against the package and the sources by CMake, and prints what it should. Neither side is in the
# other's way: not the program's names, nor a project's warnings and installation. And the Debian packages: they come,
# serve, and go without a trace.
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

# The library is known by a name with its version, and so are its symbols.
has_versions()
{
    library=$(dirname "$(dirname "$pc")")/libbrood.so
    readelf -d "$library" >"$scratch/log" && grep -q 'SONAME.*\[libbrood\.so\.[0-9.]*\]' "$scratch/log" || return 1
    readelf --dyn-syms --wide "$library" >"$scratch/log" && grep -q 'brood_init@@BROOD_' "$scratch/log"
}
holds versions has_versions

# The same program in C++.
cp "$scratch/program.c" "$scratch/program.cpp"
cxx=$(command -v c++ || command -v g++ || command -v clang++ || true)
if [ -n "$cxx" ]; then
    "$cxx" -std=c++11 -Wall -Wextra -Wpedantic -Werror "$scratch/program.cpp" -o "$scratch/cxx" \
        -I "$scratch/usr/include" -L "$(dirname "$(dirname "$pc")")" -lbrood >"$scratch/log" 2>&1
    says c++ env LD_LIBRARY_PATH="$(dirname "$(dirname "$pc")")" "$scratch/cxx"
fi

# The tool and the manual come with it, where they were built.
if [ -e "$build/inspect/brood" ]; then
    holds tool "$scratch/usr/bin/brood" --version
fi
if [ -d "$build/reference" ]; then
    holds manual test -s "$scratch/usr/share/man/man3/brood_lock_acquire.3" -a \
        -s "$scratch/usr/share/man/man7/brood.7" -a -s "$scratch/usr/share/doc/brood/html/index.html"
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

# by_cmake NAME TARGET LINES [LANGUAGES]: a project with these lines to find brood.
by_cmake()
{
    mkdir -p "$scratch/$1"
    {
        echo 'cmake_minimum_required(VERSION 3.25)'
        echo "project(user LANGUAGES ${4:-C})"
        echo "$3"
        if [ "${4:-C}" = C ]; then
            echo "add_executable(program $scratch/program.c $scratch/names.c)"
        else
            echo "add_executable(program $scratch/program.cpp)"
        fi
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
by_cmake fetch_content brood::brood "include(FetchContent)
FetchContent_Declare(brood SOURCE_DIR $root)
FetchContent_MakeAvailable(brood)"
holds fetch_content_installs_nothing installs 0 fetch_content
by_cmake add_subdirectory brood::brood_static "$strict
set(BROOD_INSTALL ON)
add_subdirectory($root brood)"
holds add_subdirectory_is_silent silent
holds add_subdirectory_installs_if_told installs 1 add_subdirectory
if [ -n "$cxx" ]; then
    by_cmake find_package_cxx brood::brood 'find_package(brood REQUIRED)' 'C CXX'
fi

# ---- Debian packages ----

# A root folder with what a package's scripts need: a shell, and an ldconfig that does nothing.
make_root()
{
    mkdir -p "$scratch/root/var/lib/dpkg/info" "$scratch/root/var/lib/dpkg/updates" "$scratch/root/sbin" \
        "$scratch/root/bin" || return 1
    : >"$scratch/root/var/lib/dpkg/status"
    cp -L /bin/sh "$scratch/root/bin/sh" || return 1
    ldd /bin/sh | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$scratch/root$(dirname "$library")" && cp -L "$library" "$scratch/root$library"
    done
    printf '#!/bin/sh\nexit 0\n' >"$scratch/root/sbin/ldconfig"
    chmod +x "$scratch/root/sbin/ldconfig"
}

# What that root holds beyond dpkg's own.
contents()
{
    (cd "$scratch/root" && find . ! -path './var*' ! -path . | sort)
}

dpkg_there()
{
    dpkg --root="$scratch/root" --force-not-root --force-depends --log=/dev/null "$@"
}

packages_come()
{
    cpack --config "$build/CPackConfig.cmake" -D "CPACK_PACKAGE_DIRECTORY=$scratch/packages" >"$scratch/log" 2>&1 ||
        return 1
    ls "$scratch"/packages/libbrood0*.deb "$scratch"/packages/libbrood-dev*.deb >>"$scratch/log" 2>&1 || return 1
    make_root && contents >"$scratch/before"
    dpkg_there --install "$scratch"/packages/*.deb >>"$scratch/log" 2>&1 || return 1
    [ -e "$scratch/root/usr/include/brood.h" ]
}

packages_go()
{
    dpkg_there --purge libbrood-dev libbrood0.1 >>"$scratch/log" 2>&1 || return 1
    if [ -e "$scratch/root/usr/bin/brood" ]; then
        dpkg_there --purge brood-tools >>"$scratch/log" 2>&1 || return 1
    fi
    contents | diff "$scratch/before" - >>"$scratch/log"
}

if ! command -v dpkg >/dev/null || ! command -v cpack >/dev/null; then
    echo "skipped packages: this is no Debian"
elif [ "$(id -u)" -ne 0 ]; then
    echo "skipped packages: only root can install them in a folder"
else
    holds packages_come packages_come
    libraries=$scratch/root/usr/lib
    "$compiler" -std=c11 "$scratch/program.c" -o "$scratch/by-package" -I "$scratch/root/usr/include" \
        -L "$libraries" -lbrood >"$scratch/log" 2>&1
    says packages_serve env LD_LIBRARY_PATH="$libraries" "$scratch/by-package"
    holds packages_go packages_go
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
