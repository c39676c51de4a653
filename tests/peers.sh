# shellcheck shell=bash
# The programs and libraries that the tests start, and how ./test installs those that are missing. Sourced by ./test.
#
# Packages come from apt (root on Debian or Ubuntu only). Libraries of other languages, and newer containerds, go into
# the target directory, so that nothing else of the machine changes.

# Each program the tests may start, or file that they need, and the Debian package that has it.
peers=(
    socat:socat
    ncat:ncat
    nc.openbsd:netcat-openbsd
    python3:python3
    pip3:python3-pip
    systemd-socket-activate:systemd
    ss:iproute2
    lsof:lsof
    lsfd:util-linux-extra
    setfacl:acl
    strace:strace
    setpriv:util-linux
    unshare:util-linux
    bindfs:bindfs
    cc:gcc
    containerd:containerd
    runc:runc
    busybox:busybox-static
    dockerd:docker.io
    /usr/lib/python3/dist-packages/docker/__init__.py:python3-docker
    curl:curl
    openssl:openssl
    redis-server:redis-server
    nginx:nginx-light
    /usr/lib/nginx/modules/ngx_stream_module.so:libnginx-mod-stream
    /usr/lib/python3/dist-packages/gi/__init__.py:python3-gi
    haproxy:haproxy
    dbus-daemon:dbus-daemon
    postgres:postgresql
    /usr/sbin/mariadbd:mariadb-server-core
    mariadb:mariadb-client-core
    cgi-fcgi:libfcgi-bin
    fcgiwrap:fcgiwrap
    weston:weston
    wayland-info:wayland-utils
    rsyslogd:rsyslog
    ssh-agent:openssh-client
    gpg-agent:gpg-agent
    tmux:tmux
    zsh:zsh
    fish:fish
    zstd:zstd
    mandoc:mandoc
    man:man-db
    rsvg-convert:librsvg2-bin
    tshark:tshark
    Xvfb:xvfb
    xauth:xauth
    xprop:x11-utils
    /usr/share/xcb/xproto.xml:xcb-proto
    userdbctl:systemd-userdbd
)

python_libraries=('grpcio>=1.70,<2' grpcio-reflection grpcio-status prometheus-client)
node_libraries=('@grpc/grpc-js@^1.14')

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
newer_containerd=$target/peers/containerd
newest_containerd=$target/peers/containerd-2

