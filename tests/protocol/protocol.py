# The migration stream a second time: a destination, and what a source looks
# at; written from docs/specs/realm-migration-stream.rst and from nothing else.
# Sections that comments name are that document's.
#
# What a record has to be is checked, and a record that is not is Refused.  A
# Realm here is only what the records said of it.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

import policy as policies
import tokens
from refused import Refused, need

MAGIC = 0x4d4c4552
MAJOR, MINOR = 2, 0
OFFER, SESSION = 64, 65
IMMUTABLE, MUTABLE, REC, MEMORY, EPOCH, START = 0, 1, 2, 16, 32, 33
ABORT, READY, RECEIPT = 34, 35, 36
PAGE, TAGS = 4096, 128
MAX_BUNDLE, MAX_PAGES, MAX_STREAMS = 2167360, 512, 16
MAX_TOKEN, MAX_CERTIFICATES, MAX_CONTEXT = 2048, 4096, 262144
MAX_RUNS = 1048576
SEAL = 16
LIFETIME = 600                          # of a nonce and of an offer, seconds

# "Realm state": bits of the flags
FLAG_MIGRATION, FLAG_MTE = 1 << 62, 1 << 63
COMPACT, ZERO = policies.FEATURE_COMPACT, policies.FEATURE_ZERO
# "Bundles": in an entry
ENTRY_ZERO = 1

HELLO = struct.Struct('<IHBBIIQII32s32s32s32s96s')
HEADER = struct.Struct('<IHBBIHHQQIIQ')
IMMUTABLE_STATE = struct.Struct('<QBbBBBBBBI44s64s64s32sQH6s32s48s1792s')
MUTABLE_STATE = struct.Struct('<QQIB43s256s')
REC_STATE = struct.Struct('<QQ248sQQQBBBBIQQB7s')
ABORT_TOKEN = struct.Struct('<IHBBII32s32s')
assert HELLO.size == 0x100 and HEADER.size == 0x30
assert IMMUTABLE_STATE.size == 0x840 and ABORT_TOKEN.size == 0x50
assert MUTABLE_STATE.size == REC_STATE.size == 0x140

EMPTY, RAM, DESTROYED, RAM_PAGE = 0, 1, 2, 5


def is_hash(data, algorithm):
    """Whether the bytes behind a hash in its 64 bytes are zero."""
    name = policies.HASHES.get(algorithm, 'sha256')
    return not any(data[hashlib.new(name).digest_size:])


def sha256(*parts):
    return hashlib.sha256(b''.join(parts)).digest()


# ---- "Exchange" ----

@dataclass
class Platform:
    """What an RMM knows of its own machine."""
    point: bytes
    life_cycle: int = 0
    implementation: bytes = bytes(32)

    def is_weaker(self, other):
        # "What a Realm can learn about its past"
        return (not policies.is_secured(self.life_cycle) and
                policies.is_secured(other.life_cycle))


@dataclass
class Hello:
    """An offer or a session header."""
    record: bytes
    version: int
    kind: int
    features: int
    public: bytes
    nonce: bytes
    peer_nonce: bytes
    lock: bytes
    platform_key: bytes
    token: bytes
    certificates: bytes

    @property
    def first(self):
        """The first 0x100 bytes, in which the three sizes count as zero."""
        return (self.record[:8] + bytes(8) + self.record[16:24] + bytes(4) +
                self.record[28:HELLO.size])

    @property
    def payload(self):
        return tokens.split_token(self.token)[0]

    @property
    def major(self):
        return self.version >> 8

    @property
    def minor(self):
        return self.version & 0xff


def parse_hello(record, kind, cause):
    """Returns (hello, bytes behind it)."""
    need(len(record) >= HELLO.size, cause, 'hello: too short')
    (magic, version, is_kind, zero, size, token_size, features, certs_size,
     reserved, public, nonce, peer, lock, key) = HELLO.unpack_from(record)
    need(magic == MAGIC and is_kind == kind and not zero and not reserved,
         cause, 'hello: magic, type or reserved fields')
    need(token_size <= MAX_TOKEN and certs_size <= MAX_CERTIFICATES and
         size == HELLO.size + token_size + certs_size <= len(record), cause,
         'hello: sizes')
    if kind == OFFER:
        need(size == len(record), cause, 'offer: bytes behind it')
    else:
        need(not any(lock), cause, 'session header: has an abort lock')
    token = record[HELLO.size:HELLO.size + token_size]
    return Hello(record[:size], version, kind, features, public, nonce, peer,
                 lock, key, token, record[HELLO.size + token_size:size]
                 ), record[size:]


