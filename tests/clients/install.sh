#!/bin/sh
# Install the clients for Node.js, pinned by version and hash: `install.sh PYTHON`. None of them runs a script of its own.
set -eu
exec sh "$(dirname "$0")/npm.sh" "$1" "$(dirname "$0")/node" ci --ignore-scripts --silent
