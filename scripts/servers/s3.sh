#!/usr/bin/env bash
# Installs the S3 servers that the tests start: Ceph's gateway from the system's packages, and two Go programs, built
# from pinned versions into ${CLAIM_CHECK_CACHE:-$HOME/.cache/temporal-claim-check}/bin. Running it again is quick.
set -euo pipefail

versitygw=github.com/versity/versitygw/cmd/versitygw@v1.8.0
gofakes3=github.com/johannesboyne/gofakes3/cmd/gofakes3@v1.2.0

cache=${CLAIM_CHECK_CACHE:-$HOME/.cache/temporal-claim-check}
mkdir -p "$cache/bin"

missing() {
    echo "s3.sh: $1 is missing: $2" >&2
    exit 1
}

ceph_is_there() {
    local program
    for program in ceph ceph-mon ceph-osd monmaptool radosgw radosgw-admin curl; do
        command -v "$program" >/dev/null || return 1
    done
}

if ! ceph_is_there; then
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    command -v apt-get >/dev/null || missing "Ceph's gateway" "install radosgw, ceph-mon, ceph-osd and curl with your package manager"
    [ -z "$as_root" ] || command -v sudo >/dev/null || missing "Ceph's gateway" "as root: apt-get install radosgw ceph-mon ceph-osd curl"
    $as_root apt-get update -qq
    # Not the recommended ones: they bring a management daemon and services nobody needs here.
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends \
        radosgw ceph-mon ceph-osd curl >/dev/null
    ceph_is_there || missing "Ceph's gateway" "apt-get install radosgw ceph-mon ceph-osd curl did not bring it"
fi

go_install() {
    local module=$1 program=$2
    local stamp="$cache/bin/.$program.version"
    if [ -x "$cache/bin/$program" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$module" ]; then
        return
    fi
    command -v go >/dev/null || missing "Go" "https://go.dev/doc/install; it builds $program"
    echo "s3.sh: building $program" >&2
    GOBIN="$cache/bin" GOFLAGS=-trimpath go install "$module"
    echo "$module" >"$stamp"
}

go_install "$versitygw" versitygw
go_install "$gofakes3" gofakes3