class Derivation:
    """What "Exchange" and "Bundles" compute.  Tests change it piece by piece,
    and see that the golden streams open no more."""

    forward_label = b'realm-migration 2 source-destination\0'
    back_label = b'realm-migration 2 destination-source\0'
    offer_label = b'realm-migration offer\0'
    session_label = b'realm-migration session\0'
    hash = hashes.SHA256
    key_bytes = 32

    def first(self, hello):
        return hello.first

    def digest(self, hello):
        """H(x)"""
        return sha256(self.first(hello))

    def offer_challenge(self, offer):
        return sha256(self.offer_label, self.first(offer))

    def session_challenge(self, header, offer):
        return sha256(self.session_label, self.first(header),
                      self.digest(offer))

    def peer_public(self, offer, header):
        """Of whom this side, the destination, takes the public key."""
        return header.public

    def shared(self, secret, offer, header):
        own = x25519.X25519PrivateKey.from_private_bytes(secret)
        peer = x25519.X25519PublicKey.from_public_bytes(
            self.peer_public(offer, header))
        try:
            return own.exchange(peer)
        except ValueError:
            raise Refused(66, 'the shared secret is zero')

    def salt(self, offer, header):
        return offer.nonce + header.nonce

    def extract(self, salt, shared):
        """HKDF-Extract (RFC 5869, 2.2)"""
        mac = hmac.HMAC(salt, self.hash())
        mac.update(shared)
        return mac.finalize()

    def payload_digest(self, hello):
        """P(x)"""
        return sha256(hello.payload)

    def info(self, label, offer, header):
        return (label + self.digest(offer) + self.digest(header) +
                self.payload_digest(offer) + self.payload_digest(header))

    def expand(self, prk, info):
        return HKDFExpand(self.hash(), self.key_bytes, info).derive(prk)

    def ciphers(self, secret, offer, header):
        """Forward and back"""
        prk = self.extract(self.salt(offer, header),
                           self.shared(secret, offer, header))
        return [AESGCM(self.expand(prk, self.info(label, offer, header)))
                for label in (self.forward_label, self.back_label)]

    def iv(self, counter, stream):
        return struct.pack('<QHH', counter, stream, 0)

    def additional(self, header, entries):
        return header + entries


def open_bundle(cipher, derive, record, count):
    """The body of a bundle with @count entries, or InvalidTag."""
    *_, stream, _, _, iv, _, _, _ = HEADER.unpack_from(record)
    body = HEADER.size + 8 * count
    return cipher.decrypt(
        derive.iv(iv, stream), record[body:],
        derive.additional(record[:HEADER.size], record[HEADER.size:body]))


def seal(cipher, derive, header, entries=b'', plain=b''):
    """A bundle; @header as it goes out, but for its size."""
    size = HEADER.size + len(entries) + len(plain) + SEAL
    header = header[:8] + struct.pack('<I', size) + header[12:]
    *_, stream, _, _, iv, _, _, _ = HEADER.unpack(header)
    return header + entries + cipher.encrypt(
        derive.iv(iv, stream), plain, derive.additional(header, entries))


# ---- "Tags" ----

def take(body, at, size):
    need(at + size <= len(body), 64, 'ends too early')
    return body[at:at + size], at + size


