#!/bin/sh
# Runs a command in a network of its own whose loopback loses packets: `lossy.sh THRESHOLD COMMAND...`,
# started by `unshare --map-root-user --net`. A classic BPF program at the loopback's ingress draws a
# random u32 for every packet and drops the packet when it is above THRESHOLD. Packets have the size
# of Ethernet's and come one by one (no segmentation offload), so that one draw loses one segment.
set -e
threshold=$1
shift
ip link set lo mtu 1500 gso_max_segs 1 up
tc qdisc add dev lo clsact
# ld random; jgt THRESHOLD, drop, pass; drop: ret 2; pass: ret 0
tc filter add dev lo ingress protocol all bpf direct-action \
  bytecode "4,32 0 0 4294963256,37 0 1 $threshold,6 0 0 2,6 0 0 0"
exec "$@"
