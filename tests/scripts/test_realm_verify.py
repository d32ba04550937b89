# What realm-verify says of tokens that others made, and judged
#
# The tokens and the verdicts are from tests/data/cca-tokens.json.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import base64
import contextlib
import io
import json
import subprocess
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace

import cbor2
from cryptography.hazmat.primitives import serialization

TOP = Path(__file__).resolve().parents[2]
PROGRAM = TOP / 'scripts/realm-verify'
LOADER = SourceFileLoader('realm_verify', str(PROGRAM))
rv = module_from_spec(spec_from_loader(LOADER.name, LOADER))
LOADER.exec_module(rv)
VECTORS = json.loads((TOP / 'tests/data/cca-tokens.json').read_text())[
    'vectors']


def options(**given):
    return SimpleNamespace(**{**dict.fromkeys(
        ('platform_key', 'challenge', 'rim', 'rmm', 'rpv')), **given})


def appraise(vector):
    """Refused, or the report."""
    data = base64.b64decode(vector['base64'])
    report = rv.Report()
    if vector['kind'] == 'token':
        key = rv.public_key(bytes.fromhex(vector['platform-key']), 'key')
        rv.verify(data, options(platform_key=key), report)
    elif vector['kind'] == 'realm':
        rv.parse_claims(data, rv.REALM, 'realm')
    else:
        rv.parse_claims(data, rv.PLATFORM, 'platform')
    return report


class Vectors(unittest.TestCase):
    def test_the_verdict_is_that_of_the_authors(self):
        kinds = set()
        for vector in VECTORS:
            with self.subTest(vector['name'], origin=vector['origin']):
                kinds.add((vector['kind'], vector['accepted']))
                if vector['accepted']:
                    appraise(vector)
                else:
                    self.assertRaises(rv.Refused, appraise, vector)
        self.assertEqual(len(kinds), 6)

    def test_any_change_is_noticed(self):
        vector = VECTORS[0]
        data = base64.b64decode(vector['base64'])
        for at in range(0, len(data), 31):
            bad = bytearray(data)
            bad[at] ^= 1
            with self.subTest(at), self.assertRaises(rv.Refused):
                appraise({**vector, 'base64': base64.b64encode(bad)})
        for bad in (b'', data[:-1], data + b'\0'):
            with self.assertRaises(rv.Refused):
                appraise({**vector, 'base64': base64.b64encode(bad)})


class Hostile(unittest.TestCase):
    """What a stranger can send is refused, whatever it makes of the decoder."""

    def refused(self, why, function, *args):
        with self.assertRaisesRegex(rv.Refused, why):
            function(*args)

    def test_tags_that_cannot_be_decoded(self):
        # Of RFC 8949, 3.4, and of IANA's list
        for data in ('c5821b7fffffffffffffff01',    # 1 * 2 ** (2 ** 63 - 1)
                     'c482006161',          # a decimal fraction of a text
                     'd81e820100',          # the fraction 1 / 0
                     'd81e820160',          # and 1 / ""
                     'd8236128'):           # the regular expression "("
            with self.subTest(data):
                self.refused('^token: not CBOR: ', rv.verify,
                             bytes.fromhex(data), options(), rv.Report())

    def test_list_as_the_algorithm(self):
        header = bytes.fromhex('a1018101')          # {1: [1]}
        self.refused('^x: the algorithm is not ', rv.Sign1, cbor2.dumps(
            cbor2.CBORTag(18, [header, {}, b'', b''])), 'x')

    def test_list_as_the_curve(self):
        self.refused('^x: not a key on a known curve', rv.public_key,
                     cbor2.dumps({1: 2, -1: [1], -2: bytes(32),
                                  -3: bytes(32)}), 'x')


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        vector = VECTORS[0]
        self.token = self.folder / 'token'
        self.token.write_bytes(base64.b64decode(vector['base64']))
        self.key = self.folder / 'key.pem'
        self.key.write_bytes(rv.public_key(
            bytes.fromhex(vector['platform-key']), 'key').public_bytes(
                serialization.Encoding.PEM,
                serialization.PublicFormat.SubjectPublicKeyInfo))

    def run_it(self, *words):
        return subprocess.run([PROGRAM, self.token, '--platform-key', self.key,
                               *words], capture_output=True, text=True,
                              check=False)

    def test_status_and_words_without_a_terminal(self):
        good = self.run_it()
        self.assertEqual(good.returncode, 0, good.stderr)
        self.assertTrue(good.stdout.endswith('\naccepted\n'))
        self.assertNotIn('\033', good.stdout)
        bad = self.run_it('--challenge', '00')
        self.assertEqual(bad.returncode, 1)
        self.assertRegex(bad.stderr, '^realm-verify: NOT ACCEPTED: realm token:'
                                     ' another challenge: abab')
        self.assertNotIn('accepted', bad.stdout)
        self.assertEqual(self.run_it('--rim', 'no hex').returncode, 2)

    def test_json(self):
        good = json.loads(self.run_it('--json').stdout)
        self.assertEqual(good['verdict'], 'accepted')
        self.assertEqual(len(good['good']), 3)
        self.assertEqual(good['realm token']['challenge'], 'ab' * 64)
        self.assertEqual(good['platform token']['life cycle'], 0x3003)
        bad = self.run_it('--json', '--rim', '00')
        self.assertEqual(bad.returncode, 1)
        answer = json.loads(bad.stdout)
        self.assertEqual(answer['verdict'], 'not accepted')
        self.assertIn('another RIM', answer['reason'])

    def test_colours_are_for_terminals(self):
        report = rv.Report()
        report.good('x')
        for colour in (True, False):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                report.print(colour)
            self.assertEqual('\033[32m' in out.getvalue(), colour)


if __name__ == '__main__':
    unittest.main()
