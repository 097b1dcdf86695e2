#!/bin/sh
# newcomer.sh BUILD_DIR: what README tells a newcomer to do, done in a fresh copy of the sources: the demonstration,
# then README's commands as they stand there, line by line, up to a program of one's own. Only that /usr/local is a
# folder of ours, and that sudo asks nobody. Of BUILD_DIR only how it was configured counts.
set -u

build=${1:?usage: newcomer.sh BUILD_DIR}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
if grep -q '^BROOD_SANITIZE:[A-Z]*=.' "$build/CMakeCache.txt" ||
    [ "$(readlink -f "$compiler")" != "$(readlink -f "$(command -v cc)")" ]; then
    echo "a newcomer builds with cc, and no sanitizer"
    exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0

# holds NAME COMMAND...: the command succeeds; what it says, in $scratch/log, is shown if not.
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

# What would change this machine is ours: found first, and with the prefix where README says /usr/local.
mkdir "$scratch/bin" "$scratch/local" "$scratch/brood"
printf '#!/bin/sh\nexec "$@"\n' >"$scratch/bin/sudo"
printf '#!/bin/sh\nexec /sbin/ldconfig -n "%s/lib"\n' "$scratch/local" >"$scratch/bin/ldconfig"
printf '#!/bin/sh\necho "it would install: apt-get $*"\nexit 1\n' >"$scratch/bin/apt-get"
chmod +x "$scratch/bin/"*
PATH=$scratch/bin:$PATH

if ! (cd "$root" && sh tools/install.sh demo) >"$scratch/log" 2>&1; then
    echo "what the demonstration needs is not all there:"
    cat "$scratch/log"
    exit 77
fi
(cd "$root" && tar -cf - --exclude=.git --exclude='./build*' .) | tar -xf - -C "$scratch/brood"
began=$(date +%s)
cd "$scratch/brood" || exit 1
holds demo sh tools/demo.sh

# README's blocks of sh, and its first of C, which is the program.
awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' README.md |
    sed "s,/usr/local,$scratch/local,g; s,/sbin/ldconfig,ldconfig," >"$scratch/commands"
awk '/^```c$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' README.md >program.c

# What compilers, loader and man know of /usr/local by themselves.
export CPATH="$scratch/local/include" LIBRARY_PATH="$scratch/local/lib" LD_LIBRARY_PATH="$scratch/local/lib"
export MANPATH="$scratch/local/share/man"
while read -r command; do
    holds "$(echo "$command" | sed "s,$scratch/local,/usr/local,g")" sh -c "$command"
done <"$scratch/commands"

# The last of them ran the program.
printed()
{
    [ "$(./a.out)" = '1
4
9
16
25' ]
}
holds printed printed
holds installed_tool "$scratch/local/bin/brood" --version
holds packages ls build-user/libbrood0*.deb build-user/libbrood-dev*.deb

# As many as there were: a README without its blocks would pass else.
[ "$passed" -ge 8 ] || failed=$((failed + 1))
echo "took $(($(date +%s) - began)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
