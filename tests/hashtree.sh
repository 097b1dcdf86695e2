#!/bin/sh
# hashtree.sh BUILD_DIR: hashtree's lines are sha256sum's, byte for byte, whatever the files are called, and also when
# its processes are killed in the middle; and nothing of it is left behind.
set -u

program=${1:?usage: hashtree.sh BUILD_DIR}/examples/hashtree
[ -x "$program" ] || { echo "hashtree was not built (it needs OpenSSL's headers)"; echo "0 passed, 0 failed"; exit 77; }

LC_ALL=C.UTF-8
export LC_ALL
passed=0
failed=0
skipped=0
main=

temporary=$(mktemp -d) || exit 1
chmod 755 "$temporary"
clean_up()
{
    [ -z "$main" ] || kill -9 "$main" 2>/dev/null
    chmod -R u+rwx "$temporary"
    rm -rf "$temporary"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# A copy: what runs this very file is ours, and none else's.
cp "$program" "$temporary/hashtree" || exit 1
hashtree=$temporary/hashtree
out=$temporary/out
err=$temporary/err
expected=$temporary/expected
tree=$temporary/tree
long=$temporary/long
TMPDIR=$temporary/tmp
export TMPDIR
mkdir "$tree" "$long" "$TMPDIR"

pass()
{
    echo "ok $1"
    passed=$((passed + 1))
}

fail()
{
    echo "FAILED $1: $2"
    [ ! -s "$err" ] || head -n 5 "$err"
    failed=$((failed + 1))
}

skip()
{
    echo "skipped $1: $2"
    skipped=$((skipped + 1))
}

# run STATUS ARGUMENT...: hashtree's output is in $out, its errors in $err. Whether it ended with STATUS.
run()
{
    wanted=$1
    shift
    timeout 60 "$hashtree" "$@" >"$out" 2>"$err"
    status=$?
    [ "$status" -eq "$wanted" ]
}

# sums DIR...: what sha256sum says of the files there, sorted, in $expected.
sums()
{
    find "$@" -type f -print0 | xargs -0 -r sha256sum 2>/dev/null | LC_ALL=C sort >"$expected"
}

# same_lines NAME: $out has the lines of $expected, in whichever order.
same_lines()
{
    if [ ! -s "$expected" ]; then
        fail "$1" "there is nothing to compare with"
    elif LC_ALL=C sort "$out" | cmp -s - "$expected"; then
        pass "$1"
    else
        fail "$1" "the lines are not sha256sum's"
        LC_ALL=C sort "$out" | diff - "$expected" | head -n 6
    fi
}

# says NAME STATUS TEXT ARGUMENT...: hashtree ends with STATUS and TEXT on standard error.
says()
{
    name=$1 text=$3
    wanted=$2
    shift 3
    if ! run "$wanted" "$@"; then
        fail "$name" "status $status"
    elif ! grep -qF -- "$text" "$err"; then
        fail "$name" "no '$text' on standard error"
    else
        pass "$name"
    fi
}

# ---- names and kinds of files ----

newline='
'
mkdir -p "$tree/a" "$tree/a.b" "$tree/ spaces  in it " "$tree/empty" "$tree/.hidden"
: >"$tree/nothing"
echo in a >"$tree/a/file"
echo in a.b >"$tree/a.b/file"
echo hidden >"$tree/.hidden/.file"
echo 1 >"$tree/new${newline}line"
echo 2 >"$tree/back\\slash"
echo 3 >"$tree/$(printf 'return\rhere')"
echo 4 >"$tree/$(printf 'tab\tand\001and\033[31m')"
echo 5 >"$tree/$(printf 'bytes\377\376\200')"
echo 6 >"$tree/-dash"
echo 7 >"$tree/ spaces  in it / x "
echo 8 >"$tree/$(printf 'b\303\244ume')"
echo 9 >"$tree/\\n"
echo 10 >"$tree/*"
mkdir "$tree/dir${newline}line"
echo 11 >"$tree/dir${newline}line/\\${newline}"
head -c 3000000 /dev/urandom >"$tree/big"
head -c 131072 /dev/urandom >"$tree/a block"
head -c 131073 /dev/urandom >"$tree/a block and one"
ln -s . "$tree/loop"
ln -s nowhere "$tree/dangling"
ln -s big "$tree/link"
mkfifo "$tree/fifo"
ln "$tree/nothing" "$tree/nothing again"

sums "$tree"
for workers in 1 2 7; do
    if ! run 0 -j "$workers" "$tree" || [ -s "$err" ]; then
        fail "names -j $workers" "status $status"
    else
        same_lines "names -j $workers"
    fi
    [ "$workers" = 1 ] && cp "$out" "$temporary/first"
    if cmp -s "$out" "$temporary/first"; then
        pass "the same order -j $workers"
    else
        fail "the same order -j $workers" "it differs from that of -j 1"
    fi
done

if sed 's/^\\//' "$temporary/first" | grep -q '^[0-9a-f]\{64\}  ' && sha256sum --check --status "$temporary/first"; then
    pass "sha256sum --check"
else
    fail "sha256sum --check" "it does not accept the lines"
fi

BROOD_START_METHOD=spawn timeout 60 "$hashtree" -j 2 "$tree" >"$out" 2>"$err"
same_lines "names under spawn"

# ---- arguments ----

cd "$tree" || exit 1
for form in . ./ .// ../tree a a// "a a.b" "./a/../a .hidden" big "a big a"; do
    # shellcheck disable=SC2086 # several arguments
    sums $form
    # shellcheck disable=SC2086
    if run 0 $form; then
        same_lines "arguments $form"
    else
        fail "arguments $form" "status $status"
    fi
done

sums .
if run 0; then same_lines "no argument"; else fail "no argument" "status $status"; fi
if run 0 link loop && [ ! -s "$out" ]; then
    pass "an argument that is a link"
else
    fail "an argument that is a link" "it was followed"
fi
sums loop/
if run 0 loop/; then same_lines "a link with a slash"; else fail "a link with a slash" "status $status"; fi
sha256sum -- -dash >"$expected"
if run 0 -- -dash; then same_lines "an argument with a dash"; else fail "an argument with a dash" "status $status"; fi
if run 0 fifo empty && [ ! -s "$out" ] && [ ! -s "$err" ]; then
    pass "a FIFO and an empty directory"
else
    fail "a FIFO and an empty directory" "status $status"
fi
sums a a.b
if ! run 1 a nowhere a.b || ! grep -qx 'hashtree: nowhere: No such file or directory' "$err"; then
    fail "an argument that is not there" "status $status"
else
    same_lines "an argument that is not there"
fi
says "an empty argument" 1 "hashtree: '': No such file or directory" ''
cd / || exit 1

# ---- the order, over several batches ----

mkdir -p "$temporary/many/sub/0" "$temporary/many/sub.x" "$temporary/many/sub!"
number=0
while [ $number -lt 150 ]; do
    echo $number >"$temporary/many/sub/0/$number"
    number=$((number + 1))
done
copy=1
while [ $copy -lt 30 ]; do
    cp -rl "$temporary/many/sub/0" "$temporary/many/sub/$copy"
    copy=$((copy + 1))
done
head -c 2000000 /dev/urandom >"$temporary/many/sub/15/long"
for name in sub.x/1 sub!/1 sub-1 subx a z; do
    echo $name >"$temporary/many/$name"
done
find "$temporary/many" -type f | tr / '\001' | LC_ALL=C sort | tr '\001' / >"$temporary/order"
sums "$temporary/many"
if run 0 -j 3 "$temporary/many"; then same_lines "4,507 files"; else fail "4,507 files" "status $status"; fi
if cut -c 67- "$out" | cmp -s - "$temporary/order"; then
    pass "their order"
else
    fail "their order" "names are not where --help says"
    cut -c 67- "$out" | diff - "$temporary/order" | head -n 6
fi

# ---- what cannot be read ----

mkdir "$temporary/deep"
name=$(printf '%0200d' 0)
depth=0
cd "$temporary/deep" || exit 1
while [ $depth -lt 25 ]; do
    mkdir "$name" && echo $depth >"file $depth" && cd -P "$name" || exit 1
    depth=$((depth + 1))
done
cd / || exit 1
sums "$temporary/deep"
if run 1 "$temporary/deep" && grep -q 'hashtree: .*: File name too long' "$err"; then
    same_lines "paths that no call takes"
else
    fail "paths that no call takes" "status $status"
fi

guarded=$temporary/guarded
mkdir -p "$guarded/closed" "$guarded/open" "$guarded/no entry"
echo 1 >"$guarded/open/file"
echo 2 >"$guarded/closed/file"
echo 3 >"$guarded/no entry/file"
echo 4 >"$guarded/se${newline}cret"
echo 5 >"$guarded/z"
chmod 000 "$guarded/closed" "$guarded/se${newline}cret"
chmod 644 "$guarded/no entry"
as=
[ "$(id -u)" -ne 0 ] || as="setpriv --reuid=65534 --regid=65534 --clear-groups"
if $as "$hashtree" --version >"$out" 2>"$err"; then
    $as sha256sum "$guarded/open/file" "$guarded/z" >"$expected"
    $as "$hashtree" "$guarded" >"$out" 2>"$err"
    status=$?
    if [ $status -eq 1 ] && [ "$(wc -l <"$err")" -eq 3 ] &&
        grep -qxF "hashtree: $guarded/closed: Permission denied" "$err" &&
        grep -qxF "hashtree: $guarded/no entry/file: Permission denied" "$err" &&
        grep -qxF "hashtree: $guarded/se\\ncret: Permission denied" "$err"; then
        same_lines "without permission"
    else
        fail "without permission" "status $status"
    fi
else
    skip "without permission" "no other user can run the program here"
fi

# ---- options and standard output ----

for workers in 0 -1 1025 x 1x '' ' 1' 99999999999999999999; do
    says "-j '$workers'" 2 "hashtree: -j '$workers': the number of processes is 1 to 1024" -j "$workers" "$tree/a"
    [ ! -s "$out" ] || fail "-j '$workers'" "something was printed"
done
says "-j without a number" 2 "hashtree: option requires an argument" -j
says "a bad option" 2 "hashtree: invalid option" -x
says "a bad long option" 2 "hashtree: unrecognized option" --nothing
if run 0 --help && grep -q '^Usage: hashtree ' "$out" && [ ! -s "$err" ]; then
    pass "--help"
else
    fail "--help" "status $status"
fi
if run 0 --version && grep -q '^hashtree.* [0-9]' "$out"; then
    pass "--version"
else
    fail "--version" "status $status"
fi

# refuses NAME TEXT: the last command's $status is 1 and TEXT is on standard error.
refuses()
{
    if [ "$status" -eq 1 ] && grep -qx "hashtree: write error: $2" "$err"; then
        pass "$1"
    else
        fail "$1" "status $status"
    fi
}

if [ -c /dev/full ]; then
    timeout 60 "$hashtree" "$tree" >/dev/full 2>"$err"
    status=$?
    refuses "a full disk" 'No space left on device'
    timeout 60 "$hashtree" "$temporary/many" >/dev/full 2>"$err"
    status=$?
    refuses "a full disk, many lines" 'No space left on device'
    "$hashtree" --help >/dev/full 2>"$err"
    status=$?
    refuses "a full disk, --help" 'No space left on device'
else
    skip "a full disk" "there is no /dev/full"
fi
timeout 60 "$hashtree" "$tree" >&- 2>"$err"
status=$?
refuses "a closed standard output" 'Bad file descriptor'
prlimit --nofile=64 "$hashtree" "$tree" <&- >&- 2>"$err" # few descriptors: brood's own get low numbers
status=$?
refuses "closed standard input and output" 'Bad file descriptor'
sums "$tree"
timeout 60 "$hashtree" "$tree" <&- >"$out" 2>&-
same_lines "other closed standard streams"

# ---- the progress bar ----

# A run that takes a good part of a second: long files without blocks, whose reading costs no disk.
truncate -s 250M "$long/1"
for number in 2 3 4 5 6; do
    ln "$long/1" "$long/$number"
done
echo short >"$long/a"
echo short too >"$long/z"
sha256sum "$long/1" "$long/a" "$long/z" >"$temporary/three"
sum=$(head -c 64 "$temporary/three")
{
    cat "$temporary/three"
    for number in 2 3 4 5 6; do
        echo "$sum  $long/$number"
    done
} | LC_ALL=C sort >"$expected"

if command -v script >/dev/null && [ -e /dev/ptmx ]; then
    TERM=xterm timeout 60 script -qec "'$hashtree' -j 1 '$long' >'$out'" /dev/null >"$err" </dev/null
    erase=$(printf '\r\033[K')
    if ! grep -q 'iB/s' "$err"; then
        fail "progress" "there is none on a terminal"
    elif [ "$(tail -c 4 "$err")" != "$erase" ]; then
        fail "progress" "it is still there at the end"
    else
        same_lines "progress"
    fi
else
    skip "progress" "there is no script(1), or no pseudo-terminal"
fi

# ---- killed in the middle ----

# family [FILE]: the processes that run $hashtree; with FILE, those that have it open.
family()
{
    for process in $(find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -lname "$hashtree" 2>/dev/null | cut -d / -f 3); do
        if [ $# -eq 0 ] || find "/proc/$process/fd" -lname "$1" 2>/dev/null | grep -q .; then
            echo "$process"
        fi
    done
}

# children PROCESS: its children.
children()
{
    cat "/proc/$1/task/$1/children" 2>/dev/null
}

# tries COMMAND...: repeats it until it succeeds, for ten seconds at most.
tries()
{
    until_then=$(($(date +%s) + 10))
    until "$@"; do
        [ "$(date +%s)" -lt $until_then ] || return 1
        sleep 0.01
    done
}

at_work()
{
    [ -n "$(family "$long/[1-6]")" ]
}

# another_at FILE: a process other than $worker has it open; it is $worker now.
another_at()
{
    other=$(family "$1")
    [ -n "$other" ] && [ "$other" != "$worker" ] && worker=$other
}

gone()
{
    [ -z "$(family)" ]
}

# start DIR...: hashtree runs in the background as $main, and its workers are at the long files.
start()
{
    "$hashtree" -j 2 "$@" >"$out" 2>"$err" &
    main=$!
    tries at_work || fail "start" "no worker opens a long file"
    keeper=$(children "$main")
    keeper=${keeper%% *}
}

# ends NAME: $main ends with status 0, complete output and no complaint, and nothing of it is left.
ends()
{
    wait "$main"
    status=$?
    main=
    if [ $status -ne 0 ] || [ -s "$err" ]; then
        fail "$1" "status $status"
    elif ! tries gone; then
        fail "$1" "processes are left: $(family)"
    else
        same_lines "$1"
    fi
}

# slay [PROCESS...]: kills them; fails if there is none, or one of them is gone.
slay()
{
    [ $# -gt 0 ] && kill -9 "$@" 2>/dev/null
}

kill_worker()
{
    # shellcheck disable=SC2046 # a list
    set -- $(children "$keeper")
    slay "$1"
}

kill_workers()
{
    # shellcheck disable=SC2046
    slay $(children "$keeper")
}

kill_keeper()
{
    slay "$keeper"
}

kill_keeper_then_workers()
{
    # shellcheck disable=SC2046
    slay "$keeper" && tries at_work && slay $(family "$long/[1-6]")
}

# midway NAME COMMAND: has it kill some of a run in the middle of its work, and looks how that ends. On a busy machine
# the work may be done before the command comes to it: then once more.
midway()
{
    for _ in 1 2 3 4 5; do
        start "$long"
        if "$2"; then
            ends "$1"
            return
        fi
        wait "$main"
        main=
    done
    fail "$1" "it was never in the middle of its work"
}

start "$long"
for process in $(family); do
    cat "/proc/$process/maps"
    find "/proc/$process/fd" -type l -printf '%l\n'
done >"$temporary/files"
if grep -q 'memfd:brood' "$temporary/files" && ! grep -q '/dev/shm/' "$temporary/files"; then
    pass "nothing in /dev/shm"
else
    fail "nothing in /dev/shm" "$(grep '/dev/shm/' "$temporary/files")"
fi
ends "looked at"
midway "a worker is killed" kill_worker
midway "all workers are killed" kill_workers
midway "the keeper is killed" kill_keeper
midway "keeper and worker after each other" kill_keeper_then_workers

# A file at which four workers die is given up, the others are not.
truncate -s 1G "$long/victim"
start "$long"
worker=
deaths=0
while [ $deaths -lt 4 ] && tries another_at "$long/victim" && kill -9 "$worker"; do
    deaths=$((deaths + 1))
done
wait "$main"
status=$?
main=
if [ $status -ne 1 ] || [ $deaths -ne 4 ] ||
    [ "$(cat "$err")" != "hashtree: $long/victim: four processes died at it; the last was killed by SIGKILL (9)" ]; then
    fail "a file that kills" "status $status, $deaths deaths"
else
    same_lines "a file that kills"
fi
rm "$long/victim"

for signal in KILL TERM; do
    start "$long"
    kill -s $signal "$main"
    wait "$main" 2>/dev/null
    main=
    if tries gone; then
        pass "SIG$signal: no process is left"
    else
        fail "SIG$signal: no process is left" "$(family)"
    fi
done

"$hashtree" "$temporary/many" 2>"$err" | head -n 1 >"$out"
if tries gone && [ "$(wc -l <"$out")" -eq 1 ]; then
    pass "nobody reads on"
else
    fail "nobody reads on" "processes: $(family)"
fi

if [ -z "$(find "$TMPDIR" -mindepth 1)" ]; then
    pass "no temporary file"
else
    fail "no temporary file" "$(find "$TMPDIR" -mindepth 1)"
fi

if [ $skipped -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ]
