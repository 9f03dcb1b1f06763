#!/bin/bash
# SPDX-License-Identifier: MIT
# The demo without QEMU: the same registry, image, programs and /etc/coracle, with coracle-init as PID 1 of fresh namespaces
# in a tmpfs, the network being this machine's loopback. Ends at `coracle>`; poweroff (or Ctrl-D) leaves. FRESH=1 forgets
# what was pulled before. RUN_DIR keeps data and registry in another folder than O (for the tests).
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "host: namespaces and mounts need root" >&2; exit 1; }
export O=${O:-build}
state=${RUN_DIR:-$O}/demo
data=$(realpath -m "${RUN_DIR:-$O}/host-data")
root=$(realpath -m "${RUN_DIR:-$O}/host-root")
[ -z "${FRESH:-}" ] || rm -rf "$data"
mkdir -p "$data" "$root"

/usr/bin/python3 tests/demo/demo.py start "$state"
trap '/usr/bin/python3 tests/demo/demo.py stop "$state"; echo "host: registry stopped; $data keeps what was pulled (FRESH=1 forgets it)"' EXIT
echo "host: coracle-init starts as PID 1 of its own namespaces; the registry's requests are in $state/registry.log"
# The tmpfs exists in the new mount namespace only, and goes with it.
status=0
unshare --fork --pid --mount --uts --ipc --cgroup --kill-child=SIGKILL /bin/bash -euc '
	root=$1 data=$2 etc=$3
	mount -t tmpfs -o mode=755,size=64m coracle "$root"
	/usr/bin/python3 tests/demo/host.py "$root" "$etc" registry.demo=127.0.0.1
	mount --bind "$data" "$root/data"
	mount -t proc proc "$root/proc"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs -o mode=755 run "$root/run"
	cd "$root"
	mount --move . /
	exec chroot . /usr/bin/coracle-init
' bash "$root" "$data" "$state/etc" || status=$?
# man 2 reboot: in a pid namespace, power off ends its process 1 by SIGINT and restart by SIGHUP.
case $status in 129|130) status=0 ;; esac
exit $status
