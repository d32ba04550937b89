# Keys, challenges and IVs are what the text says, and nothing near it: with each
# change of the derivation recorded migrations stay closed.
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
import made
import protocol as p
import tokens

TRUE = p.Derivation


def own_hash(self, hello):
    return hashlib.sha512(self.first(hello)).digest()[:32]


def info(*parts):
    """The keys' info of other parts: L(abel), O(ffer), H(eader), and P, Q for
    the payloads of both."""
    def compute(self, label, offer, header):
        values = {'L': label, 'O': self.digest(offer),
                  'H': self.digest(header), 'P': self.payload_digest(offer),
                  'Q': self.payload_digest(header)}
        return b''.join(values[part] for part in parts)
    return {'info': compute}


def patched(at, size):
    """The first bytes with those at @at as they came, not as zero."""
    return {'first': lambda s, x: (TRUE.first(s, x)[:at] +
                                   x.record[at:at + size] +
                                   TRUE.first(s, x)[at + size:])}


def zeroed(at, size):
    return {'first': lambda s, x: (TRUE.first(s, x)[:at] + bytes(size) +
                                   TRUE.first(s, x)[at + size:])}


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
    'labels_without_their_zero': {'forward_label': TRUE.forward_label[:-1],
                                  'back_label': TRUE.back_label[:-1]},
    'forward_label_without_its_zero': {
        'forward_label': TRUE.forward_label[:-1]},
    'back_label_without_its_zero': {'back_label': TRUE.back_label[:-1]},
    'directions_exchanged': {'forward_label': TRUE.back_label,
                             'back_label': TRUE.forward_label},
    'one_key_for_both_directions': {'back_label': TRUE.forward_label},
    'labels_of_version_1': {
        'forward_label': b'realm-migration 1 source-destination\0',
        'back_label': b'realm-migration 1 destination-source\0'},
    'label_of_the_offer': {'forward_label': TRUE.offer_label},
    'no_labels': {'forward_label': b'', 'back_label': b''},
    'label_last': info(*'OHPQL'),
    'hashes_swapped': info(*'LHOPQ'),
    'hash_of_the_offer_left_out': info(*'LHPQ'),
    'hash_of_the_header_left_out': info(*'LOPQ'),
    'hash_of_the_offer_twice': info(*'LOOPQ'),
    'one_hash_of_both': {'info': lambda s, label, o, h: (
        label + p.sha256(o.first, h.first) + s.payload_digest(o) +
        s.payload_digest(h))},
    'payloads_left_out': info(*'LOH'),
    'payload_of_the_offer_left_out': info(*'LOHQ'),
    'payload_of_the_header_left_out': info(*'LOHP'),
    'payloads_exchanged': info(*'LOHQP'),
    'payloads_first': info(*'LPQOH'),
    'payload_behind_each_hash': info(*'LOPHQ'),
    'payload_of_the_offer_twice': info(*'LOHPP'),
    'payload_of_the_header_twice': info(*'LOHQQ'),
    'one_hash_of_both_payloads': {'info': lambda s, label, o, h: (
        label + s.digest(o) + s.digest(h) + p.sha256(o.payload, h.payload))},
    'payloads_themselves': {'payload_digest': lambda s, x: x.payload},
    'payloads_with_sha512': {'payload_digest': lambda s, x: hashlib.sha512(
        x.payload).digest()[:32]},
    'tokens_for_payloads': {'payload_digest': lambda s, x: p.sha256(x.token)},
    'payloads_as_they_are_signed': {
        'payload_digest': lambda s, x: p.sha256(tokens.to_be_signed(
            x.payload))},
    'payloads_with_their_heads': {
        'payload_digest': lambda s, x: p.sha256(x.token[8:-98])},
    'platform_key_not_hashed': {'first': lambda s, x: TRUE.first(s, x)[:0xa0]},
    'platform_key_as_zero': zeroed(0xa0, 96),
    'half_of_the_platform_key': zeroed(0xd0, 48),
    'platform_key_in_no_key': {'digest': lambda s, x: p.sha256(
        TRUE.first(s, x)[:0xa0])},
    'abort_lock_as_zero': zeroed(0x80, 32),
    'peers_nonce_as_zero': zeroed(0x60, 32),
    'features_as_zero': zeroed(0x10, 8),
    'size_as_it_is': patched(8, 4),
    'size_of_the_token_as_it_is': patched(0xc, 4),
    'size_of_the_certificates_as_it_is': patched(0x18, 4),
    'hash_with_sha512': {'digest': own_hash},
    'hash_with_sizes': {'digest': lambda s, x: p.sha256(x.record[:0x100])},
    'hash_with_token': {'digest': lambda s, x: p.sha256(x.record)},
    'hash_without_sizes': {'digest': lambda s, x: p.sha256(
        x.record[:8] + x.record[16:24] + x.record[28:0x100])},
    # Challenges
    'offer_with_sizes': {'offer_challenge': lambda s, o: p.sha256(
        s.offer_label, o.record[:0x100])},
    'offer_without_label': {'offer_label': b''},
    'offer_label_without_its_zero': {'offer_label': TRUE.offer_label[:-1]},
    'session_with_sizes': {'session_challenge': lambda s, h, o: p.sha256(
        s.session_label, h.record[:0x100], s.digest(o))},
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


# What a recording does not have, nobody notices there
ONLY_WITH = {
    'size_of_the_certificates_as_it_is':
        lambda offer, header: offer.certificates or header.certificates,
    'features_as_zero': lambda offer, header: offer.features,
}
RECORDINGS = [*golden.all_streams(), made.migrate()]


class Derivation(unittest.TestCase):
    def test_the_text_opens_what_was_recorded(self):
        for recording in RECORDINGS:
            with self.subTest(recording.name):
                self.assertTrue(recording.arrive(TRUE()).started)

    def test_every_mutant_is_noticed(self):
        for recording in RECORDINGS:
            offer, header = self.hellos(recording)
            for name, members in MUTANTS.items():
                if not ONLY_WITH.get(name, lambda *_: True)(offer, header):
                    continue
                with self.subTest(recording=recording.name, mutant=name):
                    mutant = type(name, (TRUE,), members)()
                    with self.assertRaises(p.Refused) as refused:
                        recording.arrive(mutant)
                    self.assertIn(refused.exception.cause, (28, 65, 79))

    def test_the_sides_have_no_number_in_common(self):
        """Or mutants that mix the two sides up would go unnoticed."""
        for recording in RECORDINGS:
            with self.subTest(recording.name):
                offer, header = self.hellos(recording)
                self.assertNotEqual(offer.public, header.public)
                numbers = {offer.nonce, header.nonce, offer.peer_nonce}
                self.assertEqual(len(numbers), 3)

    def hellos(self, recording):
        return (p.parse_hello(recording.offer, p.OFFER, 3)[0],
                p.parse_hello(recording.records[0], p.SESSION, 64)[0])


if __name__ == '__main__':
    unittest.main()
