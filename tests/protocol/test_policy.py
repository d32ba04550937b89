# Policies: their form, which platforms and software they let in, and the RIM
#
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import struct
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import authorities as a
import policy as q
import protocol as p
import sender
import tokens as t
from refused import Refused

KEY, OTHER = a.new_key(), a.new_key()
POINT, OTHER_POINT = p.platform_point(KEY), p.platform_point(OTHER)
AUTHORITY = a.Authority()
FULL = q.Policy.make(
    q.COMPACT | q.SECURED | q.IMPLEMENTATION,
    [q.Anchor(q.KEY, POINT),
     q.Anchor(q.AUTHORITY, p.platform_point(AUTHORITY.key))],
    [q.Rule(q.SIGNER, b's' * 32, b'RMM', (1, 2, 3, 4)),
     q.Rule(q.MEASUREMENT, b'm' * 64)], b'i' * 32, q.FEATURE_COMPACT)


class Form(unittest.TestCase):
    def test_layout(self):
        blob = FULL.blob
        self.assertEqual(len(blob), 0x700)
        self.assertEqual(blob[:0x40], struct.pack(
            '<IIII32sQQ', 2, 7, 2, 2, b'i' * 32, 1, 0))
        self.assertEqual(blob[0x40:0xa8], b'\1' + bytes(7) + POINT)
        self.assertEqual(blob[0xa8], 2)
        self.assertEqual(blob[0x380:0x3f0], b'\1\x20' + bytes(6) +
                         b'RMM' + bytes(21) + b's' * 32 + bytes(32) +
                         struct.pack('<IIII', 1, 2, 3, 4))
        self.assertEqual(blob[0x3f0:0x460], b'\2\x40' + bytes(30) + b'm' * 64 +
                         bytes(16))
        self.assertFalse(any(blob[0x110:0x380] + blob[0x460:]))
        self.assertEqual(q.Policy().blob, b'\2' + bytes(0x6ff))

    def test_other_forms_are_refused(self):
        good = FULL.blob

        def changed(at, data):
            return good[:at] + data + good[at + len(data):]
        for what, bad in {
                'size': good[:-1], 'longer': good + b'\0',
                'version 0': bytes(0x700),
                'version 1': changed(0, b'\1'), 'version 3': changed(0, b'\3'),
                'flag': changed(4, b'\x17'),
                'SECURED, ANY_LIFE_CYCLE': changed(4, b'\x0f'),
                'implementation id without its flag': changed(4, b'\3'),
                'nine anchors': changed(8, b'\x09'),
                'nine rules': changed(0xc, b'\x09'),
                'an anchor more': changed(8, b'\3'),
                'an anchor less': changed(8, b'\1'),
                'a rule more': changed(0xc, b'\3'),
                'a rule less': changed(0xc, b'\1'),
                'feature': changed(0x30, b'\3'),
                'feature without its flag': changed(4, b'\6'),
                'reserved': changed(0x3f, b'\1'),
                'anchor: kind 0': changed(0x40, b'\0'),
                'anchor: kind 3': changed(0x40, b'\3'),
                'anchor: reserved': changed(0x47, b'\1'),
                'anchor: off the curve': changed(0x48, bytes(96)),
                'rule: kind 0': changed(0x380, b'\0'),
                'rule: kind 3': changed(0x380, b'\3'),
                'rule: size': changed(0x381, b'\x21'),
                'rule: size 20': changed(0x381, b'\x14'),
                'rule: behind the value': changed(0x3c0, b'\1'),
                'rule: reserved': changed(0x387, b'\1'),
                'rule: type without an end': changed(0x388, b'x' * 24),
                'rule: behind the type': changed(0x39f, b'\1'),
                'rule: version of a measurement': changed(0x450, b'\1'),
                'behind the anchors': changed(0x37f, b'\1'),
                'behind the rules': changed(0x6ff, b'\1')}.items():
            with self.subTest(what):
                with self.assertRaises(Refused) as refused:
                    q.Policy(bad)
                self.assertEqual(refused.exception.cause, 20)

    def test_it_extends_the_rim(self):
        for algorithm, name in q.HASHES.items():
            size = hashlib.new(name).digest_size
            rim = (b'r' * size).ljust(64, b'\0')
            for policy in (FULL, q.Policy()):
                own = hashlib.new(name, policy.blob).digest().ljust(64, b'\0')
                want = hashlib.new(name, struct.pack('<QQ', 0x80, 0x100) +
                                   rim + own + bytes(112)).digest()
                self.assertEqual(policy.extend(rim, algorithm),
                                 want.ljust(64, b'\0'))


