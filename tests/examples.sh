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

list='child: killed by SIGKILL (9)
3 2 1 count 3, last 1'
for method in fork spawn forkserver; do
    expect locks 10 $method
    expect shared_memory 3.14 $method
    expect shared_dict 10 $method
    expect shared_list '[0, 1, 2, 3, 4]' $method
    expect namespace '11 child' $method
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
