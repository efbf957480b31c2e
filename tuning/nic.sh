#!/bin/sh
# nic.sh IFACE CORE...: one receive queue for each core of a shard, its interrupt on that core.
# NOT run or measured by the project: read it before you run it, and on a machine that you can reach
# in another way, since changing queues can reset the link. Interrupts are found by the name of the
# interface in /proc/interrupts; some drivers name them otherwise. Stop irqbalance first.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 IFACE CORE..." >&2; exit 2; }
iface=$1
shift
queues=$#

ethtool -L "$iface" combined "$queues"
ethtool -X "$iface" equal "$queues"

irqs=$(awk -F: -v iface="$iface" '$0 ~ iface "(-|$)" { gsub(/ /, "", $1); print $1 }' /proc/interrupts)
queue=0
for core in "$@"; do
    irq=$(echo "$irqs" | sed -n "$((queue + 1))p")
    [ -z "$irq" ] || echo "$core" > "/proc/irq/$irq/smp_affinity_list"
    # Sending: the queue of the same number. The masks of XPS have groups of 32 bits.
    mask=$(awk -v core="$core" 'BEGIN {
        s = sprintf("%x", 2 ^ (core % 32)); for (i = int(core / 32); i > 0; i--) s = s ",00000000"; print s }')
    [ ! -d "/sys/class/net/$iface/queues/tx-$queue" ] ||
        echo "$mask" > "/sys/class/net/$iface/queues/tx-$queue/xps_cpus"
    queue=$((queue + 1))
done
