# The golden streams, read by an implementation that was written from the text:
# each record opens, says what the model says, and is refused in any other form.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import struct
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import golden
import protocol as p

STREAMS = golden.all_streams()
# Where fields of hello and header begin, and every so many bytes of the rest
FIELDS = range(0xa0)
STRIDE = 311


def flipped(record, at):
    return record[:at] + bytes([record[at] ^ 1]) + record[at + 1:]


def parts(record):
    """Header and entries, as one, of a bundle."""
    count = p.HEADER.unpack_from(record)[10]
    end = p.HEADER.size + 8 * count
    return record[:p.HEADER.size], record[p.HEADER.size:end], record[end:]


def with_field(header, number, value):
    fields = list(p.HEADER.unpack(header))
    fields[number] = value
    return p.HEADER.pack(*fields)


class Arrival(unittest.TestCase):
    def test_every_record_of_the_golden_stream_opens(self):
        for stream in STREAMS:
            with self.subTest(stream.name):
                destination = stream.destination()
                kinds = [destination.import_record(record)
                         for record in stream.records]
                self.assertEqual(kinds, [
                    p.IMMUTABLE, p.MEMORY, p.MEMORY, p.EPOCH, p.MEMORY,
                    p.MUTABLE, p.REC, p.REC, p.START])
                self.assertTrue(destination.started)
                self.assertEqual(destination.counters, [8, 1] + [0] * 14)
                self.assertEqual(destination.ivs, [8, 1] + [0] * 14)

    def test_what_arrives_is_what_arrived_at_the_model(self):
        for stream in STREAMS:
            with self.subTest(stream.name):
                self.assertEqual(golden.describe(stream.arrive().realm),
                                 stream.digest)

    def test_every_page_of_the_map_came(self):
        for stream in STREAMS:
            with self.subTest(stream.name):
                realm = stream.arrive().realm
                want = {ipa for start, top, kind in realm.runs
                        for ipa in range(start, top, p.PAGE)
                        if kind == p.RAM_PAGE}
                self.assertEqual(set(realm.pages), want)

    def test_offers_are_made_of_the_secrets(self):
        for stream in STREAMS:
            with self.subTest(stream.name):
                offer = p.parse_hello(stream.offer, p.OFFER, 3)[0]
                self.assertEqual(offer.public,
                                 p.x25519_public(stream.secrets.x25519))
                self.assertEqual(offer.nonce, stream.secrets.nonce)
                self.assertEqual(offer.lock, p.sha256(stream.secrets.abort))

    def test_tags_come_in_every_form_that_the_session_allows(self):
        forms = {'golden-stream-1.0': {3},
                 'golden-stream-1.0-compact': {0, 1, 2, 3},
                 'golden-stream-1.0-anchors': set()}
        for stream in STREAMS:
            with self.subTest(stream.name):
                self.assertEqual(stream.arrive().forms, forms[stream.name])


