"""Takes a Realm's migration stream apart while it passes.

What a relay between two QEMUs may want to change comes as one Item each:
sections and frames of ours, and between them QEMU's own bytes as they are.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import re
import struct
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from realm_stream import (  # noqa: E402
                          COMMAND, CONFIG, CONFIGURATION, END, FILE_MAGIC,
                          FILE_VERSION, FOOTER, FRAME, FRAME_END, FULL,
                          MAX_RECORD, OPEN_RETURN_PATH, PAGE, PART,
                          RAM_CONTINUE, RAM_EOS, RAM_MEM_SIZE,
                          RAM_MULTIFD_FLUSH, RAM_PAGE, RAM_ZERO, START,
                          START_TOKEN, SUBSECTION, StreamError, read_records)

# Zero pages of the block that the entry before was of: nearly all of RAM.
ZERO_PAGES = re.compile(b'(?:.{6}[\x00\x10\x20\x30\x40\x50\x60\x70'
                        b'\x80\x90\xa0\xb0\xc0\xd0\xe0\xf0]\x22\x00)+', re.S)
READY, TOKEN = b'\x0brealm-ready', b'\x0brealm-start'


class Item:
    """Some bytes of the stream, and what they are.

    name    what it is
    other   QEMU's own
    config  the section realm-config
    part    what a part of the section "realm" begins with
    frame   a frame; .records are pairs of the kind and the bytes
    end     the frame that ends a part
    foot    the footer of a part
    ready   the section realm-ready
    start   the section realm-start; .records as above
    tail    all that follows"""

    def __init__(self, name, data, records=()):
        self.name, self.data = name, bytes(data)
        self.records = list(records)
        self.epoch = self.pages = 0             # of a memory bundle


def frame(records, kind=None):
    """A frame's bytes, for records as in Item."""
    body = b''.join(data for _, data in records)
    if kind is None:
        kind = 2 if records and records[0][0] == 'memory' else 1
    return FRAME.pack(kind, 0, len(body)) + body


class Reader:
    """Bytes from a function receive(), which returns b'' at the end."""

    def __init__(self, receive):
        self._receive = receive
        self.buffer = bytearray()
        self.at = 0

    def more(self):
        data = self._receive()
        if not data:
            raise EOFError
        self.buffer += data

    def need(self, size):
        while len(self.buffer) - self.at < size:
            self.more()

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
        self.at = 0
        return data

    def rest(self):
        """What was received and not taken."""
        self.at = len(self.buffer)
        return self.passed()

    def find(self, text):
        """Goes to where a text begins."""
        while (found := self.buffer.find(text, self.at)) < 0:
            self.more()
        self.at = found


class Splitter:
    """Iterates over the Items of a stream; EOFError where it ends."""

    def __init__(self, receive):
        self.reader = Reader(receive)
        self._names = {}

    def __iter__(self):
        reader = self.reader
        if reader.number(4) != FILE_MAGIC or reader.number(4) != FILE_VERSION:
            raise StreamError('not a migration stream of QEMU')
        yield self._item('other')
        while True:
            kind = reader.number(1)
            if kind == CONFIGURATION:
                reader.take(reader.number(4))
                self._skip_subsections()
                yield self._item('other')
            elif kind == COMMAND:
                reader.take(2)
                reader.take(reader.number(2))
                yield self._item('other')
            else:
                name = self._section(kind)
                if name is None:
                    break
                yield from self._body(name)
        yield from self._end()

    def _item(self, name):
        return Item(name, self.reader.passed())

    def _skip_subsections(self):
        """As in realm_stream: what follows them is known."""
        reader = self.reader
        reader.need(1)
        if reader.buffer[reader.at] != SUBSECTION:
            return
        texts = (bytes([FULL, 0, 0, 0]),
                 bytes([COMMAND, 0, OPEN_RETURN_PATH, 0, 0]))
        while True:
            found = [reader.buffer.find(text, reader.at) for text in texts]
            if max(found) >= 0:
                break
            reader.more()
        reader.at = min(place for place in found if place >= 0)

    def _section(self, kind):
        """Goes behind a section's header; None at the devices."""
        reader = self.reader
        if kind not in (START, PART, END, FULL):
            raise StreamError(f'unknown kind of section {kind}')
        number = reader.number(4)
        if kind in (PART, END):
            return self._names[number]
        name = bytes(reader.take(reader.number(1))).decode()
        reader.take(8)
        self._names[number] = name
        return None if kind == FULL and name != 'realm-config' else name

    def _body(self, name):
        reader = self.reader
        if name == 'realm':
            yield self._item('part')
            yield from self._frames()
            reader.take(5)
            yield self._item('foot')
        elif name == 'realm-config':
            reader.take(CONFIG.size + 5)
            yield self._item('config')
        elif name == 'ram':
            yield from self._ram()
            if reader.number(1) != FOOTER:
                raise StreamError('"ram" does not end with its footer')
            reader.take(4)
            yield self._item('other')
        else:
            raise StreamError(f'section "{name}" among those of a Realm')

    def _frames(self):
        reader = self.reader
        while True:
            kind, _, size = FRAME.unpack(reader.take(FRAME.size))
            if kind == FRAME_END:
                yield self._item('end')
                return
            if size > MAX_RECORD:
                raise StreamError(f'a frame of {size} bytes')
            data = bytes(reader.take(size))
            item = self._item('frame')
            for record in read_records(data, 0):
                item.records.append((record.kind, data[
                    record.offset:record.offset + record.size]))
                item.epoch, item.pages = record.epoch, record.entries
            yield item

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
                raise StreamError(f'RAM with flags 0x{flags:x}')
            found = ZERO_PAGES.match(reader.buffer, reader.at)
            if found:
                reader.at = found.end()
                yield self._item('other')

    def _end(self):
        """Devices, realm-ready, the start token, and what follows."""
        reader = self.reader
        reader.find(READY)
        reader.at -= 5                          # kind, number
        yield self._item('other')
        reader.take(5 + len(READY) + 8 + 5)
        yield self._item('ready')
        reader.take(5)
        if reader.take(len(TOKEN)) != TOKEN:
            raise StreamError('realm-start does not follow realm-ready')
        reader.take(8)
        size = reader.number(4)
        token = bytes(reader.take(START_TOKEN))[:size]
        reader.take(5)
        item = self._item('start')
        item.records = [('start', token)]
        yield item
        while True:
            yield Item('tail', reader.rest())
            try:
                reader.more()
            except EOFError:
                return


def start_section(item, record):
    """The section realm-start with another record in its place."""
    head = len(item.data) - 5 - START_TOKEN - 4
    return (item.data[:head] + struct.pack('>I', len(record))
            + record[:START_TOKEN].ljust(START_TOKEN, b'\0')
            + item.data[-5:])


def all_items(data):
    """The Items of a whole stream that was recorded."""
    left = [data]
    return list(Splitter(lambda: left.pop() if left else b''))
