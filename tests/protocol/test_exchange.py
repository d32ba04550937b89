# Offers, session headers and answers between source and destination here
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import struct
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import golden
import made
import policy as q
import protocol as p
import sender
import tokens as t
from refused import Refused

PLAIN = p.FLAG_MIGRATION, 0, q.Policy()


def flipped(record, at, bit=1):
    return record[:at] + bytes([record[at] ^ bit]) + record[at + 1:]


class Case(unittest.TestCase):
    def refused(self, cause, call, *args, **kwargs):
        with self.assertRaises(Refused) as refused:
            call(*args, **kwargs)
        self.assertEqual(refused.exception.cause, cause)


class Offers(Case):
    nonce = os.urandom(32)
    key = made.SOURCE_KEY
    platform = made.platform(key)

    def offer(self, **fields):
        return sender.make_offer(self.key, made.fresh(), self.nonce, **fields)

    def accept(self, offer, policy=q.Policy(), age=0):
        return p.accept_offer(offer, policy, self.platform, self.nonce,
                              age=age)

    def test_an_offer_is_accepted(self):
        offer, claims = self.accept(self.offer(features=5))
        self.assertEqual(offer.features, 5)
        self.assertEqual(claims.life_cycle, 0)
        self.accept(self.offer(version=0x2ff))
        self.accept(self.offer(certificates=bytes(4096)))

    def test_nonces(self):
        other = sender.make_offer(self.key, made.fresh(), os.urandom(32))
        self.refused(4, self.accept, other)
        self.refused(4, self.accept, sender.make_offer(
            self.key, made.fresh(), bytes(32)))
        self.accept(self.offer(), age=600)
        self.refused(6, self.accept, self.offer(), age=601)

    def test_versions_and_features(self):
        self.refused(75, self.accept, self.offer(version=0x100))
        self.refused(75, self.accept, self.offer(version=0x300))
        policy = q.Policy.make(q.COMPACT, required=q.FEATURE_COMPACT)
        self.refused(76, self.accept, self.offer(features=6), policy)
        self.accept(self.offer(features=7), policy)

    def test_forms(self):
        good = self.offer(certificates=b'x')
        for bad in (b'', good[:0xff], good[:-1], good + b'\0',
                    flipped(good, 0), flipped(good, 6), flipped(good, 7),
                    flipped(good, 8), flipped(good, 0xc), flipped(good, 0x18),
                    flipped(good, 0x1c), self.offer(certificates=bytes(4097)),
                    self.offer(claims={-1: bytes(2048)})):
            self.refused(3, self.accept, bad)
        # All of what is hashed, and the token
        for at in range(len(good) - 1):
            with self.subTest(at):
                with self.assertRaises(Refused):
                    self.accept(flipped(good, at))

    def test_an_offer_with_the_token_of_another(self):
        """The two have everything but the keys in common."""
        mine, secrets = self.offer(), made.fresh()
        other = sender.make_offer(self.key, secrets, self.nonce)
        size = p.HELLO.size
        self.refused(79, self.accept, mine[:size] + other[size:])


class Sessions(Case):
    def setUp(self):
        self.nonce, self.secrets = os.urandom(32), made.fresh()
        self.realm = made.realm(*PLAIN)
        self.key = made.SOURCE_KEY

    def meet(self, source_features=0, offer_fields=None, kind=PLAIN, age=0,
             platform=None, **fields):
        """Returns (destination, what the source begins with)."""
        offer = sender.make_offer(self.key, self.secrets, self.nonce,
                                  **(offer_fields or {}))
        realm = made.realm(*kind)
        source = sender.Source(realm, bytes(64), self.key, offer,
                               source_features, **fields)
        recording = golden.Recording(
            '', kind, self.nonce, offer, self.secrets, [], b'', b'', '',
            platform or made.platform(self.key), None, None)
        destination = recording.destination()
        destination.age = age
        self.source = source
        return destination, source.begin()

    def test_a_session_begins(self):
        destination, begin = self.meet(offer_fields={'features': 9})
        self.assertEqual(destination.import_record(begin), p.IMMUTABLE)
        destination, begin = self.meet(offer_fields={'version': 0x205})
        destination.import_record(begin)
        self.assertEqual(destination.session.version, 0x200)

    def test_what_is_refused(self):
        for cause, (destination, begin) in (
                (75, self.meet(version=0x300)), (75, self.meet(version=0x100)),
                (75, self.meet(version=0x201)),
                (74, self.meet(peer=os.urandom(32))),
                (86, self.meet(age=601)),
                (76, self.meet(source_features=2,
                               offer_fields={'features': 1})),
                (76, self.meet(kind=(p.FLAG_MIGRATION, 0, q.Policy.make(
                    q.COMPACT, required=q.FEATURE_COMPACT)))),
                (80, self.meet(claims={t.PROFILE_KEY: 'x'})),
                (78, self.meet(platform=made.platform(made.DESTINATION_KEY)))):
            with self.subTest(cause):
                self.refused(cause, destination.import_record, begin)
                self.assertIsNone(destination.session)
        destination, begin = self.meet(age=600)
        destination.import_record(begin)

    def test_own_key_or_nonce(self):
        """At both sides: then a generator repeats."""
        public = p.x25519_public(self.secrets.x25519)
        for fields in ({'nonce': self.secrets.nonce}, {'public': public}):
            self.refused(83, self.meet, **fields)
            destination, begin = self.meet()
            offer = destination.offer
            record = sender.make_hello(
                p.SESSION, self.key,
                lambda hello: p.Derivation().session_challenge(hello, offer),
                **{'public': os.urandom(32), 'nonce': os.urandom(32),
                   'peer': offer.nonce, **fields})
            self.refused(83, destination.import_record, record)
            destination.import_record(begin)

    def test_no_secret_from_the_exchange(self):
        destination, begin = self.meet()
        header = p.parse_hello(begin, p.SESSION, 64)[0]
        header.public = bytes(32)
        self.refused(66, destination.derive.ciphers, self.secrets.x25519,
                     destination.offer, header)

    def test_the_realm_learns_where_it_was(self):
        model, hard = (0, b'm' * 32), (0x3000, b'h' * 32)
        for before, source, own, want in (
                (hard, hard, hard, 0), (hard, hard, model, 2),
                (hard, model, hard, 1), (model, hard, hard, 0),
                (hard, model, model, 1), (model, model, model, 0)):
            before, source, own = [
                (life_cycle, name + identity[1:]) for (life_cycle, identity),
                name in zip((before, source, own), (b'0', b'1', b'2'))]
            destination, begin = self.meet(
                kind=(p.FLAG_MIGRATION, 0, q.Policy.make(q.ANY_LIFE_CYCLE)),
                claims={t.LIFE_CYCLE: source[0], t.IMPLEMENTATION: source[1]},
                platform=p.Platform(p.platform_point(self.key), *own))
            self.source.realm.weakest = before
            self.source.realm.migrations = 5
            self.source.counters = [0] * p.MAX_STREAMS
            destination.import_record(self.source.begin())
            with self.subTest(before=before, source=source, own=own):
                realm = destination.realm
                self.assertEqual(realm.weakest, (before, source, own)[want])
                self.assertEqual(realm.migrations, 6)
                self.assertEqual(realm.instance, self.source.realm.instance)


