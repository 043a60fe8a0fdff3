#!/bin/bash
# Runs a command beside Ceph's S3 gateway: one mon, one osd in memory and radosgw, on loopback, in a folder that goes
# with them. The command finds the gateway's address in PLURIBUS_TEST_S3 and a user's keys in AWS_*.
set -euo pipefail
if ! type ceph ceph-mon ceph-osd radosgw >/dev/null 2>&1; then
    root=$([ "$(id -u)" = 0 ] || echo sudo)
    $root apt-get update -qq
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends ceph-common ceph-mon ceph-osd radosgw >/dev/null
fi

here=$(mktemp -d "${TMPDIR:-/tmp}/radosgw.XXXXXX")
daemons=()
finish() {
    { kill -KILL "${daemons[@]}" || true; wait; } 2>/dev/null  # what lies in memory needs no farewell
    rm -rf "$here"
}
trap finish EXIT
trap 'exit 130' INT TERM

start() { # a daemon; what it says goes to its log
    "$@" --foreground >"$here/$1.log" 2>&1 &
    daemons+=($!)
}
until_true() { # the command succeeds within 60 s, or the daemons' last words
    for _ in {1..240}; do
        "$@" >"$here/attempt" 2>&1 && return
        kill -0 "${daemons[@]}" 2>/dev/null || break
        sleep 0.25
    done
    echo "the gateway did not start: $*" >&2
    tail -n 20 "$here"/attempt "$here"/*.log >&2
    exit 1
}

read -r mon web < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[one.getsockname()[1] for one in held])')
fsid=$(cat /proc/sys/kernel/random/uuid)
mkdir "$here"/{mon,osd,rgw}
# Without cephx even the monitor's clients must leave the "secure" mode, else all hang (-13).
cat >"$here/ceph.conf" <<CONF
[global]
fsid = $fsid
mon_host = v2:127.0.0.1:$mon
public_addr = 127.0.0.1
run_dir = $here
admin_socket = $here/\$name.sock
log_file =
log_to_stderr = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
[mon.a]
mon_data = $here/mon
mon_data_avail_crit = 1
[osd.0]
osd_data = $here/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
[client.rgw]
rgw_data = $here/rgw
rgw_frontends = beast endpoint=127.0.0.1:$web
CONF
export CEPH_CONF=$here/ceph.conf

monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon]" "$here/monmap" >/dev/null
ceph-mon --mkfs --id a --monmap "$here/monmap"
start ceph-mon --id a
until_true timeout 10 ceph osd new "$fsid" 0
ceph-osd --mkfs --id 0 --osd-uuid "$fsid" >"$here/mkfs.log" 2>&1
start ceph-osd --id 0
until_true bash -c 'timeout 10 ceph osd stat | grep "1 up"'
start radosgw --name client.rgw
until_true curl --silent --fail --output /dev/null "http://127.0.0.1:$web"

AWS_ACCESS_KEY_ID=$(openssl rand -hex 10)
AWS_SECRET_ACCESS_KEY=$(openssl rand -hex 20)
radosgw-admin user create --uid test --display-name test \
    --access-key "$AWS_ACCESS_KEY_ID" --secret-key "$AWS_SECRET_ACCESS_KEY" >/dev/null
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY PLURIBUS_TEST_S3=http://127.0.0.1:$web
unset CEPH_CONF
"$@"
