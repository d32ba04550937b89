"""Takes a Realm's migration stream apart, without its keys.

Records are what the Realm's own formats define.  Splitter cuts QEMU's stream
around them into Items, also while the stream still passes, and ChannelSplitter
a channel of multifd; Stream adds up a whole stream.  RealmSection and
skip_command serve QEMU's analyze-migration.py in the prepared tree.

Formats: docs/specs/realm-migration-stream.rst for what is ours,
docs/devel/migration of QEMU for what is around it.

Standard library only.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import collections
import re
import struct

MAGIC = 0x4d4c4552
HEADER = struct.Struct('<IHBBIHHQQIIQ')     # of a bundle
HELLO = struct.Struct('<IHBBII')            # what offer and session begin with
FRAME = struct.Struct('>HHI')
MAX_RECORD = HEADER.size + 512 * (8 + 4096 + 129) + 16
VERSION = 2                                 # of the section "realm"

FRAME_END, FRAME_STATE, FRAME_MEMORY, FRAME_EPOCH = range(4)
EPOCH_COUNT = struct.Struct('>Q')           # what an epoch frame begins with
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


def read_frame(take, tell):
    """One frame: the offset of its records and their bytes; None for the frame
    that ends a part.  take(n) gives n bytes."""
    offset = tell()
    kind, stream, size = FRAME.unpack(take(FRAME.size))
    count = EPOCH_COUNT.size if kind == FRAME_EPOCH else 0
    if (kind > FRAME_EPOCH or (stream and kind != FRAME_MEMORY)
            or not count <= size <= count + MAX_RECORD
            or (kind == FRAME_END) != (size == 0)):
        raise StreamError(f'0x{offset:x}: malformed frame: type {kind}, '
                          f'stream {stream}, size {size}')
    if kind == FRAME_END:
        return None
    take(count)
    return offset + FRAME.size + count, bytes(take(size - count))


# ---- For analyze-migration.py ----

class RealmSection:
    """The section "realm" as analyze-migration.py wants a section."""

    def __init__(self, file, version_id, _arguments, section_key):
        if version_id != VERSION:
            raise StreamError(f'realm section: unknown version {version_id}')
        self.file, self.section_key = file, section_key
        self.records = []

    def read(self):
        """One part of the section."""
        while frame := read_frame(self.file.readvar, self.file.tell):
            offset, data = frame
            for record in read_records(data, offset):
                self.records.append(record._asdict())

    def getDict(self):          # pylint: disable=invalid-name
        return collections.OrderedDict(records=self.records)


def skip_command(file, command, length):
    """Whether a command of QEMU's was one that a stream with a return path
    has; its data are skipped."""
    if command not in (OPEN_RETURN_PATH, PING):
        return False
    file.readvar(length)
    return True


# ---- QEMU's stream (migration/savevm.h, migration/ram.c) ----

OPEN_RETURN_PATH, PING = 1, 2
FILE_MAGIC, FILE_VERSION = 0x5145564d, 3
EOF, START, PART, END, FULL, SUBSECTION = range(6)
CONFIGURATION, COMMAND, FOOTER = 7, 8, 0x7e
FOOTER_SIZE = 5
RAM_ZERO, RAM_MEM_SIZE, RAM_PAGE, RAM_EOS, RAM_CONTINUE = 2, 4, 8, 16, 32
RAM_MULTIFD_FLUSH = 0x200
PAGE = 4096
# Zero pages of the block that the entry before was of: nearly all of RAM.
ZERO_PAGES = re.compile(b'(?:.{6}[\x00\x10\x20\x30\x40\x50\x60\x70'
                        b'\x80\x90\xa0\xb0\xc0\xd0\xe0\xf0]\x22\x00)+', re.S)

CONFIG = struct.Struct('>QIBBB64s')         # realm-config
START_TOKEN = 256                           # room in realm-start
READY, TOKEN = b'\x0brealm-ready', b'\x0brealm-start'


class Item:
    """Some bytes of the stream, and what they are.

    name    what it is
    other   QEMU's own
    config  the section realm-config, with .fields of CONFIG
    part    what a part of the section "realm" begins with
    frame   a frame; .records are pairs of the kind and the bytes, .headers the
            Record of each
    end     the frame that ends a part
    foot    the footer of a part
    ready   the section realm-ready
    start   the section realm-start; .records as above
    tail    all that follows

    section is the name of the section that they are of, "devices" for all
    behind those of a Realm and before realm-start, None for what is between
    sections."""

    def __init__(self, name, data, section):
        self.name, self.data, self.section = name, data, section
        self.records, self.headers = [], []
        self.epoch = self.pages = 0             # of a memory bundle
        self.place = None                       # of one on a channel


class Reader:
    """Bytes from a function receive(), which returns b'' at the end."""

    def __init__(self, receive):
        self._receive = receive
        self._gone = 0
        self.buffer = bytearray()
        self.at = 0

    def tell(self):
        """Where in the stream the next byte is."""
        return self._gone + self.at

    def more(self):
        data = self._receive()
        if not data:
            raise EOFError('the stream ends there')
        self.buffer += data

    def need(self, size):
        while len(self.buffer) - self.at < size:
            try:
                self.more()
            except EOFError as end:
                raise EOFError(f'0x{self.tell():x}: {end}, within {size} '
                               'bytes') from None

    def take(self, size):
        self.need(size)
        self.at += size
        return self.buffer[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), 'big')

    def passed(self):
        """What was taken since the last time."""
        data = bytes(self.buffer[:self.at])
        del self.buffer[:self.at]
        self._gone += self.at
        self.at = 0
        return data

    def rest(self):
        """What was received and not taken."""
        self.at = len(self.buffer)
        return self.passed()

    def find(self, *texts):
        """Goes to where the first of some texts begins."""
        while True:
            found = [self.buffer.find(text, self.at) for text in texts]
            if max(found) >= 0:
                self.at = min(place for place in found if place >= 0)
                return
            try:
                self.more()
            except EOFError as end:
                raise EOFError(f'0x{self.tell():x}: {end}, before '
                               f'{texts[0]!r}') from None


class Splitter:
    """Iterates over the Items of a stream; EOFError where it ends."""

    def __init__(self, receive):
        self.reader = Reader(receive)
        self.section = None             # that the bytes to come are of
        self._number = None             # its number, which its footer repeats
        self._names = {}

    def __iter__(self):
        reader = self.reader
        if reader.number(4) != FILE_MAGIC or reader.number(4) != FILE_VERSION:
            raise StreamError('not a migration stream of QEMU')
        yield self._item('other')
        while True:
            begin = reader.tell()
            kind = reader.number(1)
            if kind == CONFIGURATION:
                reader.take(reader.number(4))
                self._skip_subsections()
                yield self._item('other')
            elif kind == COMMAND:
                reader.take(2)
                reader.take(reader.number(2))
                yield self._item('other')
            elif kind in (START, PART, END, FULL):
                self._header(kind)
                if self.section == 'devices':
                    yield from self._tail()
                    return
                yield from self._body()
            else:
                raise StreamError(f'0x{begin:x}: unknown kind of section '
                                  f'{kind}')

    def _item(self, name):
        return Item(name, self.reader.passed(), self.section)

    def _skip_subsections(self):
        """Those of "configuration" do not say how long they are.  What comes
        next in a Realm's stream: realm-config, or the return path."""
        reader = self.reader
        reader.need(1)
        if reader.buffer[reader.at] == SUBSECTION:
            reader.find(bytes([FULL, 0, 0, 0]),
                        bytes([COMMAND, 0, OPEN_RETURN_PATH, 0, 0]))

    def _header(self, kind):
        """Goes behind a section's header."""
        reader = self.reader
        self._number = reader.number(4)
        if kind in (START, FULL):
            name = bytes(reader.take(reader.number(1)))
            reader.take(8)                      # instance, version
            self._names[self._number] = name.decode('ascii', 'replace')
        self.section = self._names.get(self._number)
        if kind == FULL and self.section != 'realm-config':
            self.section = 'devices'

    def _body(self):
        """The Items of a section, whose header is part of the first."""
        if self.section == 'realm':
            yield self._item('part')
            yield from self._frames()
            self._footer()
            yield self._item('foot')
        elif self.section == 'realm-config':
            fields = CONFIG.unpack(self.reader.take(CONFIG.size))
            self._page_size()
            self._footer()
            item = self._item('config')
            item.fields = fields
            yield item
        elif self.section == 'ram':
            yield from self._ram()
            self._footer()
            yield self._item('other')
        else:
            raise StreamError(f'0x{self.reader.tell():x}: section '
                              f'"{self.section}" is between those of a Realm; '
                              'its size is not known')
        self.section = None

    def _page_size(self):
        """A subsection, of hosts whose pages are larger than 4 KiB."""
        reader = self.reader
        reader.need(1)
        if reader.buffer[reader.at] == SUBSECTION:
            reader.take(1)
            reader.take(reader.number(1) + 4 + 4)   # name, version, size

    def _footer(self):
        reader = self.reader
        if reader.number(1) != FOOTER or reader.number(4) != self._number:
            raise StreamError(f'0x{reader.tell():x}: section "{self.section}" '
                              'does not end with its footer')

    def _frames(self):
        reader = self.reader
        while frame := read_frame(reader.take, reader.tell):
            offset, data = frame
            item = self._item('frame')
            for record in read_records(data, offset):
                at = record.offset - offset
                item.headers.append(record)
                item.records.append((record.kind, data[at:at + record.size]))
                item.epoch, item.pages = record.epoch, record.entries
            yield item
        yield self._item('end')

    def _ram(self):
        reader = self.reader
        while True:
            word = reader.number(8)
            flags, address = word & (PAGE - 1), word & ~(PAGE - 1)
            if flags & RAM_EOS:
                return
            if flags & RAM_MEM_SIZE:
                while address > 0:
                    reader.take(reader.number(1))
                    address -= reader.number(8)
            elif flags & (RAM_ZERO | RAM_PAGE):
                if not flags & RAM_CONTINUE:
                    reader.take(reader.number(1))
                reader.take(PAGE if flags & RAM_PAGE else 1)
            elif not flags & RAM_MULTIFD_FLUSH:
                raise StreamError(f'0x{reader.tell():x}: RAM with flags '
                                  f'0x{flags:x}')
            found = ZERO_PAGES.match(reader.buffer, reader.at)
            if found:
                reader.at = found.end()
                yield self._item('other')

    def _tail(self):
        """Devices, whose sizes only their own loaders know; realm-ready, the
        start token, and what follows."""
        reader = self.reader
        reader.find(READY)
        reader.at -= 5                          # kind, number
        yield self._item('other')
        reader.take(5 + len(READY) + 8 + FOOTER_SIZE)
        yield self._item('ready')
        begin = reader.tell()
        reader.take(5)
        if reader.take(len(TOKEN)) != TOKEN:
            raise StreamError(f'0x{begin:x}: realm-start does not follow '
                              'realm-ready')
        self.section = 'realm-start'
        reader.take(8)
        size = reader.number(4)
        offset = reader.tell()
        token = bytes(reader.take(START_TOKEN))[:size]
        reader.take(FOOTER_SIZE)
        item = self._item('start')
        item.records = [('start', token)]
        if size > START_TOKEN:
            raise StreamError(f'0x{begin:x}: a start token of {size} bytes')
        item.headers = list(read_records(token, offset))
        yield item
        self.section = None
        while True:
            yield Item('tail', reader.rest(), None)
            try:
                reader.more()
            except EOFError:
                return


