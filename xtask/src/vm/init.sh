#!/bin/busybox sh
# The first process of a guest: the host's files read-only below a file system in memory, then the tests, then the end.
# The guest changes nothing of the host's. The first lines of /tests.sh name its root there, and the workspace if that
# is not below the root.
b=/bin/busybox
$b mkdir -p /host /memory /root
files=$($b sed -n 's/^# root //p' /tests.sh)
workspace=$($b sed -n 's/^# workspace //p' /tests.sh)

# Some need others, and which do differs from kernel to kernel: what fails is tried again when the rest is there.
for pass in 1 2 3 4; do
    for module in /modules/*.ko; do $b insmod "$module" 2>/dev/null; done
done

$b mount -t virtiofs -o ro host /host
$b mount -t tmpfs memory /memory
over() { # lower | mount point
    $b mkdir -p "/memory/$3/changed" "/memory/$3/work"
    $b mount -t overlay -o "lowerdir=$1,upperdir=/memory/$3/changed,workdir=/memory/$3/work" "$3" "$2"
}
over "/host$files" /root root
cd /root
$b mkdir -p proc sys dev tmp run root
$b mount -t proc proc proc
$b mount -t sysfs sys sys
$b mount -t securityfs security sys/kernel/security
$b mount -t cgroup2 cgroup sys/fs/cgroup
$b mount -t devtmpfs dev dev
$b mkdir -p dev/pts dev/shm dev/mqueue
$b mount -t devpts pts dev/pts
$b mount -t tmpfs shm dev/shm
$b mount -t tmpfs run run
$b mkdir -m 1777 run/scratch
if [ -n "$workspace" ]; then
    $b mkdir -p "/root$workspace"
    over "/host$workspace" "/root$workspace" workspace
fi
$b ip link set lo up
export STOOP_GUEST=1 STOOP_SLOWNESS=$($b sed -n 's/.*slowness=\([0-9]*\).*/\1/p' /root/proc/cmdline)
$b cp /tests.sh run/tests.sh
# Not chroot: paths in the kernel's logs would begin at the first root, and no process could have a user namespace.
exec $b switch_root . /bin/busybox sh -c '/bin/bash /run/tests.sh; /bin/busybox poweroff -f'