def unpack_tags(body, at, compact):
    """256 tags as 128 bytes, and where their packed form ends."""
    begin = at
    (kind,), at = take(body, at, 1)
    if kind == 0:
        tags = bytes(256)
    elif kind == 1:
        (tag,), at = take(body, at, 1)
        need(1 <= tag <= 15, 64, 'tags: uniform')
        tags = bytes([tag]) * 256
    elif kind == 2:
        (count,), at = take(body, at, 1)
        need(2 <= count <= 63, 64, 'tags: number of runs')
        runs, at = take(body, at, 2 * count)
        need(all(tag <= 15 for tag in runs[1::2]) and
             all(a != b for a, b in zip(runs[1::2], runs[3::2])), 64,
             'tags: runs')
        tags = b''.join(bytes([tag]) * (length + 1)
                        for length, tag in zip(runs[::2], runs[1::2]))
        need(len(tags) == 256, 64, 'tags: runs do not fill the page')
    else:
        need(kind == 3, 64, 'tags: kind')
        raw, at = take(body, at, TAGS)
        tags = bytes(t for byte in raw for t in (byte & 15, byte >> 4))
    need(body[begin:at] == pack_tags(tags, compact), 64, 'tags: not this form')
    return join_tags(tags), at


def join_tags(tags):
    return bytes(a | b << 4 for a, b in zip(tags[::2], tags[1::2]))


def pack_tags(tags, compact):
    """The only form in which 256 tags may travel."""
    if compact:
        runs = []
        for tag in tags:
            if runs and runs[-1][1] == tag:
                runs[-1][0] += 1
            else:
                runs.append([1, tag])
        if len(runs) == 1:
            return bytes([1, tags[0]]) if tags[0] else b'\0'
        if len(runs) <= 63:
            return bytes([2, len(runs)]) + b''.join(
                bytes([length - 1, tag]) for length, tag in runs)
    return b'\3' + join_tags(tags)


# ---- the destination ----

@dataclass
class Rec:
    x: bytes
    pc: int
    runnable: bool
    context: bytes


@dataclass
class Realm:
    """As the destination's host created it, and what the records brought."""
    flags: int
    ipa_bits: int
    start_level: int
    algorithm: int
    rpv: bytes
    sve_vl: int = 0
    breakpoints: int = 0
    watchpoints: int = 0
    counters: int = 0
    num_recs: int = 1
    policy: policies.Policy = field(default_factory=policies.Policy)
    rim: bytes = bytes(64)
    instance: bytes = bytes(32)
    migrations: int = 0
    weakest: tuple = (0, bytes(32))     # life cycle, implementation id
    rems: bytes = bytes(256)
    runs: list = field(default_factory=list)        # (start, top, kind)
    pages: dict = field(default_factory=dict)       # IPA: (page, tags)
    recs: dict = field(default_factory=dict)        # MPIDR: Rec

    @property
    def half(self):
        """Where the protected IPAs end."""
        return 1 << self.ipa_bits - 1


@dataclass
class Secrets:
    """What the destination draws at random for an offer."""
    x25519: bytes
    nonce: bytes
    abort: bytes