def component(type_=b'RMM', version=b'1.2.3', signer=b's' * 32,
              measurement=b'm' * 32):
    return t.Component(measurement, type_, version, signer)


class Rules(unittest.TestCase):
    def test_versions(self):
        for text, want in {
                b'1': (1, 0, 0, 0), b'1.2': (1, 2, 0, 0),
                b'1.2.3.4': (1, 2, 3, 4), b'0': (0, 0, 0, 0),
                b'1.2-rc1': (1, 2, 0, 0), b'1-': (1, 0, 0, 0),
                b'1.2.3.4-5.6 \n\xff': (1, 2, 3, 4), b'10.20': (10, 20, 0, 0),
                b'': None, b'1.': None, b'.1': None, b'1..2': None,
                b'1.2.3.4.5': None, b'v1': None, b'1.2rc1': None, b'1 ': None,
                b'-1': None, b'1.-2': None, b'+1': None, b'1.2\n': None,
                b'0x1': None, b'1,2': None,
                b'0.4294967295': (0, 0xffffffff, 0, 0), b'4294967296': None,
                b'1.99999999999999999999': None, b'1.0004': (1, 4, 0, 0),
                '1.\u0662'.encode(): None}.items():
            with self.subTest(text):
                self.assertEqual(q.parse_version(text), want)

    def test_a_signer_and_its_lowest_version(self):
        rule = q.Rule(q.SIGNER, b's' * 32, b'RMM', (1, 2, 0, 4))
        for version, want in {b'1.2.0.4': True, b'1.2.0.5-x': True,
                              b'1.2.1': True, b'1.10': True, b'2': True,
                              b'1.2.0.3': False, b'1.2': False,
                              b'1.1.9.9': False, b'0.9': False, b'x': False,
                              None: False}.items():
            with self.subTest(version):
                self.assertEqual(q.allowed([rule], [component(
                    version=version)]), want)
        any_version = q.Rule(q.SIGNER, b's' * 32)
        self.assertTrue(q.allowed([any_version], [component(version=b'0')]))
        for bad in (component(version=None), component(signer=None),
                    component(signer=b's' * 48), component(signer=b't' * 32),
                    component(version=b'')):
            self.assertFalse(q.allowed([any_version], [bad]))

    def test_a_list_of_measurements(self):
        rules = [q.Rule(q.MEASUREMENT, value, b'RMM')
                 for value in (b'm' * 32, b'n' * 48)]
        for measurement, want in {b'm' * 32: True, b'n' * 48: True,
                                  b'n' * 32: False, b'm' * 48: False}.items():
            self.assertEqual(q.allowed(rules, [component(
                measurement=measurement, version=None, signer=None)]), want)

    def test_rules_for_a_type_are_the_ones_that_count(self):
        typed = q.Rule(q.SIGNER, b's' * 32, b'RMM')
        rest = q.Rule(q.SIGNER, b'r' * 32)
        rmm, bl = component(), component(b'BL', signer=b'r' * 32)
        none = component(None, signer=b'r' * 32)
        for rules, components, want in (
                ([], [], True), ([], [rmm, bl], True),
                ([typed], [rmm], True), ([typed], [rmm, bl], True),
                ([typed], [bl], False), ([typed], [], False),
                ([typed, rest], [rmm, bl, none], True),
                ([typed, rest], [rmm], True),
                ([typed, rest], [bl], False),
                # What the rest may be, an RMM may not
                ([typed, rest], [component(signer=b'r' * 32)], False),
                ([typed, rest], [rmm, component(signer=b'r' * 32)], False),
                ([typed, rest], [rmm, component(b'BL')], False),
                ([rest], [none], True), ([rest], [component(None)], False),
                ([rest], [rmm], False), ([rest], [], False),
                ([typed], [rmm, rmm], True),
                ([q.Rule(q.SIGNER, b's' * 32, b'RM')], [rmm], False),
                ([typed], [component(b'RMM\0')], False),
                ([typed], [component(b'rmm')], False)):
            with self.subTest(rules=rules, components=components):
                self.assertEqual(q.allowed(rules, components), want)


