#!/bin/sh
# manager_protocol.sh BUILD_DIR: a manager's server called by Python, by what docs/protocol.md says and shows.
set -u

build=${1:?usage: manager_protocol.sh BUILD_DIR}
tests=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for python in /usr/bin/python3 python3; do
    if "$python" -c 'import cbor2, multiprocessing.connection' 2>/dev/null; then
        exec "$python" "$tests/manager_protocol.py" "$build/tests/interop/manager" "$tests/../docs/protocol.md" \
            "$build/libbrood_openssl.so"
    fi
done
echo "there is no python3 with cbor2 here (Debian: python3-cbor2)"
exit 77
