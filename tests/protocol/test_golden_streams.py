# The golden streams, read by an implementation that was written from the text:
# each record opens and says what the model says.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import golden
import policy as policies
import protocol as p
import tokens
from refused import Refused

STREAMS = golden.all_streams()
UNKNOWN = 1 << 62               # a feature that no version 2.0 has


class Arrival(unittest.TestCase):
    def test_every_record_of_the_golden_stream_opens(self):
        for stream in STREAMS:
            with self.subTest(stream.name):
                destination = stream.destination()
                kinds = [destination.import_record(record)
                         for record in stream.records]
                self.assertEqual(kinds, [
                    p.IMMUTABLE, p.MEMORY, p.MEMORY, p.MEMORY, p.MEMORY,
                    p.EPOCH, p.MEMORY, p.MUTABLE, p.REC, p.REC, p.START])
                self.assertTrue(destination.started)
                counters = [7, 2] + [0] * 13 + [2]
                self.assertEqual(destination.counters, counters)
                self.assertEqual(destination.ivs, counters)

    def test_the_models_answers_are_ours(self):
        """The same bytes, and the model's source takes no others."""
        for stream in STREAMS:
            with self.subTest(stream.name):
                destination = stream.destination()
                for record in stream.records[:-1]:
                    destination.import_record(record)
                self.assertEqual(destination.ready(), stream.ready)
                destination.import_record(stream.records[-1])
                self.assertEqual(destination.commit(), stream.receipt)

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

    def test_there_is_a_stream_of_each_kind(self):
        self.assertEqual({stream.name for stream in STREAMS},
                         set(golden.KINDS))

    def test_a_feature_that_nobody_has_was_offered(self):
        offers = {stream.name: p.parse_hello(stream.offer, p.OFFER, 3)[0]
                  for stream in STREAMS}
        offer = offers['golden-stream-2.0-compact']
        self.assertEqual((offer.version, offer.features),
                         (0x207, UNKNOWN | p.COMPACT))
        session = next(s for s in STREAMS if s.name ==
                       'golden-stream-2.0-compact').arrive().session
        self.assertEqual((session.version, session.features),
                         (0x200, p.COMPACT))

    def test_offers_are_made_of_the_secrets(self):
        for stream in STREAMS:
            with self.subTest(stream.name):
                offer = p.parse_hello(stream.offer, p.OFFER, 3)[0]
                self.assertEqual(offer.public,
                                 p.x25519_public(stream.secrets.x25519))
                self.assertEqual(offer.nonce, stream.secrets.nonce)
                self.assertEqual(offer.peer_nonce, stream.nonce)
                self.assertEqual(offer.lock, p.sha256(stream.secrets.abort))

    def test_tags_come_in_every_form_that_the_session_allows(self):
        forms = {'golden-stream-2.0': {3},
                 'golden-stream-2.0-compact': {0, 1, 2, 3},
                 'golden-stream-2.0-zero': {0, 1, 2, 3},
                 'golden-stream-2.0-anchors': set()}
        for stream in STREAMS:
            with self.subTest(stream.name):
                self.assertEqual(stream.arrive().forms, forms[stream.name])

    def test_pages_of_zeros_come_without_data_where_the_session_omits_it(self):
        for stream in STREAMS:
            with self.subTest(stream.name):
                omits = golden.FEATURES[stream.name] & p.ZERO
                came = stream.arrive()
                self.assertEqual(came.session.features,
                                 golden.FEATURES[stream.name])
                self.assertEqual(len(came.zeros), 2 if omits else 0)
                for ipa in came.zeros:
                    self.assertEqual(came.realm.pages[ipa][0], bytes(p.PAGE))


class Tokens(unittest.TestCase):
    def setUp(self):
        self.stream = next(s for s in STREAMS if s.policy.anchors)
        self.offer = p.parse_hello(self.stream.offer, p.OFFER, 3)[0]
        self.header = p.parse_hello(self.stream.records[0], p.SESSION, 64)[0]

    def test_each_side_signs_with_its_own_key(self):
        for hello, platform in ((self.offer, self.stream.platform),
                                (self.header, self.stream.source)):
            self.assertEqual(hello.platform_key, platform.point)
            tokens.signed_payload(hello.token, platform.point)

    def test_a_key_that_the_policy_does_not_name_is_refused(self):
        for hello, platform in ((self.header, self.stream.platform),
                                (self.offer, self.stream.source)):
            with self.assertRaises(Refused) as refused:
                tokens.signed_payload(hello.token, platform.point)
            self.assertEqual(refused.exception.cause, 78)

    def test_another_order_of_anchors_changes_the_rim(self):
        policy = self.stream.policy
        other = policies.Policy.make(policy.flags, policy.anchors[::-1],
                                     policy.rules)
        rim = bytes(64)
        self.assertNotEqual(other.extend(rim, 1), policy.extend(rim, 1))

    def test_models_claims(self):
        claims = tokens.parse_claims(self.offer.payload)
        self.assertEqual(claims.life_cycle, 0)
        self.assertEqual(claims.implementation, golden.MODEL)


if __name__ == '__main__':
    unittest.main()