class Peers(unittest.TestCase):
    def hello(self, key=KEY, **fields):
        record = sender.make_hello(p.OFFER, key, lambda _: bytes(32),
                                   public=bytes(32), nonce=bytes(32), **fields)
        return p.parse_hello(record, p.OFFER, 3)[0]

    def check(self, policy, hello, cause=None, platform=p.Platform(POINT)):
        if cause is None:
            policy.check_peer(hello, bytes(32), platform)
            return
        with self.assertRaises(Refused) as refused:
            policy.check_peer(hello, bytes(32), platform)
        self.assertEqual(refused.exception.cause, cause)

    def test_whose_platform_counts(self):
        chain = AUTHORITY.chain(OTHER)
        other = self.hello(OTHER)
        certified = self.hello(OTHER, certificates=chain)
        root = p.platform_point(AUTHORITY.key)
        own, named, anchored = (q.Policy(), q.Policy.make(
            anchors=[q.Anchor(q.KEY, OTHER_POINT)]), q.Policy.make(
            anchors=[q.Anchor(q.AUTHORITY, root)]))
        for policy, hello, cause in (
                (own, self.hello(), None), (own, other, 78),
                (own, certified, 78),
                (named, other, None), (named, self.hello(), 78),
                # Not looked at, since the key is named
                (named, self.hello(OTHER, certificates=b'x'), None),
                (own, self.hello(certificates=b'x'), None),
                (anchored, certified, None), (anchored, other, 78),
                (anchored, self.hello(certificates=chain), 78),
                (anchored, self.hello(AUTHORITY.key), 78),
                # The same key in the wrong role
                (q.Policy.make(anchors=[q.Anchor(q.AUTHORITY, OTHER_POINT)]),
                 other, 78),
                (q.Policy.make(anchors=[q.Anchor(q.KEY, root)]), certified,
                 78),
                # A token of another key than the hello has
                (own, self.hello(OTHER, point=POINT), 78),
                (named, self.hello(KEY, point=OTHER_POINT), 78)):
            self.check(policy, hello, cause)
        self.check(own, self.hello(), 22, p.Platform(b''))
        self.check(named, other, None, p.Platform(b''))

    def test_life_cycles(self):
        model, hardware = p.Platform(POINT), p.Platform(POINT, 0x3001)
        default = q.Policy()
        secured = q.Policy.make(q.SECURED)
        any_ = q.Policy.make(q.ANY_LIFE_CYCLE)
        for value, is_secured in ((0, 0), (0x2fff, 0), (0x3000, 1),
                                  (0x30ff, 1), (0x3100, 0), (0xffff, 0)):
            hello = self.hello(claims={t.LIFE_CYCLE: value})
            bad = None if is_secured else 81
            for policy, platform, cause in (
                    (default, model, None), (default, hardware, bad),
                    (secured, model, bad), (secured, hardware, bad),
                    (any_, model, None), (any_, hardware, None)):
                with self.subTest(value=value, flags=policy.flags,
                                  platform=platform.life_cycle):
                    self.check(policy, hello, cause, platform)

    def test_implementation_and_software(self):
        policy = q.Policy.make(q.IMPLEMENTATION, implementation=b'i' * 32)
        self.check(policy, self.hello(), 82)
        self.check(policy, self.hello(claims={t.IMPLEMENTATION: b'i' * 32}))
        rule = q.Rule(q.SIGNER, b'\x22' * 32, b'RMM', (1, 2, 3, 0))
        self.check(q.Policy.make(rules=[rule]), self.hello())
        newer = q.Rule(q.SIGNER, b'\x22' * 32, b'RMM', (1, 2, 4, 0))
        self.check(q.Policy.make(rules=[newer]), self.hello(), 87)
        self.check(q.Policy.make(rules=[newer, rule]), self.hello())

    def test_the_order_of_the_causes(self):
        """Each hello has what the ones before it have, and one fault less."""
        faults = {t.LIFE_CYCLE: 0, t.IMPLEMENTATION: b'x' * 32,
                  t.COMPONENTS: []}
        policy = q.Policy.make(
            q.SECURED | q.IMPLEMENTATION, implementation=b'i' * 32,
            rules=[q.Rule(q.MEASUREMENT, b'\x11' * 32, b'RMM')])

        def hello(key=KEY, profile='x', **fields):
            return self.hello(key, claims={**faults, t.PROFILE_KEY: profile},
                              **fields)
        outer = self.hello(OTHER)
        outer.token = outer.token[:-1]
        self.check(policy, outer, 77)
        self.check(policy, hello(OTHER), 78)
        self.check(policy, self.hello(claims={t.LIFE_CYCLE: -1}), 77)
        with self.assertRaises(Refused) as refused:
            policy.check_peer(hello(), b'c' * 32, p.Platform(POINT))
        self.assertEqual(refused.exception.cause, 79)
        self.check(policy, hello(), 80)
        good = t.PROFILE.decode()
        self.check(policy, hello(profile=good), 81)
        faults[t.LIFE_CYCLE] = 0x3000
        self.check(policy, hello(profile=good), 82)
        faults[t.IMPLEMENTATION] = b'i' * 32
        self.check(policy, hello(profile=good), 87)
        faults[t.COMPONENTS] = sender.COMPONENTS
        self.check(policy, hello(profile=good))


if __name__ == '__main__':
    unittest.main()
