# SPDX-License-Identifier: MIT
"""kernel_options.py CONFIG: judges a kernel's .config: each option that coracle asks for, whether the kernel has it, and what is lost
without it. Exits 1 when one is missing without which a board does not come to running units. A module counts: boards/BOARD/modules loads it."""
import re, sys

NEEDED, WANTED, ONE_OF = "needed", "wanted", "|"
OPTIONS = [
    ("BLK_DEV_INITRD", NEEDED, "the system is an initramfs"),
    ("RD_GZIP", NEEDED, "make image compresses the initramfs"),
    ("DEVTMPFS", NEEDED, "/dev of the board"),
    ("TMPFS", NEEDED, "PID 1 moves to a tmpfs before it starts units; /run"),
    ("PROC_FS", NEEDED, "units' mounts, descriptors and limits are reached through /proc"),
    ("SYSFS", NEEDED, "disks and network cards are found in /sys"),
    ("BINFMT_ELF", NEEDED, "programs"),
    ("ARM_THUMB" + ONE_OF + "64BIT", NEEDED, "on armv7 coracle's programs, and most others, are Thumb-2"),
    ("MULTIUSER", NEEDED, "units and jails have user ids of their own"),
    ("FUTEX", NEEDED, "the C library's locks"),
    ("EPOLL", WANTED, "event loops of most programs in units"),
    ("SIGNALFD", NEEDED, "PID 1's loop"),
    ("TIMERFD", NEEDED, "updates on time; event loops of units"),
    ("EVENTFD", WANTED, "event loops of most programs in units"),
    ("SHMEM", NEEDED, "status and logs are sealed memfds"),
    ("UNIX", NEEDED, "the control socket"),
    ("INET", NEEDED, "registries"),
    ("PACKET", NEEDED, "DHCP"),
    ("IPV6", WANTED, "registries and networks of units over IPv6"),
    ("EXT4_FS", NEEDED, "the data partition"),
    ("EFI_PARTITION", NEEDED, "the data partition is found by its GPT label"),
    ("OVERLAY_FS", NEEDED, "a unit's layers"),
    ("TMPFS_XATTR", WANTED, "overlays whose upper layer is in memory"),
    ("EXT4_FS_POSIX_ACL", WANTED, "images whose files carry access lists"),
    ("VFAT_FS", WANTED, "provisioning partition, sticks"),
    ("NLS_CODEPAGE_437", WANTED, "names on a FAT"),
    ("CGROUPS", NEEDED, "every unit is a control group"),
    ("MEMCG", NEEDED, "Memory=: a unit that eats memory kills itself, not the board"),
    ("CGROUP_PIDS", NEEDED, "PidsLimit=: a fork bomb stays in its unit"),
    ("CFS_BANDWIDTH", WANTED, "CPUQuota="),
    ("FAIR_GROUP_SCHED", WANTED, "CPUWeight="),
    ("CPUSETS", WANTED, "AllowedCPUs="),
    ("BLK_CGROUP", WANTED, "IOWeight= and limits of disk bandwidth"),
    ("CGROUP_BPF", NEEDED, "units' devices are a filter on the control group; without it none is refused, so none starts"),
    ("BPF_SYSCALL", NEEDED, "the same"),
    ("PSI", WANTED, "pressure in the metrics"),
    ("NAMESPACES", NEEDED, "what makes a container"),
    ("UTS_NS", NEEDED, "a unit's host name"),
    ("IPC_NS", NEEDED, "shared memory of a unit is its own"),
    ("PID_NS", NEEDED, "a unit sees its own processes alone"),
    ("NET_NS", NEEDED, "Network=none and networks of units; the unpacker has no network"),
    ("USER_NS", WANTED, "root in a unit is nobody on the board"),
    ("SECCOMP_FILTER", NEEDED, "the list of system calls of units and jails"),
    ("VETH", WANTED, "networks of units"),
    ("BRIDGE", WANTED, "networks of units"),
    ("NF_TABLES", WANTED, "networks of units: PublishPort=, masquerading"),
    ("NFT_NAT", WANTED, "PublishPort="),
    ("NFT_MASQ", WANTED, "units reach the world through the board's address"),
    ("NFT_CT", WANTED, "answers come back in, nothing else"),
    ("NFT_FIB_INET", WANTED, "PublishPort= on the board's own addresses"),
    ("NFT_LIMIT", WANTED, "lines about refused packets are few"),
    ("POSIX_MQUEUE", WANTED, "/dev/mqueue of units"),
    ("SYSVIPC", WANTED, "units that use System V shared memory"),
    ("WATCHDOG", WANTED, "a board that hangs is reset"),
    ("RTC_CLASS", WANTED, "time across a power cut; without a clock it comes from the last confirmed one"),
    ("MAGIC_SYSRQ", WANTED, "shutdown when a file system hangs"),
    ("COMPAT_32BIT_TIME" + ONE_OF + "64BIT", WANTED, "32-bit programs built before 2020"),
    ("UNIX98_PTYS", WANTED, "exec at the console"),
]


def read(text):
    """{name: "y" or "m"} of a .config."""
    return dict(re.findall(r"(?m)^CONFIG_(\w+)=([ym])$", text))


def judge(text):
    """[(name, level, why, "y", "m" or None)]."""
    has = read(text)
    return [(name, level, why, next((has[n] for n in name.split(ONE_OF) if n in has), None)) for name, level, why in OPTIONS]


def missing(text, level=NEEDED):
    return ["%s: %s" % (name, why) for name, of, why, value in judge(text) if of == level and not value]


def main(path):
    text = open(path).read()
    for name, level, why, value in judge(text):
        print("%-8s %-24s %-7s %s" % (value or "MISSING", name, level, why))
    bad = missing(text)
    print("kernel: %s: %d options, %d needed ones missing, %d wanted ones missing" % (path, len(OPTIONS), len(bad), len(missing(text, WANTED))))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
