#!/bin/sh
# Install the AI gateways that `benchmarks.gateways` measures beside ours, into .venv-peers: LiteLLM's proxy from PyPI,
# Portkey's gateway from npm; a client that `benchmarks.upstream` compares ours with; and py-spy. Not in any lock of this project: nothing of it runs them but the benchmark, which says on its
# page which versions it found, or that one is missing.
set -eu
cd "$(dirname "$0")/../.."
python=.venv/bin/python peers=.venv-peers
"$python" -m venv "$peers/litellm"
"$peers/litellm/bin/python" -m pip --disable-pip-version-check --no-input --quiet --quiet install \
    --only-binary :all: 'litellm[proxy]==1.108.7'
"$python" -m pip --disable-pip-version-check --no-input --quiet --quiet install \
    --only-binary :all: --no-deps --target "$peers/clients" --upgrade 'pyreqwest==0.15.1' 'py-spy==0.4.3'
mkdir -p "$peers/portkey"
sh tests/clients/npm.sh "$(pwd)/$python" "$peers/portkey" install --no-save @portkey-ai/gateway@1.15.2
