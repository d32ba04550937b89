# Platform tokens and certificates: what the text takes, and what it refuses
#
# SPDX-License-Identifier: GPL-2.0-or-later

import sys
import unittest
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(Path(__file__).resolve().parent))
import authorities as a
import protocol as p
import sender
import tokens as t
from refused import Refused

KEY = a.new_key()
POINT = p.platform_point(KEY)
TRUE = {t.CHALLENGE: bytes(32), t.PROFILE_KEY: t.PROFILE.decode(),
        t.LIFE_CYCLE: 0x3000, t.IMPLEMENTATION: b'i' * 32,
        t.COMPONENTS: sender.COMPONENTS}


class Claims(unittest.TestCase):
    def refused(self, payload):
        with self.assertRaises(Refused) as refused:
            t.parse_claims(payload)
        self.assertEqual(refused.exception.cause, 77)

    def test_what_they_say(self):
        claims = t.parse_claims(cbor2.dumps(TRUE))
        self.assertEqual(claims, t.Claims(
            bytes(32), t.PROFILE, 0x3000, b'i' * 32,
            (t.Component(b'\x11' * 32, b'RMM', b'1.2.3', b'\x22' * 32),)))
        backwards = dict(reversed(TRUE.items()))
        self.assertEqual(t.parse_claims(cbor2.dumps(backwards)), claims)

    def test_each_claim_is_needed_once_and_of_its_type(self):
        for key in TRUE:
            with self.subTest(key):
                self.refused(cbor2.dumps({k: v for k, v in TRUE.items()
                                          if k != key}))
                more = bytearray(cbor2.dumps(TRUE))
                more[0] += 1
                self.refused(bytes(more) + cbor2.dumps(key) +
                             cbor2.dumps(TRUE[key]))
                for value in (-1, b'', 'x', None, [[]], {}, 0x10000, b'i' * 31,
                              b'i' * 33):
                    if not (key == t.PROFILE_KEY and value == 'x'):
                        self.refused(cbor2.dumps({**TRUE, key: value}))

    def test_components(self):
        one = {t.MEASUREMENT: bytes(48)}
        for good in ([], [one], 32 * [one], [{**one, t.TYPE: ''}],
                     [{**one, 3: 'x', -5: [1]}], [{**one, t.VERSION: 'x'}],
                     [{**one, t.SIGNER: bytes(64)}]):
            claims = t.parse_claims(cbor2.dumps({**TRUE, t.COMPONENTS: good}))
            self.assertEqual(len(claims.components), len(good))
        for bad in (33 * [one], [{}], [1], one, [{t.MEASUREMENT: bytes(33)}],
                    [{**one, t.SIGNER: bytes(20)}], [{**one, t.TYPE: b'x'}],
                    [{**one, t.VERSION: 1}], [{**one, t.SIGNER: 'x'}],
                    [{**one, 'x': 1}]):
            self.refused(cbor2.dumps({**TRUE, t.COMPONENTS: bad}))
        twice = bytearray(cbor2.dumps([{**one, t.TYPE: 'x'}]))
        twice[1] += 1
        good = cbor2.dumps({**TRUE, t.COMPONENTS: 1})
        self.assertEqual(good[-1:], b'\1')
        self.refused(good[:-1] + bytes(twice) + cbor2.dumps(t.TYPE) +
                     cbor2.dumps('x'))

    def test_other_claims_are_passed_over(self):
        good = cbor2.dumps(TRUE)
        more = bytes([good[0] + 1]) + good[1:]
        want = t.parse_claims(good)
        for claim in (b'\x18\x64' + 900 * b'\x81' + b'\0',
                      b'\x20\xf9\0\0', b'\x20\xf8\x20', b'\x20\xfb' + bytes(8),
                      b'\x20\xa1\xa0\xa0', b'\x20\xd8\x18\x40',
                      b'\x1b\x7f' + 7 * b'\xff' + b'\0',
                      b'\x3b\x7f' + 7 * b'\xff' + b'\0'):
            self.assertEqual(t.parse_claims(more + claim), want)

    def test_other_forms_are_refused(self):
        good = cbor2.dumps(TRUE)
        more = bytes([good[0] + 1]) + good[1:]
        for bad in (b'', good[:-1], good + b'\0',
                    b'\xbf' + good[1:] + b'\xff',
                    b'\xb8' + bytes([good[0] & 31]) + good[1:],
                    more, more + b'\x61x\0', more + b'\x18\x17\0',
                    more + b'\x20\xf8\x18', more + b'\x20\xf8\x1f',
                    more + b'\x20\x9b' + 8 * b'\xff',
                    more + b'\x20\x5b' + 8 * b'\xff',
                    more + b'\x20\x9f\xff', more + b'\x20\x5f\xff',
                    more + b'\x20\x1c', more + b'\x20\x18\x17',
                    more + b'\x20\x19\0\xff', more + b'\x20\x1a\0\0\xff\xff',
                    more + b'\x1b\x80' + bytes(7) + b'\0',
                    more + b'\x3b\x80' + bytes(7) + b'\0'):
            self.refused(bad)


class Signatures(unittest.TestCase):
    token = sender.make_token(KEY, bytes(32))

    def refused(self, cause, token, point=POINT):
        with self.assertRaises(Refused) as refused:
            t.signed_payload(token, point)
        self.assertEqual(refused.exception.cause, cause)

    def test_the_platform_key_signs(self):
        payload = t.signed_payload(self.token, POINT)
        self.assertEqual(t.parse_claims(payload).challenge, bytes(32))
        self.refused(78, self.token, p.platform_point(a.new_key()))
        self.refused(78, self.token, bytes(96))

    def test_every_byte_matters(self):
        for at in range(len(self.token)):
            with self.subTest(at):
                bad = bytearray(self.token)
                bad[at] ^= 1
                with self.assertRaises(Refused):
                    t.signed_payload(bytes(bad), POINT)

    def test_outer_forms_are_refused(self):
        payload, signature = t.split_token(self.token)
        for bad in (b'', self.token[:-1], self.token + b'\0', self.token[1:],
                    # The payload's size with a longer head
                    t.OUTER + b'\x5a' + len(payload).to_bytes(4, 'big') +
                    payload + t.SIGNATURE + signature,
                    t.OUTER[:-1] + b'\xa1\x04\x40' +
                    self.token[len(t.OUTER):]):
            self.refused(77, bad)


