# SPDX-License-Identifier: MIT
# Sourced with TARGET set: names and flags of one target. deps/build sets CC, and PREFIX, where a library is installed.
case $TARGET in
x86_64)  GNU=x86_64-linux-gnu    MUSL=x86_64-linux-musl    KERNEL=/usr/include ASM=/usr/include/x86_64-linux-gnu/asm ;;
aarch64) GNU=aarch64-linux-gnu   MUSL=aarch64-linux-musl   KERNEL=/usr/aarch64-linux-gnu/include ASM=/usr/aarch64-linux-gnu/include/asm ;;
armv7)   GNU=arm-linux-gnueabihf MUSL=arm-linux-musleabihf KERNEL=/usr/arm-linux-gnueabihf/include ASM=/usr/arm-linux-gnueabihf/include/asm ;;
*) echo "deps: unknown TARGET '$TARGET': use x86_64, aarch64 or armv7" >&2; exit 2 ;;
esac
CACHE=${CORACLE_CACHE:-$HOME/.cache/coracle}
AR=$GNU-ar RANLIB=$GNU-ranlib
HARDEN="-fPIE -fstack-protector-strong -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -g0"
CF="-Os $HARDEN"
CF_FAST="-O2 $HARDEN"
LF="-static-pie -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack"
