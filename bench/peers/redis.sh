#!/bin/sh
# redis.sh --list | FIGURE: a Redis server at a Unix socket on a manager's figures; a peer as bench/peer.h wants it. The
# client is Redis' own, and one connection; in a batch it has as many requests on the way at once.
set -eu

case "${1:-}" in
    --list)
        command -v redis-server redis-benchmark >/dev/null
        printf 'manager_remote_get\nmanager_batch\nmanager_batch_64\nmanager_remote_batch\n'
        exit 0
        ;;
    manager_remote_get) set -- -n 100000 ;;
    manager_batch | manager_remote_batch) set -- -n 2000000 -P 1000 ;;
    manager_batch_64) set -- -n 2000000 -P 64 ;;
    *)
        echo 'usage: redis.sh --list | FIGURE' >&2
        exit 2
        ;;
esac

folder=$(mktemp -d)
server=''
end()
{
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 1' HUP INT TERM
redis-server --port 0 --unixsocket "$folder/socket" --save '' --appendonly no --dir "$folder" >/dev/null &
server=$!
tries=0
until [ "$(redis-cli -s "$folder/socket" set count 0 2>/dev/null)" = OK ]; do
    tries=$((tries + 1))
    [ "$tries" -le 100 ]
    sleep 0.1
done

# "GET count","123456.78",...: requests a second; printed are microseconds for one.
redis-benchmark -s "$folder/socket" -c 1 "$@" --csv get count |
    awk -F '"' '$2 == "get count" || $2 == "GET count" { printf "%.4f\n", 1000000 / $4; found = 1 } END { exit !found }'