class Certificates(unittest.TestCase):
    def setUp(self):
        self.authority = a.Authority()
        self.trusted = [p.platform_point(self.authority.key)]
        self.leaf = self.authority.chain(KEY)[:-len(
            self.authority.middle + self.authority.root)]

    def certified(self, *certificates, point=POINT, trusted=None):
        return t.certified(b''.join(certificates), point,
                           self.trusted if trusted is None else trusted)

    def test_a_chain_up_to_an_authority_counts(self):
        au = self.authority
        self.assertTrue(self.certified(au.chain(KEY)))
        other = p.platform_point(a.new_key())
        self.assertTrue(self.certified(au.chain(KEY),
                                       trusted=[other, *self.trusted]))
        direct = a.certificate('platform', KEY, 'root', au.key)
        self.assertTrue(self.certified(direct, au.root))

    def test_other_chains_do_not(self):
        au = self.authority
        other = a.Authority()
        p256 = a.new_key(ec.SECP256R1())
        for what, chain in {
                'nothing': (), 'only the platform\'s': (self.leaf,),
                'only the authority\'s': (au.root,),
                'not up to the root': (self.leaf, au.middle),
                'one left out': (self.leaf, au.root),
                'another order': (self.leaf, au.root, au.middle),
                'another authority': (other.chain(KEY),),
                'another root behind': (self.leaf, au.middle, other.root),
                'twice': (self.leaf, self.leaf, au.middle, au.root),
                'five': (self.leaf, au.middle, au.root, au.root, au.root),
                'a byte behind': (self.leaf, au.middle, au.root, b'\0'),
                'cut': (self.leaf, au.middle, au.root[:-1]),
                'on P-256': (a.certificate('platform', KEY, 'p', p256),
                             a.certificate('p', p256, 'root', au.key, True,
                                           0, True), au.root),
                'with SHA-1': (a.certificate('platform', KEY, 'middle',
                                             au.middle_key,
                                             digest=hashes.SHA1()),
                               au.middle, au.root)}.items():
            with self.subTest(what):
                self.assertFalse(self.certified(*chain))
        self.assertFalse(self.certified(au.chain(KEY), trusted=[]))
        self.assertFalse(self.certified(au.chain(a.new_key())))
        # The middle one is no anchor's, but has the key of one
        self.assertFalse(self.certified(
            self.leaf, au.middle,
            trusted=[p.platform_point(au.middle_key)]))

    def test_who_may_sign_certificates(self):
        au, key = self.authority, a.new_key()

        def chain(middle_key=key, subject='middle', **options):
            return (a.certificate('platform', KEY, 'middle', key),
                    a.certificate(subject, middle_key, 'root', au.key,
                                  **options), au.root)
        for good in ({'ca': True}, {'ca': True, 'path_length': 0},
                     {'ca': True, 'digest': hashes.SHA256()},
                     {'ca': True, 'digest': hashes.SHA512()},
                     {'ca': True, 'more': [(a.UNKNOWN, False),
                                           (a.SERVERS, False)]},
                     {'ca': True, 'cert_sign': True},
                     {'ca': True, 'path_length': 5, 'cert_sign': True}):
            with self.subTest(good):
                self.assertTrue(self.certified(*chain(**good)))
        for bad in ({}, {'ca': False}, {'cert_sign': True},
                    {'ca': True, 'cert_sign': False},
                    {'ca': True, 'subject': 'another'},
                    {'ca': True, 'digest': hashes.SHA224()},
                    {'ca': True, 'digest': hashes.SHA3_384()},
                    {'ca': True, 'more': [(a.UNKNOWN, True)]},
                    {'ca': True, 'more': [(a.SERVERS, True)]},
                    {'ca': True, 'more': [(a.NAMES, True)]},
                    {'ca': True, 'middle_key': a.new_key()}):
            with self.subTest(bad):
                self.assertFalse(self.certified(*chain(**bad)))

    def test_path_lengths(self):
        """The root permits one authority below it."""
        au, keys = self.authority, [a.new_key() for _ in range(2)]

        def chain(root):
            return (a.certificate('platform', KEY, 'low', keys[0]),
                    a.certificate('low', keys[0], 'high', keys[1], True),
                    a.certificate('high', keys[1], 'root', au.key, True), root)
        self.assertFalse(self.certified(*chain(au.root)))
        for length in (None, 2, 3):
            self.assertTrue(self.certified(*chain(a.certificate(
                'root', au.key, 'root', au.key, True, length))))

    def test_no_other_one_names_itself(self):
        """Also where it is signed as it should be."""
        au = self.authority
        new, new_key = a.certificate, a.new_key()
        self.assertFalse(self.certified(
            new('platform', KEY, 'root', new_key),
            new('root', new_key, 'root', au.key, True), au.root))

    def test_the_root_signs_itself(self):
        au, other = self.authority, a.new_key()
        for bad in (('root', au.key, 'root', other),
                    ('root', au.key, 'other', other),
                    ('root', au.key, 'other', au.key)):
            self.assertFalse(self.certified(
                self.leaf, au.middle, a.certificate(*bad, True)))


if __name__ == '__main__':
    unittest.main()
