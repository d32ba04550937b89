"""Takes a Realm's migration stream apart, without its keys.

Used by realm-stream and, in the prepared tree, by QEMU's
analyze-migration.py.  Formats: docs/specs/realm-migration-stream.rst for what
is ours, docs/devel/migration of QEMU for what is around it.

Standard library only.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import collections
import struct

MAGIC = 0x4d4c4552
HEADER = struct.Struct('<IHBBIHHQQIIQ')     # of a bundle
HELLO = struct.Struct('<IHBBII')            # what offer and session begin with
FRAME = struct.Struct('>HHI')
MAX_RECORD = HEADER.size + 512 * (8 + 4096 + 129) + 16

FRAME_END, FRAME_STATE, FRAME_MEMORY = range(3)
TYPES = {0: 'immutable', 1: 'mutable', 2: 'rec', 16: 'memory', 32: 'epoch',
         33: 'start', 34: 'abort', 64: 'offer', 65: 'session'}
UNSEALED = ('offer', 'session', 'abort')


class StreamError(Exception):
    """The bytes are not a stream of this kind; says where and why."""


Record = collections.namedtuple(
    'Record', 'offset kind size stream counter iv epoch entries total')


def read_record(data, offset):
    """The record at the beginning of some bytes; offset is for messages."""
    if len(data) < HELLO.size:
        raise StreamError(f'0x{offset:x}: {len(data)} bytes are no record')
    magic, _, kind, _, size, _ = HELLO.unpack_from(data)
    name = TYPES.get(kind)
    if magic != MAGIC or not name or not HELLO.size <= size <= len(data):
        raise StreamError(f'0x{offset:x}: no record of a Realm: magic '
                          f'0x{magic:x}, type {kind}, size {size}')
    if name in UNSEALED:
        return Record(offset, name, size, None, None, None, None, 0, 0)
    if size < HEADER.size:
        raise StreamError(f'0x{offset:x}: a {name} bundle of {size} bytes')
    (_, _, _, _, _, stream, _, counter, iv, epoch, entries,
     total) = HEADER.unpack_from(data)
    return Record(offset, name, size, stream, counter, iv, epoch, entries,
                  total)


def read_records(data, offset):
    """All records that some bytes consist of."""
    at = 0
    while at < len(data):
        record = read_record(data[at:], offset + at)
        yield record
        at += record.size


class RealmSection:
    """The section "realm" as analyze-migration.py wants a section."""

    def __init__(self, file, version_id, _arguments, section_key):
        if version_id != 1:
            raise StreamError(f'realm section: unknown version {version_id}')
        self.file, self.section_key = file, section_key
        self.records = []

    def read(self):
        """One part of the section."""
        for record in read_frames(self.file.readvar, self.file.tell):
            self.records.append(record._asdict())

    def getDict(self):          # pylint: disable=invalid-name
        return collections.OrderedDict(records=self.records)


def read_frames(take, tell):
    """The records of one part; take(n) gives n bytes."""
    while True:
        offset = tell()
        kind, reserved, size = FRAME.unpack(take(FRAME.size))
        if (kind > FRAME_MEMORY or reserved or size > MAX_RECORD
                or (kind == FRAME_END) != (size == 0)):
            raise StreamError(f'0x{offset:x}: malformed frame: type {kind}, '
                              f'size {size}')
        if kind == FRAME_END:
            return
        yield from read_records(take(size), offset + FRAME.size)


def skip_command(file, command, length):
    """Whether a command of QEMU's was one that a stream with a return path
    has; its data are skipped."""
    if command not in (OPEN_RETURN_PATH, PING):
        return False
    file.readvar(length)
    return True


OPEN_RETURN_PATH, PING = 1, 2

# QEMU's stream (migration/savevm.h, migration/ram.c)
FILE_MAGIC, FILE_VERSION = 0x5145564d, 3
EOF, START, PART, END, FULL, SUBSECTION = range(6)
CONFIGURATION, COMMAND, FOOTER = 7, 8, 0x7e
RAM_ZERO, RAM_MEM_SIZE, RAM_PAGE, RAM_EOS, RAM_CONTINUE = 2, 4, 8, 16, 32
RAM_MULTIFD_FLUSH = 0x200
PAGE = 4096

CONFIG = struct.Struct('>QIBBB64s')         # realm-config
START_TOKEN = 256                           # room in realm-start


class Stream:
    """A whole stream in memory.  After read(), .records are the Realm's,
    .sections counts the bytes of all sections by name."""

    def __init__(self, data):
        self.data, self.at = data, 0
        self.records, self.sections = [], collections.Counter()
        self.config = None
        self._names = {}

    def tell(self):
        return self.at

    def take(self, size):
        if size > len(self.data) - self.at:
            raise StreamError(f'0x{self.at:x}: the stream ends there, within '
                              f'{size} bytes')
        piece = self.data[self.at:self.at + size]
        self.at += size
        return piece

    def number(self, size):
        return int.from_bytes(self.take(size), 'big')

    def name(self):
        return bytes(self.take(self.number(1))).decode('ascii', 'replace')

    def read(self):
        if self.number(4) != FILE_MAGIC or self.number(4) != FILE_VERSION:
            raise StreamError('not a migration stream of QEMU')
        while self._read_section():
            pass
        return self

    def _read_section(self):
        """False at the devices: what is behind them is looked for."""
        begin = self.at
        kind = self.number(1)
        if kind == CONFIGURATION:
            self.take(self.number(4))
            self._skip_subsections()
        elif kind == COMMAND:
            self.take(2)
            self.take(self.number(2))
        elif kind in (START, FULL):
            section, name = self.number(4), self.name()
            self.take(8)                        # instance, version
            self._names[section] = name
            if kind == FULL and name != 'realm-config':
                self.at = begin
                self._read_tail()
                return False
            self._read_body(section)
            self.sections[name] += self.at - begin
        elif kind in (PART, END):
            section = self.number(4)
            name = self._names.get(section)
            self._read_body(section)
            self.sections[name] += self.at - begin
        else:
            raise StreamError(f'0x{begin:x}: unknown kind of section {kind}')
        return True

    def _skip_subsections(self):
        """Those of "configuration" do not say how long they are.  What comes
        next in a Realm's stream: realm-config, or the return path."""
        if self.data[self.at] != SUBSECTION:
            return
        ends = [self.data.find(text, self.at) for text in (
            bytes([FULL, 0, 0, 0]), bytes([COMMAND, 0, OPEN_RETURN_PATH, 0, 0]))]
        if max(ends) < 0:
            raise StreamError(f'0x{self.at:x}: no section follows')
        self.at = min(end for end in ends if end >= 0)

    def _read_body(self, section):
        name = self._names.get(section)
        reader = {'ram': self._read_ram, 'realm': self._read_realm,
                  'realm-config': self._read_config}.get(name)
        if not reader:
            raise StreamError(f'0x{self.at:x}: section "{name}" is between '
                              'those of a Realm; its size is not known')
        reader()
        if self.number(1) != FOOTER or self.number(4) != section:
            raise StreamError(f'0x{self.at:x}: section "{name}" does not end '
                              'with its footer')

    def _read_config(self):
        fields = CONFIG.unpack(self.take(CONFIG.size))
        self.config = dict(zip(('ram-size', 'cpus', 'ipa-width',
                                'measurement-algorithm', 'mte'), fields))

    def _read_realm(self):
        self.records += read_frames(self.take, self.tell)

    def _read_ram(self):
        while True:
            word = self.number(8)
            flags, address = word & (PAGE - 1), word & ~(PAGE - 1)
            if flags & RAM_EOS:
                return
            if flags & RAM_MEM_SIZE:
                self._read_blocks(address)
            elif flags & (RAM_ZERO | RAM_PAGE):
                if not flags & RAM_CONTINUE:
                    self.name()
                self.take(PAGE if flags & RAM_PAGE else 1)
            elif not flags & RAM_MULTIFD_FLUSH:
                raise StreamError(f'0x{self.at:x}: RAM with flags '
                                  f'0x{flags:x}')

    def _read_blocks(self, left):
        while left > 0:
            self.name()
            left -= self.number(8)

    def _read_tail(self):
        """Devices, whose sizes only their own loaders know; then the start
        token, which is the last section, if the stream is whole."""
        begin = self.at
        found = self.data.rfind(b'\x0brealm-start', begin)
        end = found - 5 if found >= 0 else len(self.data)
        self.sections['devices'] += end - begin
        if found < 0:
            return
        self.at = found + 12 + 8
        size = self.number(4)
        token = self.take(START_TOKEN)
        if size > START_TOKEN:
            raise StreamError(f'0x{found:x}: a start token of {size} bytes')
        self.records += read_records(token[:size], self.at - START_TOKEN)
        self.sections['realm-start'] += self.at - end + 5


def summary(stream):
    """Figures of a stream that was read, for people and programs."""
    records = stream.records
    size, pages = collections.Counter(), collections.Counter()
    count = collections.Counter(record.kind for record in records)
    for record in records:
        size[record.kind] += record.size
        if record.kind == 'memory':
            pages[record.epoch] += record.entries
    total, moved = sum(size.values()), sum(pages.values())
    mte = bool(stream.config and stream.config['mte'])
    payload = moved * (PAGE + (129 if mte else 0))
    return {
        'config': stream.config,
        'bytes': len(stream.data),
        'sections': dict(stream.sections),
        'records': {kind: {'count': count[kind], 'bytes': size[kind]}
                    for kind in count},
        'pages': moved,
        'pages-by-epoch': dict(pages),
        'streams': sorted({record.stream for record in records
                           if record.stream is not None}),
        'complete': bool(records) and records[-1].kind == 'start',
        'overhead-percent':
        round(100 * (total - payload) / payload, 3) if payload else None,
    }
