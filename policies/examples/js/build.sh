#!/bin/sh
# Builds policy.wasm of rules.js. Needs Node.js 18 or later, and npm.
set -eu
cd "$(dirname "$0")"

[ -x node_modules/.bin/componentize-js ] || npm ci --ignore-scripts --no-audit --no-fund

# What is disabled is all that the engine could ask of a system: a policy has no
# import.
node_modules/.bin/componentize-js rules.js --wit wit --world-name policy --out policy.wasm \
    --disable stdio random clocks http fetch-event
