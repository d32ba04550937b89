# The golden streams of tests/data: who made them, and what they say
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
from pathlib import Path

from cryptography.hazmat.primitives import serialization

import protocol as p

TOP = Path(__file__).resolve().parents[2]
# The same variable as for the tests in C
DATA = Path(os.environ.get('GOLDEN_STREAMS', TOP / 'tests/data'))
KEYS = (TOP / 'target/arm/rmm/tests/test-keys.h').read_text()


def private_key(name):
    """A key of test-keys.h."""
    text = re.search(name + r'\[\] = \{(.*?)\}', KEYS, re.S)[1]
    der = bytes(int(word, 16) for word in re.findall(r'0x[0-9a-f]{2}', text))
    return serialization.load_der_private_key(der, None)


def policy(flags=0, anchors=()):
    return p.Policy(p.POLICY.pack(1, flags, len(anchors), 0, bytes(32),
                                  b''.join(anchors)))


PLATFORM = private_key('platform_der')      # the destination's
OTHER = private_key('rak_der')              # the source's, with anchors
POINT = p.platform_point(PLATFORM)
# What makes a golden stream what it is: flags, hash algorithm, policy
KINDS = {
    'golden-stream-1.0': (p.FLAG_MIGRATION | p.FLAG_MTE, 0, p.Policy()),
    'golden-stream-1.0-compact': (p.FLAG_MIGRATION | p.FLAG_MTE, 0,
                                  policy(p.POLICY_COMPACT)),
    'golden-stream-1.0-anchors': (
        p.FLAG_MIGRATION, 1,
        policy(anchors=(POINT, p.platform_point(OTHER)))),
}


class Golden:
    def __init__(self, name):
        self.name, self.folder = name, DATA / name
        self.flags, self.algorithm, self.policy = KINDS[name]
        self.offer = (self.folder / '00.bin').read_bytes()
        random = (self.folder / 'random.bin').read_bytes()
        self.secrets = p.Secrets(*struct.unpack('32s32s32s', random))
        self.records = []
        while (file := self.file(len(self.records) + 1)).exists():
            self.records.append(file.read_bytes())
        self.digest = (self.folder / 'realm.sha256').read_text()

    def file(self, number):
        return self.folder / f'{number:02}.bin'

    def destination(self, derivation=None, offer=None):
        """As mig-golden.c makes it, with the offer that it made."""
        realm = p.Realm(flags=self.flags, ipa_bits=33, start_level=1,
                        algorithm=self.algorithm, breakpoints=3, watchpoints=3,
                        rpv=b'\x60'.ljust(64, b'\0'), num_recs=2,
                        policy=self.policy)
        return p.Destination(realm, self.secrets, POINT, offer or self.offer,
                             derivation)

    def arrive(self, derivation=None):
        """The offer and all records: the destination that has the Realm."""
        p.accept_offer(self.offer, self.policy, POINT, derivation)
        destination = self.destination(derivation)
        for record in self.records:
            destination.import_record(record)
        return destination


def all_streams():
    return [Golden(folder.name) for folder in sorted(DATA.glob('golden-stream-*'))]


def describe(realm):
    """What realm.sha256 is the digest of: describe() of test-golden.c."""
    total = hashlib.sha256()
    for start, top, kind in realm.runs:
        # C's %#lx, which writes 0 without 0x
        first = f'{start:#x}' if start else '0'
        page = ' page' if kind == p.RAM_PAGE else ''
        total.update(f'{first}+{top - start:#x} {kind & 3}{page}\n'.encode())
    total.update(realm.rim + realm.rems)
    for _, rec in sorted(realm.recs.items()):
        total.update(rec.x + struct.pack('<Q', rec.pc) + rec.context)
    for ipa, (page, tags) in sorted(realm.pages.items()):
        total.update(struct.pack('<Q', ipa) + page)
        if realm.flags & p.FLAG_MTE:
            total.update(tags)
    return total.hexdigest()
