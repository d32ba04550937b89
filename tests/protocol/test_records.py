# Each record of a migration is refused in any other form
#
# SPDX-License-Identifier: GPL-2.0-or-later

import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import forged
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
            for what, bad, cause in forged.first_bundles(destination, cipher,
                                                         bundle):
                with self.subTest(recording=recording.name, what=what):
                    with self.assertRaises(p.Refused) as refused:
                        destination.import_record(header.record + bad)
                    self.assertEqual(refused.exception.cause, cause)
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
            if n:
                forger = forged.Forger(destination, record)
                self.assertEqual(forger.again(), record)
                yield from forger.all()
        self.each(wrong)


if __name__ == '__main__':
    unittest.main()
