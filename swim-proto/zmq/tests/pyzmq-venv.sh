#!/usr/bin/env bash
# Makes a Python environment with libzmq in it (pyzmq's wheel brings it), and prints its python: what the tests of
# `interop_libzmq.rs` are given as SWIM_PYZMQ. Made once, below the target directory; a second run needs no network.
set -euo pipefail
cd "$(dirname "$0")/../../.."

version=27.1.0
venv=${CARGO_TARGET_DIR:-$PWD/target}/pyzmq-$version
python=$venv/bin/python
works() { [ -x "$python" ] && "$python" -c "import zmq; assert zmq.__version__ == '$version'" 2>/dev/null; }

if ! works; then
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    python3 -m venv "$venv" >&2
    "$python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "pyzmq==$version" >&2
    works || { echo "$python does not import pyzmq $version" >&2; exit 1; }
fi
echo "$python"
