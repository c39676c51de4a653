#!/bin/busybox sh
# The first process of a guest: the host's root read-only below a file system in memory, then the tests, then the end.
# The guest changes nothing of the host's.
b=/bin/busybox
$b mkdir -p /host /memory /root

# Some need others, and which do differs from kernel to kernel: what fails is tried again when the rest is there.
for pass in 1 2 3 4; do
    for module in /modules/*.ko; do $b insmod "$module" 2>/dev/null; done
done

$b mount -t virtiofs -o ro host /host
$b mount -t tmpfs memory /memory
$b mkdir /memory/changed /memory/work
$b mount -t overlay -o lowerdir=/host,upperdir=/memory/changed,workdir=/memory/work root /root
cd /root
$b mkdir -p proc sys dev tmp run
$b mount -t proc proc proc
$b mount -t sysfs sys sys
$b mount -t cgroup2 cgroup sys/fs/cgroup
$b mount -t devtmpfs dev dev
$b mkdir -p dev/pts dev/shm dev/mqueue
$b mount -t devpts pts dev/pts
$b mount -t tmpfs shm dev/shm
$b mount -t tmpfs run run
$b mkdir -m 1777 run/scratch
$b ip link set lo up
$b cp /tests.sh run/tests.sh
$b chroot . /bin/bash /run/tests.sh
$b poweroff -f
