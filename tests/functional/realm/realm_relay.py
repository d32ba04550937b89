"""Stands between the two sides of a migration, and records or alters.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import socket
import struct
import threading

MAGIC, VERSION = 0x4d4c4552, 0x200          # target/arm/rmm/mig-abi.h
STATE, REC, MEMORY, START = 1, 2, 16, 33
HEADER = struct.Struct('<IHBBIHHQQIIQ')


class CutHere(Exception):
    """The stream ends with .data."""

    def __init__(self, data):
        super().__init__()
        self.data = bytes(data)


def begun(data, text):
    """How many bytes at the end may be the beginning of a text.  No more may
    be held back: the source waits for answers to what it has sent."""
    return next(n for n in range(len(text) - 1, -1, -1)
                if data.endswith(text[:n]))


class InBundle:
    """A change in the middle of the body of the n-th bundle of a type."""

    def __init__(self, kind, number=1):
        self.begin = struct.pack('<IHB', MAGIC, VERSION, kind)
        self.left = number
        self.held = bytearray()
        self.done = False

    def __call__(self, data):
        """Takes a piece of the stream, b'' at its end; returns what goes on."""
        self.held += data
        if self.done or not data:
            return self.pass_on(len(self.held))
        searched = 0
        while True:
            at = self.held.find(self.begin, searched)
            if at < 0:
                return self.pass_on(len(self.held)
                                    - begun(self.held, self.begin))
            if len(self.held) < at + HEADER.size:
                return self.pass_on(at)
            searched = at + 1
            header = HEADER.unpack_from(self.held, at)
            size, entries = header[4], header[10] * 8
            if self.left > 1:
                self.left -= 1
            elif len(self.held) < at + size:
                return self.pass_on(at)         # not whole yet
            else:
                self.done = True
                self.change(at + (HEADER.size + entries + size) // 2)
                return self.pass_on(len(self.held))

    def pass_on(self, count):
        data = bytes(self.held[:count])
        del self.held[:count]
        return data


class Flip(InBundle):
    """Another bit there."""

    def change(self, position):
        self.held[position] ^= 1


class Cut(InBundle):
    """The stream ends there."""

    def change(self, position):
        raise CutHere(self.held[:position])


class Replace:
    """Other bytes at a place in a section, the first time that it comes."""

    def __init__(self, section, offset, new):
        self.name = bytes([len(section)]) + section.encode()
        # Behind the name: instance and version, 4 bytes each.
        self.offset, self.new = len(self.name) + 8 + offset, new
        self.held = bytearray()
        self.done = False

    def __call__(self, data):
        """As InBundle's."""
        self.held += data
        at = self.held.find(self.name)
        count = at + self.offset + len(self.new)
        if not self.done and data:
            if at < 0:
                count = len(self.held) - begun(self.held, self.name)
            elif len(self.held) < count:
                count = at
            else:
                self.held[count - len(self.new):count] = self.new
                self.done = True
        if self.done or not data:
            count = len(self.held)
        data = bytes(self.held[:count])
        del self.held[:count]
        return data


REALM = 0x5245                              # migration/realm/reply.c


def message(record):
    """A message of the return path that carries a record."""
    return struct.pack('>HH', REALM, len(record)) + record


class Back:
    """What the source hears: each record of the destination (.records) is
    changed by the next one of the functions, which gives messages; the others
    pass.  @first comes before everything else."""

    def __init__(self, *changes, first=b''):
        self.changes, self.first = list(changes), first
        self.held, self.records = bytearray(), []

    def __call__(self, data):
        self.held += data
        out, self.first = self.first, b''
        while len(self.held) >= 4:
            kind, size = struct.unpack_from('>HH', self.held)
            if len(self.held) < 4 + size:
                break
            out += self.one(kind, bytes(self.held[:4 + size]))
            del self.held[:4 + size]
        return out

    def one(self, kind, whole):
        if kind != REALM:
            return whole
        self.records.append(whole[4:])
        return self.changes.pop(0)(whole[4:]) if self.changes else whole


