#!/bin/sh
# examples.sh BUILD_DIR: the short examples print exactly what they say, under each start method.
set -u

build=${1:?usage: examples.sh BUILD_DIR}
passed=0
failed=0

# expect NAME TEXT METHOD [ARGUMENT]: examples/NAME prints TEXT and a newline, nothing on standard error, and ends
# with 0.
expect()
{
    errors=$(mktemp) || exit 1
    # The dot keeps the newlines at the end, which $() would drop.
    output=$(BROOD_START_METHOD=$3 timeout 30 "$build/examples/$1" ${4:+"$4"} 2>"$errors"; echo "status $?.")
    if [ "$output" = "$2
status 0." ] && [ ! -s "$errors" ]; then
        echo "ok $1 $3"
        passed=$((passed + 1))
    else
        echo "FAILED $1 $3: it printed '$output'"
        cat "$errors"
        failed=$((failed + 1))
    fi
    rm -f "$errors"
}

# expect_counter METHOD: without the lock any number may get lost, with it and by adding none.
expect_counter()
{
    output=$(timeout 120 "$build/examples/counter" "$1" 2>&1; echo "status $?.")
    if [ "$(echo "$output" | sed '1s/: [0-9]* of/: some of/')" = "no lock: some of 10000000 lost
lock: 0 of 10000000 lost
brood_value_add: 0 of 10000000 lost
status 0." ]; then
        echo "ok counter $1 ($(echo "$output" | head -n 1))"
        passed=$((passed + 1))
    else
        echo "FAILED counter $1: it printed '$output'"
        failed=$((failed + 1))
    fi
}

# crashtest METHOD: each way to end is there with its reason, and the counts are 10,000 together. How many ended by
# their time is the machine's affair, if that has too much to do.
crashtest()
{
    output=$(BROOD_START_METHOD=$1 timeout 120 "$build/examples/crashtest" 2>&1; echo "status $?.")
    ways=$(echo "$output" | grep -v '^over memory ' | sed 's/  *[0-9]*  /: /; s/ *$//')
    sum=$(echo "$output" | sed -n 's/^[a-z ]*  *\([0-9]*\)  .*/\1/p' | awk '{ sum += $1 } END { print sum }')
    if [ "$ways" = "$ends" ] && [ "$sum" = 10000 ]; then
        echo "ok crashtest $1"
        passed=$((passed + 1))
    else
        echo "FAILED crashtest $1: it printed '$output'"
        failed=$((failed + 1))
    fi
}

ends='returned:
failed: input 567 is no number
exited: called exit with 3
crashed: killed by SIGABRT (6)
timed out: took longer than its 1000 ms
status 0.'
list='child: killed by SIGKILL (9)
3 2 1 count 3, last 1'
tree='words: array barrier event lock pipe pool queue value
20 died, 0 words counted wrong'
deadlock='booker: killed by SIGKILL (9)
auditor: has both locks, one of them inherited'
jobs='1 worker died
sum 55'
accounts='140
brood_managed_object_call: there are 140, and not 200
70 80'
for method in fork spawn forkserver; do
    expect locks 10 $method
    expect shared_memory 3.14 $method
    expect shared_dict 10 $method
    expect shared_list '[0, 1, 2, 3, 4]' $method
    expect namespace '11 child' $method
    expect managed_queue "$jobs" $method
    expect managed_type "$accounts" $method
    expect managed_reference '[0, 1, 2] [1, 2, 3] [2, 3, 4]' $method
    expect remote_manager 3 $method
    expect_counter $method
    expect pool '[1, 4, 9, 16, 25]' $method
    expect queue '[1, 4, 9, 16]' $method
    expect pipe 'Hello, World!' $method
    expect loop '100 200' $method
    expect pool_loop 328350 $method
    if [ -e "$build/examples/loop_uv" ]; then
        expect loop_uv '100 338350' $method
    fi
    expect pool_async '[1, 4, 9, 16, 25]' $method
    expect context 'Hello, World!' $method
    expect context 'Hello, World!' $method $method
    expect list "$list" $method
    expect list "$list" $method $method
    expect tree "$tree" $method
    expect deadlock "$deadlock" $method 1
    expect busy 'that will do' $method 1
    crashtest $method
done

# talk KEY NAME TEXT: what examples/client prints of an examples/listener whose key is "secret".
talk()
{
    folder=$(mktemp -d) || exit 1
    timeout 30 "$build/examples/listener" unix:@brood-example-$$ secret 1 >"$folder/address" 2>&1 &
    for _ in $(seq 200); do
        [ -s "$folder/address" ] && break
        sleep 0.05
    done
    output=$(timeout 30 "$build/examples/client" "$(cat "$folder/address")" "$1" World "$2" 2>&1; echo "status $?.")
    if [ "$1" != secret ]; then
        kill $!
    fi
    wait $!
    rm -rf "$folder"
    if [ "$output" = "$3" ]; then
        echo "ok client $1"
        passed=$((passed + 1))
    else
        echo "FAILED client $1: it printed '$output'"
        failed=$((failed + 1))
    fi
}

if [ -e "$build/libbrood_openssl.so" ]; then
    talk secret you 'Hello, World!
Hello, you!
status 0.'
    talk guess you "brood_connection_open: 'unix:@brood-example-$$': it refused the key
status 1."
fi
# ask PORT PATH: what the server on that port answers; nothing if it hangs up.
ask()
{
    # shellcheck disable=SC2016 # the inner shell's
    timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1 && printf "GET %s HTTP/1.0\r\n\r\n" "$2" >&3 &&
        sed "1,/^\r\$/d" <&3' bash "$1" "$2" 2>/dev/null
}

# workers: the lines of the server that tell of workers that have been started: "worker INDEX: ID".
workers()
{
    grep '^worker [0-9]*: [0-9]*$' "$said"
}

# has_started COUNT: the server has started so many workers by now, or within ten seconds.
has_started()
{
    for _ in $(seq 200); do
        if [ "$(workers | wc -l)" -ge "$1" ]; then
            return 0
        fi
        sleep 0.05
    done
    return 1
}

# worker INDEX: the process id of that worker of the server.
worker()
{
    workers | sed -n "s/^worker $1: //p" | tail -n 1
}

# is_gone ID: the process has ended, within ten seconds.
is_gone()
{
    for _ in $(seq 200); do
        if ! grep -qs '^State:.[^Z]' "/proc/$1/status"; then # a zombie is its new parent's affair
            return 0
        fi
        sleep 0.05
    done
    return 1
}

# server METHOD: each worker is killed and each crashed by a client; there is an answer at once all the same, each
# worker is replaced, and no answer is counted twice or not at all. With the supervisor its workers go, the port is free
# for the next one, and that one ends in order.
server()
{
    folder=$(mktemp -d) || exit 1
    said=$folder/said
    : >"$said"
    error=''
    BROOD_START_METHOD=$1 "$build/examples/server" 0 3 >"$said" 2>"$folder/errors" &
    supervisor=$!
    has_started 3 || error='no workers'
    port=$(sed -n 's/^http:.*:\([0-9]*\)\/.*/\1/p' "$said")
    for index in 0 1 2; do
        [ -z "$error" ] || break
        kill -KILL "$(worker $index)"
        ask "$port" / | grep -q "^answer $((2 * index + 1)), of worker [0-2] " || error='no answer beside a killed one'
        has_started $((2 * index + 4)) || error='one that was killed is not replaced'
        [ -z "$(ask "$port" /crash)" ] || error='an answer to a crash'
        ask "$port" / | grep -q "^answer $((2 * index + 2)), of worker [0-2] " || error='no answer beside a crash'
        has_started $((2 * index + 5)) || error='one that crashed is not replaced'
    done
    [ "$(grep -c "killed by SIGKILL (9), at ''" "$said")" -eq 3 ] || error="${error:-not 3 killed}"
    [ "$(grep -c "killed by SIGSEGV (11), at '/crash'" "$said")" -eq 3 ] || error="${error:-not 3 crashed}"
    kill -KILL $supervisor
    wait $supervisor 2>/dev/null
    for index in 0 1 2; do
        is_gone "$(worker $index)" || error="worker $index outlives its supervisor"
    done
    said=$folder/next # the first one's lines are not to be taken for its
    : >"$said"
    # Not by timeout(1): it sends SIGCONT behind a SIGTERM, which may take away the SIGSTOP by which LeakSanitizer stops
    # a program that is about to end; both would wait for ever.
    BROOD_START_METHOD=$1 "$build/examples/server" "$port" 2 >"$said" 2>>"$folder/errors" &
    supervisor=$!
    has_started 2 || error='the port is not free'
    ask "$port" / | grep -q '^answer 1, ' || error='no answer of the next one'
    kill -TERM $supervisor
    wait $supervisor || error="the next one ends with $?"
    [ "$(tail -n 1 "$said")" = 'answers: 1' ] || error='a wrong number of answers'
    [ ! -s "$folder/errors" ] || error=$(cat "$folder/errors")
    if [ -z "$error" ]; then
        echo "ok server $1"
        passed=$((passed + 1))
    else
        echo "FAILED server $1: $error"
        cat "$said"
        failed=$((failed + 1))
    fi
    rm -rf "$folder"
}

if command -v bash >/dev/null; then # which can open a socket
    for method in fork spawn forkserver; do
        server $method
    done
fi

# A picture is the same whatever method drew it, and a PNG of that size.
if [ -e "$build/examples/picture" ]; then
    folder=$(mktemp -d) || exit 1
    for method in fork spawn forkserver; do
        BROOD_START_METHOD=$method timeout 60 "$build/examples/picture" "$folder/$method" 300 200 2>"$folder/errors"
        status=$?
        head=$(head -c 24 "$folder/$method" | od -An -tx1 | tr -d ' \n')
        if [ $status -eq 0 ] && [ ! -s "$folder/errors" ] && cmp "$folder/fork" "$folder/$method" &&
            [ "$head" = 89504e470d0a1a0a0000000d494844520000012c000000c8 ]; then
            echo "ok picture $method"
            passed=$((passed + 1))
        else
            echo "FAILED picture $method: status $status, $head"
            cat "$folder/errors"
            failed=$((failed + 1))
        fi
    done
    rm -rf "$folder"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
