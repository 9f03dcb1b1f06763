#!/bin/bash
# SPDX-License-Identifier: MIT
# boards/common/run.sh BOARD: builds, starts the demo's registry, boots the board in QEMU with its serial console here.
# FRESH=1 begins with an empty data disk. RUN_DIR keeps disk and registry in another folder than O (for the tests).
set -euo pipefail
cd "$(dirname "$0")/../.."
board=${1:-qemu-x86_64}
export O=${O:-build}
[ -f "boards/$board/board" ] || { echo "run: no board $board; there are: $(cd boards && ls -d qemu-* | tr '\n' ' ')" >&2; exit 2; }
. "boards/$board/board"
state=${RUN_DIR:-$O}/demo out=${RUN_DIR:-$O}/$board
say() { echo "run: $*"; }

say "building the programs for $TARGET"
${MAKE:-make} --no-print-directory TARGET="$TARGET" all
say "setting up the demo's registry"
/usr/bin/python3 tests/demo/demo.py start "$state"
trap '/usr/bin/python3 tests/demo/demo.py stop "$state"; echo; echo "run: registry stopped; the disk $disk keeps what was pulled (FRESH=1 forgets it)"' EXIT
say "packing kernel and initramfs of $board"
/usr/bin/python3 boards/common/pack.py "$board" --out "$out" --etc "$state/etc" --host registry.demo=10.0.2.2
disk=$out/data.img
[ -z "${FRESH:-}" ] || rm -f "$disk"
[ -e "$disk" ] || say "making an empty data disk, $disk"
boards/common/data.sh "$disk"

say "booting; the board's serial console follows. Ctrl-A X ends QEMU, as does poweroff at the prompt"
$QEMU -nodefaults -display none -serial mon:stdio -m 512 -smp 2 -accel "${ACCEL:-tcg,thread=multi}" \
	-drive id=d0,file="$disk",format=raw,if=none,cache=writethrough -netdev user,id=n0 $DEVICES \
	-kernel "$out/vmlinuz" -initrd "$out/initramfs.cpio" -append "console=$CONSOLE panic=-1 quiet loglevel=3"
