# Sourced by tools/setup: the Debian packages that the tests use, in the version of the machine's release.
# A program that is there already is left alone, wherever it came from; nothing is removed or upgraded for our sake,
# no service is started or stopped, and one that a new package brings is left disabled: tests start their own servers.

# package:program, or a file where PATH does not lead. Programs come first: a machine with another vendor's containerd has what the tests need.
debian_packages=(
    apache2-utils:htpasswd
    ca-certificates:update-ca-certificates
    chromium:chromium
    containerd:containerd
    containerd:ctr
    containernetworking-plugins:/usr/lib/cni/bridge
    curl:curl
    docker-registry:docker-registry
    exfat-fuse:/usr/sbin/mount.exfat-fuse
    exfatprogs:/usr/sbin/mkfs.exfat
    gnupg:gpg-agent
    iptables:iptables-restore
    iproute2:ip
    jq:jq
    mmdebstrap:mmdebstrap
    ntfs-3g:ntfs-3g
    openssh-sftp-server:/usr/lib/openssh/sftp-server
    openssl:openssl
    pgloader:pgloader
    pgbouncer:pgbouncer
    postgresql-client:psql
    python3-pip:pip3
    qemu-user:qemu-aarch64
    runc:runc
    skopeo:skopeo
    sqlite3:sqlite3
    sshfs:sshfs
    strace:strace
    umoci:umoci
    util-linux:setpriv
)
debian_services=(containerd docker-registry pgbouncer)

# missing_packages PACKAGE:PROGRAM...
missing_packages() {
    local pair program
    for pair; do
        program=${pair#*:}
        if ! command -v "$program" >/dev/null 2>&1 && ! [[ $program == /* && -e $program ]]; then
            printf '%s\n' "${pair%%:*}"
        fi
    done | sort -u
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# apt asks this file before it starts a service. A machine that has one keeps its own.
forbid_service_starts() {
    local policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] && return 0
    printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin "$policy"
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
}

allow_service_starts() {
    [ -n "$(trap -p EXIT)" ] || return 0
    as_root rm -f /usr/sbin/policy-rc.d
    trap - EXIT
}

# disable_services PACKAGE...: those of the new packages that bring a service do not start at the next boot either.
disable_services() {
    local service
    command -v systemctl >/dev/null 2>&1 || return 0
    for service in "${debian_services[@]}"; do
        case " $* " in *" $service "*) as_root systemctl disable --quiet "$service.service" || true ;; esac
    done
}

# install_debian_packages PACKAGE:PROGRAM...
install_debian_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null 2>&1 || die "install these by hand, this is no Debian: ${missing[*]}"
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        die "run as root: apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "installing Debian packages: ${missing[*]}"
    forbid_service_starts
    fetch as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
    fetch as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes \
        --no-install-recommends --no-remove --no-upgrade "${missing[@]}"
    allow_service_starts
    disable_services "${missing[@]}"
}
