#!/bin/sh
# Builds policy.wasm of rules.py. Needs Python 3.10 or later, with venv.
set -eu
cd "$(dirname "$0")"

[ -x .venv/bin/componentize-py ] || {
    python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --requirement requirements.txt
}

# --stub-wasi takes away all that Python could ask of a system: a policy has no
# import.
.venv/bin/componentize-py --wit-path wit --world policy componentize rules \
    --python-path . --python-path sdk --stub-wasi --output policy.wasm
