#!/bin/sh
# Install the AI gateways that `benchmarks.gateways` measures beside ours, into .venv-peers: LiteLLM's proxy from PyPI,
# Portkey's gateway from npm; a client that `benchmarks.upstream` compares ours with; and py-spy. Not in any lock of this
# project: nothing of it runs them but the benchmarks, which say on their pages which versions they found, or that one is
# missing. Takes two minutes.
set -eu
cd "$(dirname "$0")/../.."
python=.venv/bin/python peers=.venv-peers
pip() { "$python" -m pip --disable-pip-version-check --no-input --quiet --quiet --python "$1" install --only-binary :all: "$2"; }

"$python" -m venv --without-pip "$peers/litellm"
pip "$peers/litellm/bin/python" 'litellm[proxy]==1.108.7'
pip "$peers/litellm/bin/python" 'async-timeout==5.0.1' # which a Python before 3.11.3 needs, too
"$python" -m pip --disable-pip-version-check --no-input --quiet --quiet install \
    --only-binary :all: --no-deps --target "$peers/clients" --upgrade 'pyreqwest==0.15.1' 'py-spy==0.4.3'
mkdir -p "$peers/portkey"
# With a newer @hono/node-server this gateway answers streams and embeddings with `TypeError: immutable`.
cat >"$peers/portkey/package.json" <<END
{"private": true, "dependencies": {"@portkey-ai/gateway": "1.15.2"}, "overrides": {"@hono/node-server": "1.8.2"}}
END
sh tests/clients/npm.sh "$(pwd)/$python" "$peers/portkey" install --no-audit --no-fund
