# Keys, challenges and IVs are what the text says, and nothing near it: each
# change of the derivation leaves the golden streams closed.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import struct
import sys
import unittest
from pathlib import Path

from cryptography.hazmat.primitives import hashes

sys.path.insert(0, str(Path(__file__).resolve().parent))
import golden
import protocol as p

TRUE = p.Derivation


def own_hash(self, hello):
    return hashlib.sha512(self.first(hello)).digest()[:32]


# Name: what is different.  "o" is the offer, "h" the session header.
MUTANTS = {
    # PRK
    'salts_swapped': {'salt': lambda s, o, h: h.nonce + o.nonce},
    'salt_of_the_offer_only': {'salt': lambda s, o, h: o.nonce},
    'salt_of_the_session_only': {'salt': lambda s, o, h: h.nonce},
    'salt_of_the_offer_twice': {'salt': lambda s, o, h: 2 * o.nonce},
    'salt_of_the_session_twice': {'salt': lambda s, o, h: 2 * h.nonce},
    'salt_with_the_peers_nonce': {
        'salt': lambda s, o, h: o.nonce + h.peer_nonce},
    'no_salt': {'salt': lambda s, o, h: bytes(32)},
    'own_public_key': {'peer_public': lambda s, o, h: o.public},
    'secret_backwards': {
        'shared': lambda s, x, o, h: TRUE.shared(s, x, o, h)[::-1]},
    'secret_and_salt_exchanged': {
        'extract': lambda s, salt, x: TRUE.extract(s, x, salt)},
    'nothing_extracted': {'extract': lambda s, salt, x: x},
    'extract_with_sha384': {'extract': lambda s, salt, x: type(
        'Sha384', (TRUE,), {'hash': hashes.SHA384})().extract(salt, x)},
    # Key
    'hkdf_with_sha512': {'hash': hashes.SHA512},
    'expand_with_sha384': {'expand': lambda s, prk, info: type(
        'Sha384', (TRUE,), {'hash': hashes.SHA384})().expand(prk, info)},
    'nothing_expanded': {'expand': lambda s, prk, info: prk},
    'key_of_128_bits': {'key_bytes': 16},
    'key_of_192_bits': {'key_bytes': 24},
    'label_without_its_zero': {'label': TRUE.label[:-1]},
    'label_of_the_other_direction': {
        'label': b'realm-migration 1 destination-source\0'},
    'label_of_another_version': {
        'label': b'realm-migration 2 source-destination\0'},
    'label_of_the_offer': {'label': TRUE.offer_label},
    'no_label': {'label': b''},
    'label_last': {'info': lambda s, o, h:
                   s.digest(o) + s.digest(h) + s.label},
    'hashes_swapped': {'info': lambda s, o, h:
                       s.label + s.digest(h) + s.digest(o)},
    'hash_of_the_offer_left_out': {'info': lambda s, o, h:
                                   s.label + s.digest(h)},
    'hash_of_the_header_left_out': {'info': lambda s, o, h:
                                    s.label + s.digest(o)},
    'hash_of_the_offer_twice': {'info': lambda s, o, h:
                                s.label + 2 * s.digest(o)},
    'one_hash_of_both': {'info': lambda s, o, h:
                         s.label + p.sha256(o.first, h.first)},
    'hash_with_sha512': {'digest': own_hash},
    'hash_with_sizes': {'digest': lambda s, x: p.sha256(x.record[:0xa0])},
    'hash_with_token': {'digest': lambda s, x: p.sha256(x.record)},
    'hash_without_sizes': {'digest': lambda s, x: p.sha256(
        x.record[:8] + x.record[16:0xa0])},
    'hash_with_size_of_token': {'digest': lambda s, x: p.sha256(
        x.record[:8] + bytes(4) + x.record[12:0xa0])},
    # Challenges
    'offer_with_sizes': {'offer_challenge': lambda s, o: p.sha256(
        s.offer_label, o.record[:0xa0])},
    'offer_without_label': {'offer_label': b''},
    'offer_label_without_its_zero': {'offer_label': TRUE.offer_label[:-1]},
    'session_with_sizes': {'session_challenge': lambda s, h, o: p.sha256(
        s.session_label, h.record[:0xa0], s.digest(o))},
    'session_without_label': {'session_label': b''},
    'session_label_without_its_zero': {
        'session_label': TRUE.session_label[:-1]},
    'labels_exchanged': {'offer_label': TRUE.session_label,
                         'session_label': TRUE.offer_label},
    'session_without_the_offer': {
        'session_challenge': lambda s, h, o: p.sha256(s.session_label,
                                                      h.first)},
    'session_with_the_whole_offer': {
        'session_challenge': lambda s, h, o: p.sha256(
            s.session_label, h.first, o.first)},
    'session_behind_the_offer': {
        'session_challenge': lambda s, h, o: p.sha256(
            s.session_label, s.digest(o), h.first)},
    # Seals
    'iv_big_endian': {'iv': lambda s, n, stream: struct.pack(
        '>QHH', n, stream, 0)},
    'iv_stream_first': {'iv': lambda s, n, stream: struct.pack(
        '<HHQ', stream, 0, n)},
    'iv_zero_first': {'iv': lambda s, n, stream: struct.pack(
        '<HQH', 0, n, stream)},
    'iv_without_stream': {'iv': lambda s, n, stream: struct.pack(
        '<QHH', n, 0, 0)},
    'iv_stream_at_the_end': {'iv': lambda s, n, stream: struct.pack(
        '<QHH', n, 0, stream)},
    'iv_from_zero_on': {'iv': lambda s, n, stream: struct.pack(
        '<QHH', n - 1, stream, 0)},
    'header_not_authenticated': {'additional': lambda s, h, e: e},
    'entries_not_authenticated': {'additional': lambda s, h, e: h},
    'entries_before_header': {'additional': lambda s, h, e: e + h},
}


class Derivation(unittest.TestCase):
    def test_the_text_opens_the_golden_streams(self):
        for stream in golden.all_streams():
            with self.subTest(stream.name):
                self.assertTrue(stream.arrive(TRUE()).started)

    def test_every_mutant_is_noticed(self):
        for stream in golden.all_streams():
            for name, members in MUTANTS.items():
                with self.subTest(stream=stream.name, mutant=name):
                    mutant = type(name, (TRUE,), members)()
                    with self.assertRaises(p.Refused) as refused:
                        stream.arrive(mutant)
                    self.assertIn(refused.exception.cause, (65, 79))

    def test_the_sides_have_no_number_in_common(self):
        """Or mutants that mix the two sides up would go unnoticed."""
        for stream in golden.all_streams():
            with self.subTest(stream.name):
                offer = p.parse_hello(stream.offer, p.OFFER, 3)[0]
                header = p.parse_hello(stream.records[0], p.SESSION, 64)[0]
                self.assertNotEqual(offer.public, header.public)
                self.assertNotEqual(offer.nonce, header.nonce)


if __name__ == '__main__':
    unittest.main()
