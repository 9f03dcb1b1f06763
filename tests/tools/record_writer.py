# SPDX-License-Identifier: MIT
"""Writes run records (lib/record.h) without coracle-bundle: for tests that need a record which no compiler would
make (hostile ones), and for tests of the start alone. oci() understands the parts of config.json that those tests use."""
import struct
import zlib

MAGIC = b"CORACLE\x01"
HEAD_SIZE = 328
CRC_AT = 16
FORMAT = 2

NO_NEW_PRIVS, ROOT_READONLY, TERMINAL, OOM_SCORE, SETGROUPS, UMASK, IDMAP_LAYERS, USERNS_OPTIONAL, INIT = (1 << i for i in range(9))
NAMESPACES = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
              "pid": 0x20000000, "network": 0x40000000}
ATTRS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 0x10, "strictatime": 0x20, "relatime": 0}
CLEARS = {"rw": 1, "suid": 2, "dev": 4, "exec": 8}
CAPS = ("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
        "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
        "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL "
        "SETFCAP").split()
RLIMITS = {"RLIMIT_CORE": 4, "RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8}


def caps(names):
    return sum(1 << CAPS.index(n.removeprefix("CAP_")) for n in names or [])


class Record:
    def __init__(self):
        self.tail = bytearray()

    def place(self, data, align=1):
        while (HEAD_SIZE + len(self.tail)) % align:
            self.tail.append(0)
        at = HEAD_SIZE + len(self.tail)
        self.tail += data
        return at

    def string(self, text):
        if text is None:
            return (0, 0)
        raw = text if isinstance(text, bytes) else text.encode()
        return (self.place(raw + b"\0"), len(raw))

    def list(self, items):
        """ITEMS: packed elements."""
        return (self.place(b"".join(items), 8), len(items)) if items else (0, 0)

    def strings(self, texts):
        return self.list([struct.pack("<II", *self.string(t)) for t in texts])

    def pairs(self, items):
        return self.list([struct.pack("<IIII", *self.string(k), *self.string(v)) for k, v in items])

    def pack(self, **f):
        none = (0, 0)
        g = lambda name: f.get(name, none)
        head = struct.pack("<8sIIIIQ", MAGIC, f.get("format", FORMAT), 0, 0, f.get("flags", 0), f.get("feature_hash", 0))
        head += struct.pack("<4I", *g("id"), *g("image_digest"))
        head += struct.pack("<8I", *g("args"), *g("env"), *g("path_env"), *g("cwd"))
        head += struct.pack("<IIIi", f.get("uid", 0), f.get("gid", 0), f.get("umask", 0o22), f.get("oom_score_adj", 0))
        head += struct.pack("<4I", *g("groups"), *g("rlimits"))
        head += struct.pack("<5Q", *f.get("caps", (0, 0, 0, 0, 0)))
        head += struct.pack("<II", f.get("clone_flags", 0), 0)
        head += struct.pack("<10I", *g("ns_join"), *g("uid_map"), *g("gid_map"), *g("hostname"), *g("domainname"))
        head += struct.pack("<II", f.get("rootfs", 1), 0)
        for name in ("root_path", "store", "layers", "mounts", "devices", "masked", "readonly", "sysctls", "cgroup",
                     "cgroup_files", "device_prog", "secrets"):
            head += struct.pack("<II", *g(name))
        head += struct.pack("<4I", f.get("rows", 0), f.get("cols", 0), *g("seccomp"))
        head += struct.pack("<II", f.get("seccomp_flags", 0), 0)
        assert len(head) == HEAD_SIZE, len(head)
        return seal(bytearray(head + bytes(self.tail)))


def seal(data):
    """Sets size and checksum."""
    data = bytearray(data)
    struct.pack_into("<I", data, 12, len(data))
    struct.pack_into("<I", data, CRC_AT, 0)
    struct.pack_into("<I", data, CRC_AT, zlib.crc32(bytes(data)))
    return bytes(data)


def seccomp_of(record):
    """The filter's bytes in a record."""
    at, count = struct.unpack_from("<II", record, HEAD_SIZE - 16)
    return record[at:at + 8 * count]


def device_program_of(record):
    """The bytes of the BPF program of the device rules in a record."""
    at, count = struct.unpack_from("<II", record, HEAD_SIZE - 40)
    return record[at:at + 8 * count]


def mount(rec, m):
    attr_set = attr_clear = bind = 0
    data = []
    for o in m.get("options", []):
        if o in ATTRS:
            attr_set |= ATTRS[o]
        elif o in CLEARS:
            attr_clear |= CLEARS[o]
        elif o in ("bind", "rbind"):
            bind = 1 if o == "bind" else 2
        elif o in ("private", "rprivate", "idmap", "ridmap"):
            pass
        else:
            data.append(o)
    return struct.pack("<8IQQ4IQII", *rec.string(m.get("source")), *rec.string(m["destination"]),
                       *rec.string(None if bind else m["type"]), *rec.string(",".join(data) or None), attr_set,
                       attr_clear, 0, bind, int(m.get("is_file", False)), int(m.get("optional", False)), 0,
                       2 if "ridmap" in m.get("options", []) else int("idmap" in m.get("options", [])), 0)


def idmap(m):
    return struct.pack("<4I", m["containerID"], m["hostID"], m["size"], 0)


def oci(config, bundle, layers=None, store=None, **override):
    """config.json, parsed -> bytes of a record."""
    r = Record()
    p = config["process"]
    linux = config.get("linux", {})
    cap = p.get("capabilities", {})
    env = p.get("env", [])
    f = dict(
        id=r.string("test"), args=r.strings(p["args"]), env=r.strings(env), cwd=r.string(p["cwd"]),
        path_env=r.string(next((e[5:] for e in env if e.startswith("PATH=")), None)),
        uid=p.get("user", {}).get("uid", 0), gid=p.get("user", {}).get("gid", 0),
        groups=r.list([struct.pack("<I", g) for g in p.get("user", {}).get("additionalGids", [])]),
        rlimits=r.list([struct.pack("<IIQQ", RLIMITS[x["type"]], 0, x["soft"], x["hard"]) for x in p.get("rlimits", [])]),
        caps=tuple(caps(cap.get(k)) for k in ("bounding", "effective", "permitted", "inheritable", "ambient")),
        clone_flags=sum(NAMESPACES[n["type"]] for n in linux.get("namespaces", []) if "path" not in n),
        ns_join=r.list([struct.pack("<4I", NAMESPACES[n["type"]], 0, *r.string(n["path"]))
                        for n in linux.get("namespaces", []) if "path" in n]),
        uid_map=r.list([idmap(m) for m in linux.get("uidMappings", [])]), gid_map=r.list([idmap(m) for m in linux.get("gidMappings", [])]),
        hostname=r.string(config.get("hostname")), domainname=r.string(config.get("domainname")),
        mounts=r.list([mount(r, m) for m in config.get("mounts", [])]),
        devices=r.list([struct.pack("<8I", *r.string(d["path"]), 0o20000 | d.get("fileMode", 0o666), d["major"], d["minor"],
                                    d.get("uid", 0), d.get("gid", 0), 0) for d in linux.get("devices", [])]),
        masked=r.strings(linux.get("maskedPaths", [])), readonly=r.strings(linux.get("readonlyPaths", [])),
        sysctls=r.pairs([(k.replace(".", "/"), v) for k, v in linux.get("sysctl", {}).items()]),
        cgroup_files=r.pairs(list(config.get("_cgroup_files", {}).items())),
        seccomp=r.list([struct.pack("<HBBI", *i) for i in config.get("_filter", [])]),
    )
    f["flags"] = ((NO_NEW_PRIVS if p.get("noNewPrivileges") else 0)
                  | (IDMAP_LAYERS if layers and linux.get("uidMappings") else 0)
                  | (INIT if config.get("annotations", {}).get("org.coracle.init") == "yes" else 0)
                  | (ROOT_READONLY if config["root"].get("readonly") else 0))
    if "oomScoreAdj" in p:
        f["flags"] |= OOM_SCORE
        f["oom_score_adj"] = p["oomScoreAdj"]
    if "umask" in p.get("user", {}):
        f["flags"] |= UMASK
        f["umask"] = p["user"]["umask"]
    if layers:
        f.update(rootfs=2, store=r.string(str(store)), layers=r.strings(layers))
    else:
        f.update(rootfs=1, root_path=r.string(str(bundle / config["root"]["path"])))
    f.update(override)
    return r.pack(**f)
