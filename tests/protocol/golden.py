# Recorded migrations: what is in one, and the golden streams of tests/data
#
# tests/data/README.md describes the files; golden_streams[] in
# target/arm/rmm/tests/mig-golden.c names the Realms, and test-keys.h beside it
# the platform keys.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives import serialization

import policy as policies
import protocol as p
from policy import Anchor, Policy, Rule

TOP = Path(__file__).resolve().parents[2]
# The same variable as for the tests in C
DATA = Path(os.environ.get('GOLDEN_STREAMS', TOP / 'tests/data'))
KEYS = (TOP / 'target/arm/rmm/tests/test-keys.h').read_text()


def bytes_of(name):
    """An array of test-keys.h."""
    text = re.search(name + r'\[\] = \{(.*?)\}', KEYS, re.S)[1]
    return bytes(int(word, 16) for word in re.findall(r'0x[0-9a-f]{2}', text))


def private_key(name):
    return serialization.load_der_private_key(bytes_of(name), None)


@dataclass
class Recording:
    """One migration.  The last of @records is the start token; @key is the
    source's platform key."""
    name: str
    realm: tuple                        # flags, hash algorithm, policy
    nonce: bytes
    offer: bytes
    secrets: p.Secrets
    records: list
    ready: bytes
    receipt: bytes
    digest: str                         # describe()
    platform: p.Platform                # the destination's
    source: p.Platform
    key: object

    @property
    def policy(self):
        return self.realm[2]

    def destination(self, derivation=None, offer=None):
        """Before the first record, with the offer that it made."""
        flags, algorithm, policy = self.realm
        realm = p.Realm(flags=flags, ipa_bits=33, start_level=1,
                        algorithm=algorithm, breakpoints=3, watchpoints=3,
                        rpv=b'\x60'.ljust(64, b'\0'), num_recs=2,
                        policy=policy)
        return p.Destination(realm, self.secrets, self.platform,
                             offer or self.offer, derivation)

    def arrive(self, derivation=None):
        """The offer, all records, and the source's look at the answers: the
        destination that has the Realm."""
        p.accept_offer(self.offer, self.policy, self.source, self.nonce,
                       derivation)
        d = self.destination(derivation)

        def check(record, kind):
            p.open_answer(d.back, record, kind, d.session.version, d.epoch,
                          sum(d.counters), derivation)
        for record in self.records[:-1]:
            d.import_record(record)
        check(self.ready, p.READY)
        d.import_record(self.records[-1])
        check(self.receipt, p.RECEIPT)
        return d


# ---- the golden streams ----

PLATFORM = private_key('platform_der')      # the destination's
OTHER = private_key('rak_der')              # the source's, with anchors
AUTHORITY = private_key('authority_der')    # vouches for the destination's
CERTIFICATES = bytes_of('platform_certs')
MODEL = b'QEMU RMM model, not hardware'.ljust(32, b'\0')


def signer(key):
    """"the SHA-256 of that key as a COSE_Key" (RFC 9053, 7.1.1): EC2, P-384"""
    point = p.platform_point(key)
    return p.sha256(cbor2.dumps({1: 2, -1: 2, -2: point[:48],
                                 -3: point[48:]}))


# What makes a golden stream what it is: flags, hash algorithm, policy
KINDS = {
    'golden-stream-2.0': (p.FLAG_MIGRATION | p.FLAG_MTE, 0, Policy()),
    'golden-stream-2.0-compact': (p.FLAG_MIGRATION | p.FLAG_MTE, 0,
                                  Policy.make(policies.COMPACT)),
    'golden-stream-2.0-zero': (p.FLAG_MIGRATION | p.FLAG_MTE, 0,
                               Policy.make(policies.COMPACT)),
    'golden-stream-2.0-anchors': (
        p.FLAG_MIGRATION, 1, Policy.make(
            policies.IMPLEMENTATION,
            [Anchor(policies.AUTHORITY, p.platform_point(AUTHORITY)),
             Anchor(policies.KEY, p.platform_point(OTHER))],
            [*(Rule(policies.SIGNER, signer(key), b'RMM', (2, 0, 3, 0))
               for key in (PLATFORM, OTHER)),
             Rule(policies.MEASUREMENT, b'\x21\x22'.ljust(32, b'\0'),
                  b'firmware'),
             Rule(policies.MEASUREMENT, b'\x31\x32'.ljust(32, b'\0'))],
            MODEL)),
}

# Those of the session
FEATURES = {
    'golden-stream-2.0': 0,
    'golden-stream-2.0-compact': p.COMPACT,
    'golden-stream-2.0-zero': p.COMPACT | p.ZERO,
    'golden-stream-2.0-anchors': 0,
}


def load(name):
    def file(name):
        return (folder / name).read_bytes()

    folder, realm, records = DATA / name, KINDS[name], []
    while (folder / f'{len(records) + 1:02}.bin').exists():
        records.append(file(f'{len(records) + 1:02}.bin'))
    key = OTHER if realm[2].anchors else PLATFORM

    def platform(key):
        return p.Platform(p.platform_point(key), 0, MODEL)
    return Recording(
        name, realm, file('nonce.bin'), file('00.bin'),
        p.Secrets(*struct.unpack('32s32s32s', file('random.bin'))), records,
        file('ready.bin'), file('receipt.bin'), file('realm.sha256').decode(),
        platform(PLATFORM), platform(key), key)


def all_streams():
    return [load(folder.name)
            for folder in sorted(DATA.glob('golden-stream-2.*'))]


def describe(realm):
    """What realm.sha256 is the digest of: golden_describe()."""
    total = hashlib.sha256()
    for start, top, kind in realm.runs:
        # C's %#lx, which writes 0 without 0x
        first = f'{start:#x}' if start else '0'
        page = ' page' if kind == p.RAM_PAGE else ''
        total.update(f'{first}+{top - start:#x} {kind & 3}{page}\n'.encode())
    total.update(realm.rim + realm.rems + realm.instance +
                 struct.pack('<QH', realm.migrations, realm.weakest[0]) +
                 realm.weakest[1])
    for _, rec in sorted(realm.recs.items()):
        total.update(rec.x + struct.pack('<Q', rec.pc) + rec.context)
    for ipa, (page, tags) in sorted(realm.pages.items()):
        total.update(struct.pack('<Q', ipa) + page)
        if realm.flags & p.FLAG_MTE:
            total.update(tags)
    return total.hexdigest()