missing() { # programs | packages
    local peer PATH=$PATH
    # Debian keeps PostgreSQL's server out of PATH.
    PATH+=$(printf ':%s' /usr/lib/postgresql/*/bin)
    for peer in "${peers[@]}"; do
        command -v "${peer%%:*}" >/dev/null && continue
        [[ $peer == /* && -e ${peer%%:*} ]] && continue
        if [ "$1" = programs ]; then echo "${peer%%:*}"; else echo "${peer#*:}"; fi
    done
}

debian() { [ -e /etc/debian_version ] && command -v apt-get >/dev/null; }

root_on_debian() { [ "$(id -u)" = 0 ] && debian; }

# What is missing and can be installed, into three lists: of packages, of libraries, and of what is fetched.
plan() {
    packages=() libraries=() fetched=()
    ! root_on_debian || mapfile -t packages < <(missing packages)
    local added=" ${packages[*]-} "
    if [ ! -d "$target/peers/python/grpc_status" ]; then
        if [[ $added = *" python3-pip "* ]] || python3 -m pip --version >/dev/null 2>&1; then
            libraries+=("${python_libraries[@]%%>=*}")
        fi
    fi
    if [ ! -d "$target/peers/node/node_modules/@grpc" ] && command -v npm >/dev/null; then
        libraries+=("${node_libraries[@]%@*}")
    fi
    # Debian 12's containerd has no events by the CRI. The next Debian's does, and needs nothing newer of the machine.
    if root_on_debian && [ ! -x "$newer_containerd/usr/bin/containerd" ] &&
        [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] && containerd_is_old "$added"; then
        fetched+=("containerd of Debian 13")
    fi
    # Version 2, for its own form of the CRI.
    if root_on_debian && [ ! -x "$newest_containerd/usr/bin/containerd" ] &&
        [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] && [[ "$(containerd --version 2>/dev/null)" != *" 2."* ]]; then
        fetched+=("containerd of Debian's next release")
    fi
}

containerd_is_old() { # packages to install
    if [[ $1 = *" containerd "* ]]; then
        [[ "$(apt-cache policy containerd 2>/dev/null)" = *"Candidate: 1.6."* ]]
    else
        [[ "$(containerd --version 2>/dev/null)" = *" 1.6."* ]]
    fi
}

# Whether the plan has anything to install.
planned() { [ $((${#packages[@]} + ${#libraries[@]} + ${#fetched[@]})) -gt 0 ]; }

# Prints the plan, one line for each destination.
list_plan() {
    echo "Missing, and to be installed for the tests:"
    [ ${#packages[@]} -eq 0 ] || {
        echo "  with apt-get:       ${packages[*]}"
        echo "                      (daemons among them are neither started nor enabled)"
    }
    local inside=("${libraries[@]}" "${fetched[@]}")
    [ ${#inside[@]} -eq 0 ] || echo "  into target/peers:  $(printf '%s, ' "${inside[@]}" | sed 's/, $//')"
}

# Installs what `plan` listed. What cannot be installed is reported, and its tests skip.
install_plan() {
    [ ${#packages[@]} -eq 0 ] || install_packages
    [ ${#libraries[@]} -eq 0 ] || install_libraries
    local place
    for place in "${fetched[@]}"; do
        case $place in
        *" 13") fetch_containerd "$newer_containerd" trixie ;;
        *) fetch_containerd "$newest_containerd" sid ;;
        esac
    done
}

install_packages() {
    local before
    before=$(enabled_units)
    forbid_starts
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -q update && apt-get -q install -y --no-install-recommends "${packages[@]}"; } >&2 ||
        echo "apt-get failed; going on with what is there"
    allow_starts
    # A package enables its unit even if it may not start it.
    local unit now=()
    [ ! -d /run/systemd/system ] || now=(--now)
    while read -r unit; do
        systemctl --quiet disable "${now[@]}" "$unit" >&2 || echo "cannot disable $unit"
    done < <(comm -13 <(echo "$before") <(enabled_units))
}

# The names under which units are enabled: links in the directories of targets and of other units.
enabled_units() { find /etc/systemd/system -mindepth 2 -type l -printf '%f\n' 2>/dev/null | sort -u; }

# Debian's packages ask this program before they start a daemon; 101 is "no". One that is already there is kept.
policy=/usr/sbin/policy-rc.d

forbid_starts() {
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\n# Written by ./test while it installs packages.\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    wrote_policy=yes
}

allow_starts() {
    [ "${wrote_policy-}" = yes ] || return 0
    rm -f "$policy"
    wrote_policy=
}

# Libraries that the tests call and are called by: grpcio (gRPC's C core) and grpc-js.
install_libraries() {
    local names=" ${libraries[*]} "
    if [[ $names = *" grpcio "* ]]; then
        python3 -m pip install -q --disable-pip-version-check --target "$target/peers/python" --upgrade \
            "${python_libraries[@]}" >&2 || echo "pip failed; going on without grpcio"
    fi
    if [[ $names = *grpc-js* ]]; then
        npm install --silent --no-audit --no-fund --prefix "$target/peers/node" "${node_libraries[@]}" >&2 ||
            echo "npm failed; going on without grpc-js"
    fi
}

# Fetches the containerd of another release of Debian with apt, with lists of its own, and unpacks it.
fetch_containerd() { # directory release
    local place=$1
    mkdir -p "$place/lists/partial" "$place/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $2 main" \
        >"$place/sources.list"
    local apt=(apt-get -q -o "Dir::Etc::sourcelist=$place/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$place/lists" -o "Dir::Cache=$place/cache" -o Dir::State::status=/dev/null
        -o Acquire::Languages=none -o APT::Sandbox::User=root -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    { "${apt[@]}" update && (cd "$place" && "${apt[@]}" download containerd && dpkg-deb --extract containerd_*.deb .); } >&2 ||
        echo "cannot fetch containerd of Debian $2; going on without"
    rm -rf "$place/lists" "$place/cache" "$place"/*.deb
}
