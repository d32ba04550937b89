# Tests of what takes a Realm's migration stream apart, with a made-up stream.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import random
import struct
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))
import realm_stream as rs


def bundle(kind, counter=1, entries=0, size=100):
    number = next(n for n, name in rs.TYPES.items() if name == kind)
    return rs.HEADER.pack(rs.MAGIC, 0x100, number, 0, size, 0, 0, counter,
                          counter, 1, entries, 0).ljust(size, b'x')


def section(kind, number, name, body):
    head = struct.pack('>BI', kind, number)
    if kind in (rs.START, rs.FULL):
        head += bytes([len(name)]) + name.encode() + bytes(8)
    return head + body + struct.pack('>BI', rs.FOOTER, number)


def frames(*records):
    return b''.join(rs.FRAME.pack(kind, 0, len(data)) + data
                    for kind, data in records) + rs.FRAME.pack(0, 0, 0)


def ram_page(address, flags, data):
    return struct.pack('>Q', address | flags) + data


TOKEN = bundle('start', size=64)
RAM = (ram_page(0x3000, rs.RAM_MEM_SIZE, b'\x03ram' + struct.pack('>Q', 0x3000))
       + ram_page(0, rs.RAM_PAGE, b'\x03ram' + b'p' * rs.PAGE)
       + b''.join(ram_page(n * rs.PAGE, rs.RAM_ZERO | rs.RAM_CONTINUE, b'\0')
                  for n in (1, 2))
       + ram_page(0, rs.RAM_EOS, b''))
PIECES = [
    struct.pack('>II', rs.FILE_MAGIC, rs.FILE_VERSION),
    struct.pack('>BI', rs.CONFIGURATION, 4) + b'virt',
    section(rs.FULL, 0, 'realm-config',
            rs.CONFIG.pack(0x3000, 1, 41, 0, 1, bytes(64))),
    struct.pack('>BHH', rs.COMMAND, rs.OPEN_RETURN_PATH, 0),
    section(rs.START, 2, 'ram', RAM),
    section(rs.START, 3, 'realm', frames(
        (1, bundle('immutable', 1)), (2, bundle('memory', 2, entries=7)))),
    section(rs.END, 3, '', frames(
        (3, struct.pack('>Q', 5) + bundle('epoch', 3)), (1, bundle('rec', 4)))),
    section(rs.FULL, 4, 'timer', b'whatever it is'),
    section(rs.FULL, 5, 'realm-ready', b''),
    section(rs.FULL, 6, 'realm-start', struct.pack('>I', len(TOKEN))
            + TOKEN.ljust(rs.START_TOKEN, b'\0')),
    b'\0vmdescription',
]
WHOLE = b''.join(PIECES)


def items(chunks):
    left = list(reversed(chunks))
    return list(rs.Splitter(lambda: left.pop() if left else b''))


class Split(unittest.TestCase):
    def test_items_are_the_stream(self):
        found = items([WHOLE])
        self.assertEqual(b''.join(item.data for item in found), WHOLE)
        self.assertEqual(
            [item.name for item in found if item.name != 'other'],
            ['config', 'part', 'frame', 'frame', 'end', 'foot', 'part',
             'frame', 'frame', 'end', 'foot', 'ready', 'start', 'tail'])
        records = [record for item in found for record in item.records]
        self.assertEqual([kind for kind, _ in records],
                         ['immutable', 'memory', 'epoch', 'rec', 'start'])
        self.assertEqual(records[-1][1], TOKEN)

    def test_how_the_bytes_arrive_does_not_matter(self):
        def seen(found):
            return [(item.name, item.data, item.records) for item in found
                    if item.name not in ('other', 'tail')]
        for seed in range(20):
            draw, at, chunks = random.Random(seed), 0, []
            while at < len(WHOLE):
                size = draw.choice((1, 3, 50, 5000))
                chunks.append(WHOLE[at:at + size])
                at += size
            found = items(chunks)
            self.assertEqual(b''.join(item.data for item in found), WHOLE)
            self.assertEqual(seen(found), seen(items([WHOLE])))

    def test_it_ends_where_the_bytes_do(self):
        for size in range(0, WHOLE.index(b'vmdesc'), 7):
            if size < WHOLE.index(TOKEN):
                with self.assertRaises(EOFError):
                    items([WHOLE[:size]])


