# Each record of a migration is refused in any other form
#
# SPDX-License-Identifier: GPL-2.0-or-later

import struct
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import golden
import made
import protocol as p

RECORDINGS = [*golden.all_streams(), made.migrate(),
              made.migrate('made-sha256', 0, (p.FLAG_MIGRATION, 0,
                                              made.POLICY))]
# Where fields of hello and header begin, and every so many bytes of the rest
FIELDS = range(p.HELLO.size)
STRIDE = 311


def flipped(record, at):
    return record[:at] + bytes([record[at] ^ 1]) + record[at + 1:]


def parts(record):
    """Header and entries, as one, of a bundle."""
    count = p.HEADER.unpack_from(record)[10]
    end = p.HEADER.size + 8 * count
    return record[:p.HEADER.size], record[p.HEADER.size:end]


def with_field(header, number, value):
    fields = list(p.HEADER.unpack(header))
    fields[number] = value
    return p.HEADER.pack(*fields)


class Refusals(unittest.TestCase):
    """A destination that has refused a record takes the genuine one after it,
    so the refusal has changed nothing."""

    def each(self, wrong):
        """@wrong(destination, record, n) yields (what, record, cause or None
        for any), which take the place of record n."""
        for recording in RECORDINGS:
            destination = recording.destination()
            for n, record in enumerate(recording.records):
                for what, bad, cause in wrong(destination, record, n):
                    with self.subTest(recording=recording.name, record=n,
                                      what=what):
                        with self.assertRaises(p.Refused) as refused:
                            destination.import_record(bad)
                        if cause is not None:
                            self.assertEqual(refused.exception.cause, cause)
                destination.import_record(record)
            self.assertEqual(golden.describe(destination.realm),
                             recording.digest)

    def test_a_record_arrives_only_as_it_was_made(self):
        def wrong(destination, record, n):
            for at in sorted({*FIELDS, *range(0, len(record), STRIDE),
                              len(record) - 1}):
                if at < len(record):
                    yield f'byte {at:#x}', flipped(record, at), None
            yield 'shorter', record[:-1], None
            yield 'longer', record + b'\0', None
            yield 'nothing', b'', 64
        self.each(wrong)

    def test_records_in_another_order(self):
        for recording in RECORDINGS:
            records, last = recording.records, len(recording.records) - 1
            for n in range(1, last + 1):
                with self.subTest(recording=recording.name, without=n):
                    destination = recording.destination()
                    with self.assertRaises(p.Refused) as refused:
                        for m, record in enumerate(records):
                            if m != n:
                                destination.import_record(record)
                        raise p.Refused(71, 'the end, without a start token')
                    self.assertEqual(refused.exception.cause,
                                     71 if n == last else
                                     self.cause_without(records, n))
                with self.subTest(recording=recording.name, twice=n):
                    destination = recording.destination()
                    for record in records[:n + 1]:
                        destination.import_record(record)
                    with self.assertRaises(p.Refused) as refused:
                        destination.import_record(records[n])
                    self.assertEqual(refused.exception.cause,
                                     0 if destination.started else 67)

    def cause_without(self, records, n):
        """The first to miss it: the next record of its stream (67), a token
        (69), or behind a token a record of another epoch (68)."""
        _, _, dropped, _, _, stream, *_ = p.HEADER.unpack_from(records[n])
        for record in records[n + 1:]:
            _, _, kind, _, _, is_stream, *_ = p.HEADER.unpack_from(record)
            if is_stream == stream:
                return 67
            if dropped == p.EPOCH:
                return 68
            if kind in (p.EPOCH, p.START):
                return 69

    def test_the_first_bundle(self):
        """What is fixed when the Realm is created is compared under seal."""
        for recording in RECORDINGS:
            destination = recording.destination()
            header, bundle = p.parse_hello(recording.records[0], p.SESSION, 64)
            cipher, _ = destination.derive.ciphers(
                recording.secrets.x25519, destination.offer, header)
            plain = p.open_bundle(cipher, destination.derive, bundle, 0)

            def again(at, data):
                return header.record + p.seal(
                    cipher, destination.derive, bundle[:p.HEADER.size], b'',
                    plain[:at] + data + plain[at + len(data):])
            self.assertEqual(again(0, b''), recording.records[0])
            reserved = (0xf, 0x14, 0x3f, 0xea, 0xef, 0x110, 0x13f)
            differs = {8: 96, 9: 97, 0xa: 98, 0x40: 99, 0x7f: 99, 7: 100,
                       0: 101, 0xb: 102, 0xc: 103, 0xd: 104, 0xe: 105,
                       0x10: 106, 0x140: 107, 0x144: 107, 0x83f: 107}
            if not destination.realm.algorithm:
                differs[0xa0] = differs[0xbf] = 64
            for at, cause in {**dict.fromkeys(reserved, 64),
                              **differs}.items():
                with self.subTest(recording=recording.name, at=at):
                    # In byte 7, bit 7 is MTE's
                    bad = again(at, bytes([plain[at] ^ 0x80]))
                    with self.assertRaises(p.Refused) as refused:
                        destination.import_record(bad)
                    self.assertEqual(refused.exception.cause, cause)
            most = plain[:0xe0] + b'\xff' * 8 + plain[0xe8:]
            for bad in (plain[:-1], plain + b'\0', most):
                with self.assertRaises(p.Refused) as refused:
                    destination.import_record(header.record + p.seal(
                        cipher, destination.derive, bundle[:p.HEADER.size],
                        b'', bad))
                self.assertEqual(refused.exception.cause, 64)
            destination.import_record(recording.records[0])

    def test_a_map_has_a_number_of_runs(self):
        """In all of its parts."""
        for recording in RECORDINGS:
            runs = len(recording.arrive().realm.runs)
            with mock.patch.object(p, 'MAX_RUNS', runs):
                recording.arrive()
            with mock.patch.object(p, 'MAX_RUNS', runs - 1):
                with self.assertRaises(p.Refused) as refused:
                    recording.arrive()
                self.assertEqual(refused.exception.cause, 64)

    def test_what_only_the_sources_rmm_could_send_wrong(self):
        """Sealed again, with the session's key."""
        def wrong(destination, record, n):
            if n == 0:
                return
            header, entries = parts(record)
            (_, _, kind, _, _, _, _, counter, iv, epoch, count,
             total) = p.HEADER.unpack(header)
            plain = p.open_bundle(destination.cipher, destination.derive,
                                  record, count)

            def again(field, value, body=plain, entries=entries):
                return p.seal(destination.cipher, destination.derive,
                              with_field(header, field, value), entries, body)
            self.assertEqual(again(2, kind), record)
            yield 'version', again(1, 0x201), 64
            yield 'unknown type', again(2, 3), 70 if not entries else 64
            yield 'reserved', again(3, 1), 64
            yield 'stream', again(5, 16), 64
            yield 'reserved', again(6, 1), 64
            yield 'counter', again(7, counter + 1), 67
            yield 'counter', again(7, counter - 1), 67
            yield 'IV twice', again(8, iv - 1), 67
            yield 'epoch', again(9, epoch + 1), 68
            yield 'epoch', again(9, epoch - 1), 68
            if kind in (p.EPOCH, p.START):
                yield 'total', again(11, total - 1), 69
                yield 'total', again(11, total + 1), 69
                yield 'body', again(2, kind, b'\0'), 64
            else:
                yield 'total', again(11, 1), 64
                yield 'body', again(2, kind, plain[:-1]), 64
                yield 'body', again(2, kind, plain + b'\0'), 64
            if kind in (p.MUTABLE, p.REC):
                yield 'on another stream', again(5, 1), 64
                yield 'early start token', p.seal(
                    destination.cipher, destination.derive, p.HEADER.pack(
                        p.MAGIC, 0x200, p.START, 0, 0, 0, 0, counter, iv,
                        epoch, 0, sum(destination.counters) + 1)), 71
                yield 'an answer', again(2, p.READY, b''), 70
            if kind == p.MEMORY:
                # What came on any stream before, as a bundle of stream 9
                for ipa in destination.sent:
                    yield 'a page again in its epoch', p.seal(
                        destination.cipher, destination.derive, p.HEADER.pack(
                            p.MAGIC, 0x200, p.MEMORY, 0, 0, 9, 0, 1, 1, epoch,
                            1, 0), struct.pack('<Q', ipa),
                        plain[:len(plain) // count]), 84
            if kind == p.MEMORY and count > 1:
                yield 'a page twice', again(
                    2, kind, entries=entries[:8] + entries[:-8]), 84
            if kind == p.REC:
                for pending, esr, abort in ((3, 0, 0), (0, 1, 0),
                                            (0, 0x92000010, 1),
                                            (0, 0x92000007, 2),
                                            (0, 0x82000007, 3),
                                            (0, 0x82000810, 3)):
                    # Host call at 1, which is no multiple of 256
                    yield f'abort {abort}, pending {pending}', again(
                        2, kind, plain[:0x108] + struct.pack('<Q', 1) +
                        plain[0x110:0x120] + bytes([1, pending]) +
                        plain[0x122:0x128] + struct.pack('<Q', esr) +
                        plain[0x130:0x138] + bytes([abort]) +
                        plain[0x139:]), 64
            if kind == p.MUTABLE:
                # The first run in two halves of one kind
                first, rest = plain[0x140:0x150], plain[0x150:]
                start, top = struct.unpack('<QQ', first)
                more = struct.pack('<I', len(plain[0x140:]) // 16 + 1)
                yield 'neighbours alike', again(
                    2, kind, plain[:0x10] + more + plain[0x14:0x140] +
                    struct.pack('<QQQQ', start, 0x1000, start + 0x1000, top) +
                    rest), 64
                if not destination.realm.algorithm:
                    yield 'bytes behind a hash', again(
                        2, kind, plain[:0x60] + b'\1' + plain[0x61:]), 64
            if kind == p.MEMORY:
                yield 'IPA', again(2, kind, entries=struct.pack(
                    '<Q', 1 << 32) + entries[8:]), 64
        self.each(wrong)


if __name__ == '__main__':
    unittest.main()