def hang_up(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass                                    # the other side did


class Relay:
    """Listens at a path, and passes what comes on to another path, and the
    answers back.  Use it in a with statement."""

    def __init__(self, listen, connect, change=None, back=None):
        self.uri = f'unix:{listen}'
        self.change = change or (lambda data: data)
        self.back = back or (lambda data: data)
        self.recorded = bytearray()             # what the source sent
        self._target = connect
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(listen)
        self._listener.listen(1)
        self._path = listen
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            source, _ = self._listener.accept()
        except OSError:
            return                              # closed before it was used
        with source, socket.socket(socket.AF_UNIX) as dest:
            try:
                dest.connect(self._target)
                self._pump(source, dest)
            except OSError:
                pass                            # one side has gone: so do we
            finally:
                # Closing alone does not end what another thread waits for.
                hang_up(dest)
                hang_up(source)

    def _pump(self, source, dest):
        threading.Thread(target=self._pump_back, args=(dest, source),
                         daemon=True).start()
        data = True
        while data:
            data = source.recv(1 << 20)
            self.recorded += data
            try:
                dest.sendall(self.change(data))
            except CutHere as cut:
                dest.sendall(cut.data)
                break
        hang_up(dest)

    def _pump_back(self, dest, source):
        """What the destination says; when it goes, the source hears it."""
        try:
            while data := dest.recv(4096):
                source.sendall(self.back(data))
            source.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self._path)

    def wait(self):
        """Until all has been passed on."""
        self._thread.join(60)


class Sink:
    """A destination that takes all that comes and never says a word.  Use it
    in a with statement."""

    def __init__(self, listen):
        self.uri = f'unix:{listen}'
        self.received = bytearray()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(listen)
        self._listener.listen(1)
        self._path = listen
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            source, _ = self._listener.accept()
        except OSError:
            return                              # closed before it was used
        with source:
            while data := source.recv(1 << 20):
                self.received += data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self._path)


MAIN, CHANNEL = b'QEVM', b'\x11\x22\x33\x44'    # how a connection begins


class Crossing:
    """As Relay, for all connections of a migration with channels.  .valves
    are those that have begun, by how: see Valve."""

    def __init__(self, listen, connect):
        self.uri = f'unix:{listen}'
        self.valves = {MAIN: [], CHANNEL: []}
        self.closed = set()                     # kinds that begin closed
        self._target, self._path = connect, listen
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(listen)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        try:
            while True:
                source, _ = self._listener.accept()
                threading.Thread(target=self._begin, args=(source,),
                                 daemon=True).start()
        except OSError:
            pass                                # closed

    def _begin(self, source):
        with source, socket.socket(socket.AF_UNIX) as dest:
            try:
                dest.connect(self._target)
                first = source.recv(4, socket.MSG_WAITALL)
                valve = Valve(source, dest, first not in self.closed)
                dest.sendall(first)
                self.valves[first].append(valve)
                valve.pump()
            except OSError:
                pass                            # one side has gone: so do we
            finally:
                hang_up(dest)
                hang_up(source)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self._path)
        for valve in self.valves[MAIN] + self.valves[CHANNEL]:
            valve.cut()


class Valve:
    """A connection: while it is closed, nothing more arrives."""

    def __init__(self, source, dest, is_open):
        self.source, self.dest = source, dest
        self.opened = threading.Event()
        self.passed = 0                         # bytes
        if is_open:
            self.opened.set()

    def pump(self):
        threading.Thread(target=self._pump_back, daemon=True).start()
        while data := self.source.recv(1 << 16):
            self.opened.wait()
            self.dest.sendall(data)
            self.passed += len(data)

    def _pump_back(self):
        try:
            while data := self.dest.recv(4096):
                self.source.sendall(data)
            hang_up(self.source)
        except OSError:
            pass

    def close(self):
        self.opened.clear()

    def open(self):
        self.opened.set()

    def cut(self):
        hang_up(self.source)
        hang_up(self.dest)
        self.opened.set()