class Whole(unittest.TestCase):
    def test_sections_and_records(self):
        stream = rs.Stream(WHOLE).read()
        size = dict(zip(range(len(PIECES)), map(len, PIECES)))
        self.assertEqual(dict(stream.sections), {
            'realm-config': size[2], 'ram': size[4],
            'realm': size[5] + size[6], 'devices': size[7] + size[8],
            'realm-start': size[9]})
        self.assertEqual(stream.config['ipa-width'], 41)
        for record in stream.records:
            self.assertEqual(rs.read_record(WHOLE[record.offset:],
                                            record.offset), record)
        figures = rs.summary(stream)
        self.assertTrue(figures['complete'])
        self.assertEqual(figures['pages'], 7)

    def test_a_host_with_larger_pages_says_so_in_a_subsection(self):
        name = b'realm-config/page-size'
        fields = rs.CONFIG.pack(0x3000, 1, 41, 0, 1, bytes(64))
        config = section(rs.FULL, 0, 'realm-config', fields
                         + bytes([rs.SUBSECTION, len(name)]) + name
                         + struct.pack('>II', 1, 65536))
        stream = rs.Stream(WHOLE.replace(PIECES[2], config)).read()
        self.assertEqual(stream.config, rs.Stream(WHOLE).read().config)
        self.assertEqual(stream.sections['realm-config'], len(config))

    def test_a_cut_stream_says_where(self):
        cut = WHOLE[:len(b''.join(PIECES[:5])) + 40]
        stream = rs.Stream(cut)
        with self.assertRaisesRegex(rs.StreamError, '0x[0-9a-f]+: the stream '
                                    'ends there, within 100 bytes'):
            stream.read()
        self.assertIn('ram', stream.sections)

    def test_a_stream_that_ends_in_devices_is_not_complete(self):
        cut = WHOLE[:len(b''.join(PIECES[:7])) + 25]
        stream = rs.Stream(cut).read()
        self.assertEqual(stream.sections['devices'], 25)
        self.assertFalse(rs.summary(stream)['complete'])

    def test_what_is_malformed_is_refused(self):
        for old, new, why in (
                (rs.FRAME.pack(2, 0, 100), rs.FRAME.pack(4, 0, 100), 'frame'),
                (rs.FRAME.pack(1, 0, 100), rs.FRAME.pack(1, 1, 100), 'frame'),
                (rs.FRAME.pack(3, 0, 108), rs.FRAME.pack(3, 0, 7), 'frame'),
                (struct.pack('>BI', rs.FOOTER, 3),
                 struct.pack('>BI', rs.FOOTER, 9), 'footer'),
                (b'\x0brealm-start', b'\x0brealm-stark', 'does not follow'),
                (bytes([rs.COMMAND, 0, 1, 0, 0]), b'\x66' + bytes(4),
                 'unknown kind')):
            with self.assertRaisesRegex(rs.StreamError, why):
                rs.Stream(WHOLE.replace(old, new, 1)).read()


def packet(flags, body):
    return rs.PACKET.pack(rs.CHANNEL_MAGIC, rs.CHANNEL_VERSION, flags) + body


def bundle_packet(stream, epoch, place, record):
    body = rs.BUNDLE.pack(2, stream, len(record), epoch, place) + record
    return packet(rs.PACKET_IS_STATE,
                  rs.PACKET_STATE.pack(b'realm', 0, len(body)) + body)


MEMORY = bundle('memory', 2, entries=7)
CHANNEL = [
    # Sizes are those of MultiFDInit_t and MultiFDPacket_t.
    struct.pack('>II', 0x11223344, 1).ljust(64, b'\0'),
    bundle_packet(4, 1, 9, MEMORY),
    packet(0, struct.pack('>IIIQI', 128, 1, rs.PAGE, 3, 0).ljust(308, b'\0')
           + bytes(8 * 128) + b'p' * rs.PAGE),
    bundle_packet(5, 2, 0, MEMORY),
]


class Channel(unittest.TestCase):
    def test_items_are_the_channel(self):
        left = [b''.join(CHANNEL)]
        found = list(rs.ChannelSplitter(lambda: left.pop() if left else b''))
        self.assertEqual([item.data for item in found], CHANNEL)
        self.assertEqual([item.name for item in found],
                         ['channel', 'bundle', 'other', 'bundle'])
        self.assertEqual([item.place for item in found],
                         [None, (4, 1, 9), None, (5, 2, 0)])
        self.assertEqual(found[1].records, [('memory', MEMORY)])
        self.assertEqual(found[1].pages, 7)

    def test_what_is_malformed_is_refused(self):
        whole = b''.join(CHANNEL)
        for old, new, why in (
                (b'\x11\x22\x33\x44', bytes(4), 'not a channel'),
                (b'realm', b'other', 'for section'),
                (rs.BUNDLE.pack(2, 4, 100, 1, 9),
                 rs.BUNDLE.pack(1, 4, 100, 1, 9), 'malformed packet'),
                (rs.BUNDLE.pack(2, 4, 100, 1, 9),
                 rs.BUNDLE.pack(2, 4, 99, 1, 9), 'malformed packet')):
            left = [whole.replace(old, new, 1)]
            split = rs.ChannelSplitter(lambda: left.pop() if left else b'')
            with self.assertRaisesRegex(rs.StreamError, why):
                list(split)


if __name__ == '__main__':
    unittest.main()
