# The migration stream a second time: what a destination offers, and a source
# that sends a Realm on which a Destination has received
#
# Sections that comments name are those of docs/specs/realm-migration-stream.rst.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import struct

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

import protocol as p
import tokens as t
from refused import need

VERSION = p.MAJOR << 8 | p.MINOR
# The software of a platform here, as claims
COMPONENTS = [{t.TYPE: 'RMM', t.MEASUREMENT: b'\x11' * 32, t.VERSION: '1.2.3',
               t.SIGNER: b'\x22' * 32}]


def make_token(key, challenge, claims=None):
    """"Platform tokens"; @claims replace those of this platform."""
    payload = cbor2.dumps({
        t.CHALLENGE: challenge, t.PROFILE_KEY: t.PROFILE.decode(),
        t.LIFE_CYCLE: 0, t.IMPLEMENTATION: b'a test'.ljust(32, b'\0'),
        t.COMPONENTS: COMPONENTS, **(claims or {})})
    r, s = utils.decode_dss_signature(
        key.sign(t.to_be_signed(payload), ec.ECDSA(hashes.SHA384())))
    return (t.OUTER + cbor2.dumps(payload) + t.SIGNATURE +
            r.to_bytes(48, 'big') + s.to_bytes(48, 'big'))


def make_hello(kind, key, challenge, version=VERSION, features=0, public=b'',
               nonce=b'', peer=bytes(32), lock=bytes(32), point=None,
               claims=None, certificates=b''):
    """@challenge(hello) is what the token is about."""
    first = p.HELLO.pack(p.MAGIC, version, kind, 0, p.HELLO.size, 0, features,
                         0, 0, public, nonce, peer, lock,
                         point or p.platform_point(key))
    hello, _ = p.parse_hello(first, kind, 64)
    token = make_token(key, challenge(hello), claims)
    size = len(first) + len(token) + len(certificates)
    return (first[:8] + struct.pack('<II', size, len(token)) + first[16:24] +
            struct.pack('<I', len(certificates)) + first[28:] + token +
            certificates)


def make_offer(key, secrets, nonce, **fields):
    """For the source that prepared @nonce."""
    return make_hello(
        p.OFFER, key, p.Derivation().offer_challenge, **{
            'public': p.x25519_public(secrets.x25519), 'nonce': secrets.nonce,
            'peer': nonce, 'lock': p.sha256(secrets.abort), **fields})


class Source:
    """Sends @realm to the maker of @offer, which was accepted.  @rim is the
    RIM before the policy, @features are those of the session, @fields are for
    its session header.  realm.migrations is what it was before this one."""

    def __init__(self, realm, rim, key, offer, features, **fields):
        self.realm, self.rim = realm, rim
        self.features, self.key, self.fields = features, key, fields
        self.offer = p.parse_hello(offer, p.OFFER, 3)[0]
        self.version = p.MAJOR << 8 | min(p.MINOR, self.offer.minor)
        self.counters, self.epoch = [0] * p.MAX_STREAMS, 1

    def bundle(self, kind, plain, stream=0, entries=()):
        token = kind in (p.EPOCH, p.START)
        self.counters[stream] += 1
        count = self.counters[stream]
        header = p.HEADER.pack(
            p.MAGIC, self.version, kind, 0, 0, stream, 0, count, count,
            self.epoch, len(entries), sum(self.counters) if token else 0)
        self.epoch += kind == p.EPOCH
        return p.seal(self.cipher, p.Derivation(), header,
                      struct.pack(f'<{len(entries)}Q', *entries), plain)

    def begin(self):
        secret, nonce = os.urandom(32), os.urandom(32)
        derive = p.Derivation()
        record = make_hello(
            p.SESSION, self.key,
            lambda hello: derive.session_challenge(hello, self.offer), **{
                'version': self.version, 'features': self.features,
                'public': p.x25519_public(secret), 'nonce': nonce,
                'peer': self.offer.nonce, **self.fields})
        header = p.parse_hello(record, p.SESSION, 64)[0]
        need(self.offer.public != header.public and
             self.offer.nonce != header.nonce, 83,
             'offer: has the own key or nonce')
        # The source's secret, and the public key of the offer
        shared = type('Source', (p.Derivation,), {
            'peer_public': lambda s, offer, h: offer.public})()
        self.cipher, self.back = shared.ciphers(secret, self.offer, header)
        r = self.realm
        return record + self.bundle(p.IMMUTABLE, p.IMMUTABLE_STATE.pack(
            r.flags, r.ipa_bits, r.start_level, r.algorithm, r.sve_vl,
            r.breakpoints, r.watchpoints, r.counters, 0, r.num_recs, bytes(44),
            r.rpv, self.rim, r.instance, r.migrations, r.weakest[0], bytes(6),
            r.weakest[1], bytes(48), r.policy.blob))

    def memory(self, ipas, stream):
        entries, body = [], b''
        for ipa in ipas:
            page, tags = self.realm.pages[ipa]
            zero = self.features & p.ZERO and not any(page)
            entries.append(ipa | p.ENTRY_ZERO if zero else ipa)
            body += b'' if zero else page
            if self.realm.flags & p.FLAG_MTE:
                tags = bytes(t for b in tags for t in (b & 15, b >> 4))
                body += p.pack_tags(tags, self.features & p.COMPACT)
        return self.bundle(p.MEMORY, body, stream, entries)

    def map(self, runs):
        return self.bundle(p.MUTABLE, p.MUTABLE_STATE.pack(
            runs[0][0], runs[-1][1], len(runs), 0, bytes(43), self.realm.rems)
            + b''.join(struct.pack('<QQ', start | kind, top)
                       for start, top, kind in runs))

    def rec(self, mpidr):
        rec = self.realm.recs[mpidr]
        return self.bundle(p.REC, p.REC_STATE.pack(
            mpidr, rec.pc, rec.x, 0, 0, 0, rec.runnable, 0, 0, 0,
            len(rec.context), 0, 0, 0, bytes(7)) + rec.context)

    def records(self):
        """All but the start token: two epochs, the pages on two streams, the
        map in two parts."""
        ipas = sorted(self.realm.pages)
        yield self.begin()
        yield self.memory(ipas[:2], 3)
        yield self.memory(ipas[2:], 15)
        yield self.bundle(p.EPOCH, b'')
        yield self.memory(ipas[1:2], 0)
        yield self.map(self.realm.runs[:2])
        yield self.map(self.realm.runs[2:])
        for mpidr in sorted(self.realm.recs, reverse=True):
            yield self.rec(mpidr)

    def check(self, record, kind):
        p.open_answer(self.back, record, kind, self.version, self.epoch,
                      sum(self.counters))

    def start(self, ready):
        """The start token, if @ready is what EXPORT_START asks for."""
        self.check(ready, p.READY)
        return self.bundle(p.START, b'')

    def finish(self, receipt):
        self.check(receipt, p.RECEIPT)
