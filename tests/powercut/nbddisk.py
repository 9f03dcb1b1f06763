# SPDX-License-Identifier: MIT
"""A disk for a QEMU board that writes down what is done to it: an NBD export (nbd.git doc/proto.md, fixed newstyle) with a write cache, as flash
has one. Every write and every flush goes into TRACE in the order they came, in recdisk.c's form; `mark(word)` adds a word. It answers one request after the
other, so that a flush comes behind every write that was answered before it."""
import os
import random
import socket
import struct
import threading

FLAGS = 1 | 4                       # HAS_FLAGS, SEND_FLUSH; no FUA: QEMU makes a flush of it
OPTION_REPLY, REQUEST, SIMPLE_REPLY = 0x3e889045565a9, 0x25609513, 0x67446698
ACK, INFO, UNSUPPORTED = 1, 3, 0x80000001
EXPORT_NAME, ABORT, INFO_OPTION, GO = 1, 2, 6, 7
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3


class NbdDisk:
    """disk = NbdDisk(IMAGE, TRACE, SOCKET); QEMU's -drive takes disk.url as a file. IMAGE keeps the writes. As a context: served inside, closed after.
    IS_HONEST false: it says that it flushed, and does not."""

    def __init__(self, image, trace, path, is_honest=True):
        self.is_honest = is_honest
        self.url = "nbd:unix:%s" % path
        self.image, self.trace, self.lock = os.open(image, os.O_RDWR), open(trace, "wb"), threading.Lock()
        self.size, self.failed = os.fstat(self.image).st_size, None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.thread.join(30)
        with self.lock:
            self.trace.close()
        os.close(self.image)
        if self.failed:
            raise self.failed

    def note(self, kind, at, data=b""):
        with self.lock:
            self.trace.write(struct.pack("=cIQ", kind, len(data), at) + data)

    def mark(self, word):
        self.note(b"M", 0, word.encode())

    def work(self):
        try:
            peer, _ = self.listener.accept()
            with peer:
                self.greet(peer) and self.serve(peer)
        except ConnectionError:     # QEMU was killed: that is the cut
            pass
        except Exception as e:
            self.failed = e

    @staticmethod
    def take(peer, size):
        out = bytearray()
        while len(out) < size:
            some = peer.recv(size - len(out))
            if not some:
                raise ConnectionResetError
            out += some
        return bytes(out)

    def greet(self, peer):
        """True where the client goes on to read and write."""
        peer.sendall(b"NBDMAGIC" + b"IHAVEOPT" + struct.pack(">H", 3))
        flags, = struct.unpack(">I", self.take(peer, 4))
        while True:
            _, option, size = struct.unpack(">8sII", self.take(peer, 16))
            self.take(peer, size)
            answer = lambda kind, data=b"": peer.sendall(struct.pack(">QIII", OPTION_REPLY, option, kind, len(data)) + data)
            if option == EXPORT_NAME:
                peer.sendall(struct.pack(">QH", self.size, FLAGS) + (b"" if flags & 2 else bytes(124)))
                return True
            if option in (INFO_OPTION, GO):
                answer(INFO, struct.pack(">HQH", 0, self.size, FLAGS))
                answer(ACK)
                if option == GO:
                    return True
            elif option == ABORT:
                answer(ACK)
                return False
            else:
                answer(UNSUPPORTED)

    def read(self, at, size):
        return os.pread(self.image, size, at)

    def write(self, at, data):
        os.pwrite(self.image, data, at)
        self.note(b"W", at, data)

    def flush(self):
        self.is_honest and self.note(b"F", 0)

    def serve(self, peer):
        while True:
            magic, _, kind, handle, at, size = struct.unpack(">IHHQQI", self.take(peer, 28))
            assert magic == REQUEST, "not an NBD request"
            data = b""
            if kind == READ:
                data = self.read(at, size)
            elif kind == WRITE:
                self.write(at, self.take(peer, size))
            elif kind == FLUSH:
                self.flush()
            elif kind == DISCONNECT:
                return
            else:
                raise AssertionError("NBD command %d, which was not offered" % kind)
            peer.sendall(struct.pack(">IIQ", SIMPLE_REPLY, 0, handle) + data)


class VolatileDisk(NbdDisk):
    """The same, whose cache is memory: IMAGE gets a write at the next flush alone. When it is closed the power is gone: of the writes since the last flush each
    is there, torn at a sector, or lost, as SEED says. SUPERBLOCK: where a file system's first 512 bytes of it are in IMAGE, which with the next 512 come whole or not."""

    def __init__(self, image, path, seed, superblock):
        super().__init__(image, os.devnull, path)
        self.random, self.superblock, self.pending, self.writes, self.lost = random.Random(seed), superblock, [], 0, 0
        self.seen = bytearray(os.pread(self.image, self.size, 0))

    def read(self, at, size):
        return bytes(self.seen[at:at + size])

    def write(self, at, data):
        self.seen[at:at + len(data)] = data
        self.pending.append((at, data))
        self.writes += 1

    def flush(self):
        if not self.is_honest:
            return
        for at, data in self.pending:
            os.pwrite(self.image, data, at)
        self.pending.clear()

    def work(self):
        super().work()
        for at, data in self.pending:
            size = len(data) if self.random.random() < 0.3 else self.random.randrange(0, len(data) // 512 + 1) * 512 if self.random.random() < 0.4 else 0
            if at + size == self.superblock + 512:
                size -= 512
            self.lost += size < len(data)
            os.pwrite(self.image, data[:size], at)