# ---- A channel of multifd (migration/multifd.h) ----

CHANNEL_MAGIC, CHANNEL_VERSION = 0x11223344, 1
CHANNEL_INIT = struct.Struct('>II16sB39x')
PACKET = struct.Struct('>III')              # magic, version, flags
PACKET_RAM = struct.Struct('>IIIQI28x256s')  # then the offsets of its pages
PACKET_PAGES = 512 * 1024 // PAGE
PACKET_STATE = struct.Struct('>256sII')
PACKET_IS_STATE = 1 << 6
BUNDLE = struct.Struct('>HHIII')            # type, stream, size, epoch, place


class ChannelSplitter:
    """Iterates over the Items of a channel until its bytes end.

    channel  what it begins with
    bundle   a packet with a memory bundle; .records and .headers as in a
             frame; .place is (stream, epoch, place)
    other    another packet"""

    def __init__(self, receive):
        self.reader = Reader(receive)

    def __iter__(self):
        reader = self.reader
        magic, version, _, _ = CHANNEL_INIT.unpack(
            reader.take(CHANNEL_INIT.size))
        if (magic, version) != (CHANNEL_MAGIC, CHANNEL_VERSION):
            raise StreamError('not a channel of multifd')
        yield self._item('channel')
        while self._goes_on():
            begin = reader.tell()
            magic, version, flags = PACKET.unpack(reader.take(PACKET.size))
            if (magic, version) != (CHANNEL_MAGIC, CHANNEL_VERSION):
                raise StreamError(f'0x{begin:x}: no packet of multifd')
            yield (self._state(begin) if flags & PACKET_IS_STATE
                   else self._ram())

    def _goes_on(self):
        try:
            self.reader.need(1)
        except EOFError:
            return False
        return True

    def _item(self, name):
        return Item(name, self.reader.passed(), 'realm')

    def _ram(self):
        """There are offsets for as many pages as a packet may have, and then
        the data of each page of shared memory that is not zero."""
        reader = self.reader
        _, _, data, _, _, _ = PACKET_RAM.unpack(reader.take(PACKET_RAM.size))
        reader.take(8 * PACKET_PAGES)
        reader.take(data)
        return self._item('other')

    def _state(self, begin):
        reader = self.reader
        name, _, size = PACKET_STATE.unpack(reader.take(PACKET_STATE.size))
        if name.rstrip(b'\0') != b'realm' or size < BUNDLE.size:
            raise StreamError(f'0x{begin:x}: a packet of {size} bytes for '
                              f'section {name.rstrip(bytes(1))!r}')
        kind, stream, length, epoch, place = BUNDLE.unpack(
            reader.take(BUNDLE.size))
        if kind != FRAME_MEMORY or length != size - BUNDLE.size:
            raise StreamError(f'0x{begin:x}: malformed packet: type {kind}, '
                              f'size {length} of {size}')
        offset = reader.tell()
        record = bytes(reader.take(length))
        item = self._item('bundle')
        item.place = (stream, epoch, place)
        item.headers = list(read_records(record, offset))
        item.records = [(header.kind, record) for header in item.headers]
        item.epoch = item.headers[0].epoch
        item.pages = item.headers[0].entries
        return item


class Stream:
    """A whole stream in memory.  After read(), .records are the Realm's,
    .sections counts the bytes of all sections by name."""

    def __init__(self, data):
        self.data = data
        self.records, self.sections = [], collections.Counter()
        self.config = None

    def read(self):
        pieces = (self.data[at:at + (1 << 20)]
                  for at in range(0, len(self.data), 1 << 20))
        splitter = Splitter(lambda: next(pieces, b''))
        try:
            for item in splitter:
                self._add(item)
        except EOFError as end:
            if splitter.section != 'devices':
                raise StreamError(str(end)) from None
            self.sections['devices'] += len(splitter.reader.rest())
        return self

    def _add(self, item):
        if item.section:
            self.sections[item.section] += len(item.data)
        self.records += item.headers
        if item.name == 'config':
            self.config = dict(zip(('ram-size', 'cpus', 'ipa-width',
                                    'measurement-algorithm', 'mte'),
                                   item.fields))


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
