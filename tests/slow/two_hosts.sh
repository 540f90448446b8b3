# two_hosts.sh - two hosts, host0 and host1, for test_two_hosts.sh and tests/bench/two_hosts.sh: network namespaces with
# names of their own, joined by a link, in namespaces that end with all that runs in them. SPDX-License-Identifier: MIT

# hosts_begin "$@": at the start of a script, which runs itself again inside.
hosts_begin() {
    local n
    if [ "${1-}" != inside ]; then
        if [ "$(id -u)" != 0 ] || ! command -v ip tc unshare > /dev/null ||
            ! unshare --net --mount ip link add left type veth peer name right; then
            echo "skipped: needs root, iproute2 and network namespaces"
            exit 77
        fi
        exec unshare --net --mount --pid --fork --mount-proc --kill-child bash "$0" inside "$@"
    fi
    . "$SOURCE/tests/tool/train_common.sh" || exit 1
    . "$SOURCE/tests/tool/ranks_common.sh"
    mkdir -p /run/netns && mount -t tmpfs hosts /run/netns || fail "/run/netns"
    printf '127.0.0.1 localhost\n10.9.0.1 host0\n10.9.0.2 host1\n' > "$scratch/hosts"
    mount --bind "$scratch/hosts" /etc/hosts && ip netns add host0 && ip netns add host1 &&
        ip link add left netns host0 type veth peer name right netns host1 || fail "two network namespaces"
    ip -n host0 addr add 10.9.0.1/24 dev left
    ip -n host1 addr add 10.9.0.2/24 dev right
    ip -n host0 link set left up
    ip -n host1 link set right up
    for n in 0 1; do ip -n host$n link set lo up; done
    # In place of ssh, HOST COMMAND... : as ssh does, a shell reads the words again.
    printf '#!/bin/sh\nhost=$1 && shift\nexec ip netns exec $host unshare --uts sh -c "hostname $host; exec $*"\n' > "$scratch/agent"
    chmod +x "$scratch/agent"
}
# on_hosts -n N COMMAND...: mpirun on host0, half of the processes on each host; MPI's bytes take $network
on_hosts() {
    exec_on_host0 mpirun --bind-to none --mca plm_rsh_agent "$scratch/agent" --mca btl_tcp_if_include "${network-10.9.0.0/24}" \
        --mca oob_tcp_if_include 10.9.0.0/24 -H host0:8,host1:8 --map-by ppr:"$(($2 / 2))":node "$@"
}
exec_on_host0() { ip netns exec host0 unshare --uts sh -c 'hostname host0; exec "$@"' - "$@"; }
# limit_link: 1 Gbit/s each way; fails where the kernel cannot
limit_link() {
    tc -n host0 qdisc add dev left root tbf rate 1gbit burst 256kb latency 50ms 2> "$scratch/null" &&
        tc -n host1 qdisc add dev right root tbf rate 1gbit burst 256kb latency 50ms
}
unlimit_link() {
    tc -n host0 qdisc del dev left root
    tc -n host1 qdisc del dev right root
}
# bytes_sent: by host0 so far
bytes_sent() { ip netns exec host0 cat /sys/class/net/left/statistics/tx_bytes; }
