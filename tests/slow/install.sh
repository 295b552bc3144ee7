#!/bin/sh
# Install requirements-slow.lock into an environment of its own: `install.sh PYTHON VENV`. Builds llama.cpp's server from
# source: needs a C++ compiler and, once, about ten minutes of two processors. Every download is checked against a hash.
set -eu
python=$1 venv=$2 lock=$(dirname "$0")/../../requirements-slow.lock
command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || {
    echo 'make test-slow builds an inference server from source and needs a C++ compiler (Debian: build-essential)' >&2
    exit 1
}
"$python" -m venv "$venv"
venv=$(cd "$venv" && pwd)  # absolute: the build runs elsewhere and looks for its tools there
pip="$venv/bin/python -m pip --disable-pip-version-check --no-input --quiet --quiet"

# First the tools, then what they build: an isolated build would fetch its tools unchecked.
awk '/^[a-z]/ { built = /^llama-cpp-python==/ } !built' "$lock" >"$venv/tools.txt"
awk '/^[a-z]/ { built = /^llama-cpp-python==/ } built' "$lock" >"$venv/built.txt"
$pip install --require-hashes --only-binary :all: -r "$venv/tools.txt"

# The server is one of llama.cpp's tools, which the Python package leaves out by default. Its web page, which the build
# would download, TLS and graphics are not needed; nor is speed, so the compiler's time is saved.
PATH="$venv/bin:$PATH" CMAKE_ARGS="
  -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_TOOLS_INSTALL=ON -DLLAVA_BUILD=OFF
  -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DGGML_OPENMP=OFF -DGGML_LLAMAFILE=OFF -DGGML_CPU_REPACK=OFF
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O1 -DCMAKE_CXX_FLAGS_RELEASE=-O1
" $pip install --require-hashes --no-deps --no-build-isolation --no-cache-dir -r "$venv/built.txt"