class Destination:
    """One import.  @realm is as its host created it, @platform this RMM's own,
    @offer the offer that it made of @secrets, @age seconds ago."""

    def __init__(self, realm, secrets, platform, offer, derivation=None,
                 age=0):
        self.realm, self.secrets, self.platform = realm, secrets, platform
        self.offer = parse_hello(offer, OFFER, 3)[0]
        self.derive, self.age = derivation or Derivation(), age
        self.session = None
        self.counters, self.ivs = [0] * MAX_STREAMS, [0] * MAX_STREAMS
        self.back_counter = 0
        self.epoch, self.next_base = 1, 0
        self.sent = set()               # pages of this epoch
        self.forms = set()              # kinds of packed tags that came
        self.zeros = set()              # IPAs of pages that came without data
        self.started = False

    def import_record(self, record):
        """Any record; returns the type of its bundle."""
        need(not self.started, 0, 'a record after the start token')
        if self.session:
            return self.open(record)
        header, rest = parse_hello(record, SESSION, 64)
        offer = self.offer
        need(header.major == offer.major, 75, 'major version')
        need(header.peer_nonce == offer.nonce, 74, 'another offer')
        need(self.age <= LIFETIME, 86, 'the offer is too old')
        need(header.public != offer.public and header.nonce != offer.nonce, 83,
             'session header: has the own key or nonce')
        need(header.minor <= offer.minor, 75, 'minor version')
        need(not header.features & ~offer.features and
             not self.realm.policy.required & ~header.features, 76, 'features')
        self.peer = self.realm.policy.check_peer(
            header, self.derive.session_challenge(header, offer),
            self.platform)
        self.cipher, self.back = self.derive.ciphers(self.secrets.x25519,
                                                     offer, header)
        self.session = header
        try:
            return self.open(rest, first=True)
        except Refused:
            self.session = None
            raise

    def open(self, record, first=False):
        need(HEADER.size + SEAL <= len(record) <= MAX_BUNDLE, 64,
             'bundle: length')
        (magic, version, kind, zero, size, stream, zero2, counter, iv, epoch,
         count, total) = HEADER.unpack_from(record)
        need(magic == MAGIC and version == self.session.version and
             not zero and not zero2 and size == len(record), 64,
             'bundle: header')
        need(stream < MAX_STREAMS and (kind == MEMORY or not stream), 64,
             'bundle: stream')
        need(1 <= count <= MAX_PAGES if kind == MEMORY else not count, 64,
             'bundle: count')
        entries = record[HEADER.size:HEADER.size + 8 * count]
        need(HEADER.size + 8 * count + SEAL <= len(record), 64,
             'bundle: too short for entries')
        try:
            plain = open_bundle(self.cipher, self.derive, record, count)
        except InvalidTag:
            raise Refused(65, 'bundle: seal')
        need(counter == self.counters[stream] + 1, 67, 'bundle: counter')
        need(iv > self.ivs[stream], 67, 'bundle: IV counter')
        need(epoch == self.epoch, 68, 'bundle: epoch')
        token = kind in (EPOCH, START)
        need((kind == IMMUTABLE) == first, 70, 'bundle: type')
        parse = {IMMUTABLE: self.immutable, MUTABLE: self.mutable,
                 REC: self.rec, MEMORY: self.memory, EPOCH: self.token,
                 START: self.token}.get(kind)
        need(parse, 70, 'bundle: type')
        need(token or not total, 64, 'bundle: total without a token')
        if token:
            need(total == sum(self.counters) + 1, 69, 'token: total')
            parse(kind, plain)
        elif kind == MEMORY:
            parse(struct.unpack(f'<{count}Q', entries), plain)
        else:
            parse(plain)
        self.counters[stream], self.ivs[stream] = counter, iv
        return kind

    # "Ready", "Receipt": the other direction

    def answer(self, kind):
        self.back_counter += 1
        return seal(self.back, self.derive, HEADER.pack(
            MAGIC, self.session.version, kind, 0, 0, 0, 0, self.back_counter,
            self.back_counter, self.epoch, 0, sum(self.counters)))

    def check_complete(self, cause_map, cause_recs):
        need(self.next_base == self.realm.half, cause_map,
             'parts of the map are missing')
        need(len(self.realm.recs) == self.realm.num_recs, cause_recs,
             'RECs are missing')

    def check_pages(self):
        need(all(ipa in self.realm.pages
                 for start, top, kind in self.realm.runs if kind == RAM_PAGE
                 for ipa in range(start, top, PAGE)), 17,
             'a page of the map never came')

    def ready(self):
        need(not self.started, 0, 'ready after the start token')
        self.check_complete(12, 13)
        self.check_pages()
        return self.answer(READY)

    def abort(self):
        """"Abort token": this RMM will never run the Realm."""
        return ABORT_TOKEN.pack(MAGIC, self.offer.version, ABORT, 0,
                                ABORT_TOKEN.size, 0, self.offer.nonce,
                                self.secrets.abort)

    def commit(self):
        """Returns the receipt."""
        need(self.started, 18, 'no start token')
        self.check_pages()
        return self.answer(RECEIPT)

    def immutable(self, body):
        need(len(body) == IMMUTABLE_STATE.size, 64, 'immutable state: size')
        (flags, ipa_bits, start_level, algorithm, sve_vl, breakpoints,
         watchpoints, counters, zero, num_recs, zeros, rpv, rim, instance,
         migrations, life_cycle, zeros2, implementation, zeros3,
         policy) = IMMUTABLE_STATE.unpack(body)
        need(not any((zero, *zeros, *zeros2, *zeros3)), 64,
             'immutable state: reserved')
        need(is_hash(rim, algorithm), 64, 'immutable state: RIM')
        need(migrations < 2**64 - 1, 64, 'immutable state: migrations')
        # "Refusals": 96 on, in the order in which that table names them
        r = self.realm
        pairs = [(ipa_bits, r.ipa_bits), (start_level, r.start_level),
                 (algorithm, r.algorithm), (rpv, r.rpv),
                 (flags & FLAG_MTE, r.flags & FLAG_MTE), (flags, r.flags),
                 (sve_vl, r.sve_vl), (breakpoints, r.breakpoints),
                 (watchpoints, r.watchpoints), (counters, r.counters),
                 (num_recs, r.num_recs), (policy, r.policy.blob)]
        for n, (got, want) in enumerate(pairs):
            need(got == want, 96 + n, 'immutable state differs')
        r.rim = r.policy.extend(rim, algorithm)
        r.instance, r.migrations = instance, migrations + 1
        weakest = Platform(b'', life_cycle, implementation)
        for other in (Platform(b'', self.peer.life_cycle,
                               self.peer.implementation), self.platform):
            if other.is_weaker(weakest):
                weakest = other
        r.weakest = weakest.life_cycle, weakest.implementation

    def memory(self, entries, body):
        pages, forms, zeros, at = {}, set(), set(), 0
        repeated = False
        for entry in entries:
            omits = self.session.features & ZERO
            zero = omits and entry & ENTRY_ZERO
            ipa = entry - ENTRY_ZERO if zero else entry
            need(ipa % PAGE == 0 and ipa < self.realm.half, 64, 'memory: IPA')
            repeated |= ipa in self.sent or ipa in pages
            page = bytes(PAGE)
            if zero:
                zeros.add(ipa)
            else:
                page, at = take(body, at, PAGE)
                need(not omits or any(page), 64, 'memory: data of zeros')
            tags = bytes(TAGS)
            if self.realm.flags & FLAG_MTE:
                forms |= set(body[at:at + 1])
                tags, at = unpack_tags(body, at,
                                       self.session.features & COMPACT)
            pages[ipa] = page, tags
        need(at == len(body), 64, 'memory: bytes behind it')
        # "Epochs": a page leaves at most once per epoch
        need(not repeated, 84, 'memory: a page twice')
        self.sent |= set(pages)
        self.zeros |= zeros
        self.forms |= forms
        self.realm.pages.update(pages)

    def token(self, kind, body):
        need(not body, 64, 'token: has a body')
        if kind == START:
            self.check_complete(71, 71)
            self.started = True
        else:
            self.epoch += 1
            self.sent.clear()

    def mutable(self, body):
        need(len(body) >= MUTABLE_STATE.size, 64, 'map: size')
        base, top, count, state, zeros, rems = MUTABLE_STATE.unpack_from(body)
        need(not state and not any(zeros), 64, 'map: state, reserved')
        need(len(body) == MUTABLE_STATE.size + 16 * count, 64, 'map: runs')
        need(base == self.next_base < top <= self.realm.half, 64,
             'map: not the next part')
        runs, at = [], base
        for n in range(count):
            start, end = struct.unpack_from('<QQ', body,
                                            MUTABLE_STATE.size + 16 * n)
            kind, start = start % PAGE, start // PAGE * PAGE
            need(kind in (EMPTY, RAM, DESTROYED, RAM_PAGE) and
                 start == at < end <= top and end % PAGE == 0 and
                 not (runs and runs[-1][2] == kind), 64, 'map: run')
            runs.append((start, end, kind))
            at = end
        need(at == top, 64, 'map: a hole')
        need(len(self.realm.runs) + count <= MAX_RUNS, 64, 'map: too long')
        need(all(is_hash(rems[n:n + 64], self.realm.algorithm)
                 for n in range(0, 256, 64)), 64, 'map: REMs')
        need(not self.realm.runs or rems == self.realm.rems, 64, 'map: REMs')
        self.realm.rems, self.next_base = rems, top
        self.realm.runs += runs

    def rec(self, body):
        need(len(body) > REC_STATE.size, 64, 'REC: size')
        (mpidr, pc, x, host_call, ripas, ripas_top, runnable, pending, value,
         destroyed, size, esr, far, abort,
         zeros) = REC_STATE.unpack_from(body)
        need(1 <= size <= MAX_CONTEXT and
             len(body) == REC_STATE.size + size, 64, 'REC: context')
        need(max(runnable, value, destroyed) <= 1 and pending <= 3 and
             abort <= 3 and not any(zeros), 64, 'REC: values')
        need(not pending or runnable, 64, 'REC: pending, but not runnable')
        need(not abort or not pending, 64, 'REC: abort and call')
        if pending == 3:
            need(host_call % 256 == 0 and host_call < self.realm.half, 64,
                 'REC: host call')
        if pending == 2:
            need(ripas % PAGE == 0 and ripas_top % PAGE == 0 and
                 ripas <= ripas_top <= self.realm.half, 64,
                 'REC: RIPAS change')
        external = 0x10 <= esr & 0x3f <= 0x17
        exception, valid = esr >> 26 & 0x3f, esr >> 24 & 1
        need({0: not esr and not far,
              1: exception == 0x24 and not valid and not external,
              2: exception == 0x24 and valid and not external,
              3: exception in (0x20, 0x24) and external and
              not esr >> 11 & 3}[abort], 64, 'REC: abort')
        need(mpidr not in self.realm.recs and mpidr < self.realm.num_recs, 73,
             'REC: MPIDR')
        self.realm.recs[mpidr] = Rec(x, pc, bool(runnable),
                                     body[REC_STATE.size:])