class Tokens(unittest.TestCase):
    def setUp(self):
        self.stream = next(s for s in STREAMS if s.policy.anchors)
        self.offer = p.parse_hello(self.stream.offer, p.OFFER, 3)[0]
        self.header = p.parse_hello(self.stream.records[0], p.SESSION, 64)[0]
        self.other = p.platform_point(golden.OTHER)

    def test_each_side_signs_with_its_own_key(self):
        p.signed_by([golden.POINT], self.offer.token)
        p.signed_by([self.other], self.header.token)

    def test_a_key_that_the_policy_does_not_name_is_refused(self):
        for point, token in ((golden.POINT, self.header.token),
                             (self.other, self.offer.token)):
            with self.assertRaises(p.Refused) as refused:
                p.signed_by([point], token)
            self.assertEqual(refused.exception.cause, 78)

    def test_another_order_of_anchors_changes_the_rim(self):
        policy = golden.policy(anchors=self.stream.policy.anchors[::-1])
        rim = bytes(64)
        self.assertNotEqual(policy.extend(rim, 1),
                            self.stream.policy.extend(rim, 1))

    def test_models_claims(self):
        claims = p.parse_claims(p.signed_by([golden.POINT], self.offer.token))
        self.assertEqual(claims[p.LIFE_CYCLE], 0)
        self.assertEqual(claims[p.IMPLEMENTATION].rstrip(b'\0'),
                         b'QEMU RMM model, not hardware')

    def test_claims_in_other_forms_are_refused(self):
        good = p.signed_by([golden.POINT], self.offer.token)
        more = bytes([good[0] + 1]) + good[1:]
        for claim in (b'\x18\x64' + 900 * b'\x81' + b'\0',
                      b'\x20\xf9\x00\x00', b'\x20\xf8\x20'):
            self.assertEqual(p.parse_claims(more + claim),
                             p.parse_claims(good))
        for bad in (good[:-1], good + b'\0', b'\xbf' + good[1:] + b'\xff',
                    b'\xb8' + bytes([good[0] & 31]) + good[1:],
                    more, more + b'\x0a\0', more + b'\x61x\0',
                    more + b'\x18\x17\0', more + b'\x20\xf8\x18',
                    more + b'\x20\x9b' + 8 * b'\xff'):
            with self.assertRaises(p.Refused) as refused:
                p.parse_claims(bad)
            self.assertEqual(refused.exception.cause, 77)


class Refusals(unittest.TestCase):
    """A destination that has refused a record takes the genuine one after it,
    so the refusal has changed nothing."""

    def each(self, wrong):
        """@wrong(destination, record, n) yields (what, record, cause or None
        for any), which take the place of record n."""
        for stream in STREAMS:
            destination = stream.destination()
            for n, record in enumerate(stream.records):
                for what, bad, cause in wrong(destination, record, n):
                    with self.subTest(stream=stream.name, record=n,
                                      what=what):
                        with self.assertRaises(p.Refused) as refused:
                            destination.import_record(bad)
                        if cause is not None:
                            self.assertEqual(refused.exception.cause, cause)
                destination.import_record(record)
            self.assertEqual(golden.describe(destination.realm),
                             stream.digest)

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
        for stream in STREAMS:
            for n in range(1, len(stream.records)):
                with self.subTest(stream=stream.name, without=n):
                    destination = stream.destination()
                    with self.assertRaises(p.Refused) as refused:
                        for m, record in enumerate(stream.records):
                            if m != n:
                                destination.import_record(record)
                        raise p.Refused(71, 'the end, without a start token')
                    # Record 2 is alone on stream 1: the epoch token notices
                    self.assertEqual(refused.exception.cause,
                                     {2: 69, 8: 71}.get(n, 67))
                with self.subTest(stream=stream.name, twice=n):
                    destination = stream.destination()
                    for record in stream.records[:n + 1]:
                        destination.import_record(record)
                    with self.assertRaises(p.Refused) as refused:
                        destination.import_record(stream.records[n])
                    self.assertEqual(refused.exception.cause,
                                     0 if destination.started else 67)

    def test_what_only_the_sources_rmm_could_send_wrong(self):
        """Sealed again, with the session's key."""
        def wrong(destination, record, n):
            if n == 0:
                return
            header, entries, sealed = parts(record)
            (_, _, kind, _, _, stream, _, counter, iv, epoch, _,
             total) = p.HEADER.unpack(header)
            plain = destination.cipher.decrypt(
                destination.derive.iv(iv, stream), sealed, header + entries)

            def again(field, value, body=plain, entries=entries):
                return p.seal(destination.cipher, destination.derive,
                              with_field(header, field, value), entries, body)
            self.assertEqual(again(2, kind), record)
            yield 'version', again(1, 0x101), 64
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
                        p.MAGIC, 0x100, p.START, 0, 0, 0, 0, counter, iv,
                        epoch, 0, sum(destination.counters) + 1), b'',
                    b''), 71
            if kind == p.MEMORY and len(entries) > 8:
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