class Answers(Case):
    def setUp(self):
        self.recording = made.migrate()

    def arrive(self, count, check):
        destination = self.recording.destination()
        for record in self.recording.records[:count]:
            check(destination)
            destination.import_record(record)
        return destination

    def test_ready_comes_when_all_has_come(self):
        end = len(self.recording.records) - 1

        def early(destination):
            if destination.session:
                map_came = destination.next_base == destination.realm.half
                self.refused(13 if map_came else 12, destination.ready)
        destination = self.arrive(end, early)
        self.assertEqual(destination.ready(), self.recording.ready)
        again = destination.ready()
        self.assertEqual(struct.unpack_from('<QQ', again, 0x10), (2, 2))
        for record in (self.recording.ready, again):
            p.open_answer(destination.back, record, p.READY, 0x200, 2, end)
        lost, _ = destination.realm.pages.popitem()
        self.refused(17, destination.ready)

    def test_receipt_comes_with_the_commit(self):
        destination = self.arrive(len(self.recording.records) - 1,
                                  lambda d: self.refused(18, d.commit))
        destination.ready()
        destination.import_record(self.recording.records[-1])
        self.refused(0, destination.ready)
        self.assertEqual(destination.commit(), self.recording.receipt)

    def test_abort_tokens(self):
        destination = self.recording.destination()
        good, offer = destination.abort(), destination.offer
        p.open_abort_token(good, offer)
        p.open_abort_token(flipped(good, 4), offer)     # minor version
        for cause, at in ((23, 0), (23, 5), (23, 6), (23, 7), (23, 8), (23, 12),
                          (24, 0x10), (24, 0x2f), (25, 0x30), (25, 0x4f)):
            self.refused(cause, p.open_abort_token, flipped(good, at), offer)
        for bad in (good[:-1], good + b'\0'):
            self.refused(23, p.open_abort_token, bad, offer)

    def test_what_the_source_refuses(self):
        destination = self.recording.arrive()
        back, version = destination.back, destination.session.version
        total = sum(destination.counters)

        def look(record, kind=p.RECEIPT, version=version, epoch=2,
                 total=total, cipher=back):
            p.open_answer(cipher, record, kind, version, epoch, total)
        good = self.recording.receipt
        look(good)
        for at in range(len(good)):
            bad = flipped(good, at)
            in_header = (at < 0x10 and at != 6) or 0x24 <= at < 0x28
            self.refused(27 if in_header else 28, look, bad)
        for bad in (good[:-1], good + b'\0', b''):
            self.refused(27, look, bad)
        self.refused(27, look, good, version=0x201)
        self.refused(29, look, good, kind=p.READY)
        self.refused(28, look, good, cipher=destination.cipher)
        self.refused(28, look, good, cipher=made.migrate().arrive().back)
        self.refused(29, look, good, epoch=1)
        self.refused(29, look, good, total=total - 1)
        self.refused(29, look, self.recording.ready, kind=p.READY)
        look(self.recording.ready, kind=p.READY, total=total - 1)


if __name__ == '__main__':
    unittest.main()