# ---- the other side ----

def accept_offer(record, policy, platform, nonce, derivation=None, age=0):
    """What a source looks at in ACCEPT, @age seconds after PREPARE has given
    @nonce: returns (offer, claims of its maker)."""
    offer = parse_hello(record, OFFER, 3)[0]
    need(offer.major == MAJOR, 75, 'offer: major version')
    need(offer.peer_nonce == nonce, 4, 'offer: another nonce')
    need(age <= LIFETIME, 6, 'offer: prepared too long ago')
    need(not policy.required & ~offer.features, 76, 'offer: features')
    return offer, policy.check_peer(
        offer, (derivation or Derivation()).offer_challenge(offer), platform)


def open_answer(cipher, record, kind, version, epoch, total, derivation=None):
    """What a source looks at in a ready record or receipt: @epoch and @total
    are its own."""
    need(len(record) == HEADER.size + SEAL, 27, 'answer: length')
    (magic, is_version, is_kind, zero, size, stream, zero2, _, _, is_epoch,
     count, is_total) = HEADER.unpack_from(record)
    need(magic == MAGIC and is_version == version and size == len(record) and
         not (zero or stream or zero2 or count), 27, 'answer: header')
    try:
        open_bundle(cipher, derivation or Derivation(), record, 0)
    except InvalidTag:
        raise Refused(28, 'answer: seal')
    need(is_kind == kind and is_epoch == epoch and is_total == total, 29,
         'answer: about another moment')


def open_abort_token(record, offer):
    """What a source looks at in EXPORT_RESUME."""
    need(len(record) == ABORT_TOKEN.size, 23, 'abort token: size')
    (magic, version, kind, zero, size, zero2, nonce,
     secret) = ABORT_TOKEN.unpack(record)
    need(magic == MAGIC and version >> 8 == MAJOR and kind == ABORT and
         size == len(record) and not zero and not zero2, 23,
         'abort token: form')
    need(nonce == offer.nonce, 24, 'abort token: for another offer')
    need(sha256(secret) == offer.lock, 25, 'abort token: secret')


def x25519_public(secret):
    key = x25519.X25519PrivateKey.from_private_bytes(secret)
    return key.public_key().public_bytes(serialization.Encoding.Raw,
                                         serialization.PublicFormat.Raw)


def platform_point(key):
    """X and Y of a private key's public key."""
    return tokens.point_of(key.public_key())
