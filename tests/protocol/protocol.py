# The migration stream a second time: a destination, written from
# docs/specs/realm-migration-stream.rst and from nothing else.  Sections that
# comments name are that document's.
#
# What a record has to be is checked, and a record that is not is Refused.  A
# Realm here is only what the records said of it.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import struct
from dataclasses import dataclass, field

import cbor2
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

MAGIC = 0x4d4c4552
MAJOR, MINOR = 1, 0
OFFER, SESSION = 64, 65
IMMUTABLE, MUTABLE, REC, MEMORY, EPOCH, START = 0, 1, 2, 16, 32, 33
ABORT = 34
PAGE, TAGS = 4096, 128
MAX_BUNDLE, MAX_PAGES, MAX_STREAMS = 2167360, 512, 16
MAX_TOKEN, MAX_CONTEXT = 2048, 262144
SEAL = 16

# "Versions and features"
COMPACT = 1
# "Policy"
POLICY = struct.Struct('<IIII32s768s')
POLICY_COMPACT, POLICY_SECURED, POLICY_IMPLEMENTATION = 1, 2, 4
# "Immutable Realm state": bits of the flags
FLAG_MIGRATION, FLAG_MTE = 1 << 62, 1 << 63

HELLO = struct.Struct('<IHBBIIQQ32s32s32s32s')
HEADER = struct.Struct('<IHBBIHHQQIIQ')
IMMUTABLE_STATE = struct.Struct('<QBbBBBBBBI44s64s64s816s')
MUTABLE_STATE = struct.Struct('<QQIB43s256s')
REC_STATE = struct.Struct('<QQ248sQQQBBBBIQQB7s')
ABORT_TOKEN = struct.Struct('<IHBBII32s32s')
assert HELLO.size == 0xa0 and HEADER.size == 0x30
assert POLICY.size == 0x330 and IMMUTABLE_STATE.size == 0x3f0
assert MUTABLE_STATE.size == REC_STATE.size == 0x140
assert ABORT_TOKEN.size == 0x50

PROFILE = 'tag:arm.com,2023:cca_platform#1.0.0'
CHALLENGE, PROFILE_KEY, LIFE_CYCLE, IMPLEMENTATION = 10, 265, 2395, 2396
HASHES = {0: 'sha256', 1: 'sha512'}     # RmiHashAlgorithm
EMPTY, RAM, DESTROYED, RAM_PAGE = 0, 1, 2, 5


class Refused(Exception):
    """A record that the text refuses, with the cause that it names."""

    def __init__(self, cause, why):
        super().__init__(f'{why} (cause {cause})')
        self.cause = cause


def is_hash(field, algorithm):
    """Whether the bytes behind a hash in its 64 bytes are zero."""
    return not any(field[hashlib.new(HASHES.get(algorithm, 'sha512'))
                         .digest_size:])


def need(condition, cause, why):
    if not condition:
        raise Refused(cause, why)


def sha256(*parts):
    return hashlib.sha256(b''.join(parts)).digest()


# ---- "Exchange" ----

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
    token: bytes

    @property
    def first(self):
        """The first 0xa0 bytes, in which both sizes count as zero."""
        return self.record[:8] + bytes(8) + self.record[16:0xa0]

    @property
    def major(self):
        return self.version >> 8

    @property
    def minor(self):
        return self.version & 0xff


def parse_hello(record, kind, cause):
    """Returns (hello, bytes behind it)."""
    need(len(record) >= HELLO.size, cause, 'hello: too short')
    (magic, version, is_kind, zero, size, token_size, features, reserved,
     public, nonce, peer, lock) = HELLO.unpack_from(record)
    need(magic == MAGIC and is_kind == kind and not zero and not reserved,
         cause, 'hello: magic, type or reserved fields')
    need(token_size <= MAX_TOKEN and size == HELLO.size + token_size <=
         len(record), cause, 'hello: sizes')
    if kind == OFFER:
        need(not any(peer), cause, 'offer: has the nonce of a peer')
        need(size == len(record), cause, 'offer: bytes behind it')
    else:
        need(not any(lock), cause, 'session header: has an abort lock')
    return Hello(record[:size], version, kind, features, public, nonce, peer,
                 lock, record[HELLO.size:size]), record[size:]


class Derivation:
    """What "Exchange" and "Bundles" compute.  Tests change it piece by piece,
    and see that the golden streams open no more."""

    label = b'realm-migration 1 source-destination\0'
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

    def info(self, offer, header):
        return self.label + self.digest(offer) + self.digest(header)

    def expand(self, prk, info):
        return HKDFExpand(self.hash(), self.key_bytes, info).derive(prk)

    def key(self, secret, offer, header):
        prk = self.extract(self.salt(offer, header),
                           self.shared(secret, offer, header))
        return self.expand(prk, self.info(offer, header))

    def iv(self, counter, stream):
        return struct.pack('<QHH', counter, stream, 0)

    def additional(self, header, entries):
        return header + entries


# ---- "Platform tokens" ----

def head(data, at):
    """The head of a CBOR item: major type, argument, where it ends."""
    need(at < len(data), 77, 'token: ends in a head')
    major, short = data[at] >> 5, data[at] & 31
    if short < 24:
        return major, short, at + 1
    need(short < 28, 77, 'token: indefinite or reserved length')
    size = 1 << short - 24
    need(at + 1 + size <= len(data), 77, 'token: ends in a head')
    value = int.from_bytes(data[at + 1:at + 1 + size], 'big')
    if major < 7:
        need(value >= (24 if size == 1 else 1 << 4 * size), 77,
             'token: a head that is not the shortest')
    else:                               # RFC 8949, 3.3: a float, or simple
        need(size > 1 or value >= 32, 77, 'token: a simple value')
    return major, value, at + 1 + size


def skip(data, at):
    """Where the CBOR item at @at ends, however deep it is."""
    left = 1
    while left:
        major, value, at = head(data, at)
        left += {4: value, 5: 2 * value, 6: 1}.get(major, 0) - 1
        if major in (2, 3):
            need(value <= len(data) - at, 77, 'token: ends in a string')
            at += value
    return at


def split_token(token):
    """Returns (protected header, payload, signature)."""
    start = bytes.fromhex('d28444a1013822a0')
    need(token.startswith(start), 77, 'token: outer form')
    major, size, at = head(token, len(start))
    need(major == 2 and size <= len(token) - at, 77, 'token: payload')
    payload, tail = token[at:at + size], token[at + size:]
    need(len(tail) == 98 and tail.startswith(b'\x58\x60'), 77,
         'token: signature')
    return bytes.fromhex('a1013822'), payload, tail[2:]


def signed_by(points, token):
    """The payload, if the owner of one of @points signed it: 96 bytes each."""
    protected, payload, signature = split_token(token)
    # RFC 9052, 4.4
    signed = cbor2.dumps(['Signature1', protected, b'', payload])
    der = utils.encode_dss_signature(int.from_bytes(signature[:48], 'big'),
                                     int.from_bytes(signature[48:], 'big'))
    for point in points:
        key = ec.EllipticCurvePublicKey.from_encoded_point(
            ec.SECP384R1(), b'\x04' + point)
        try:
            key.verify(der, signed, ec.ECDSA(hashes.SHA384()))
            return payload
        except InvalidSignature:
            pass
    raise Refused(78, 'token: signed by nobody who is trusted')


def parse_claims(payload):
    major, count, at = head(payload, 0)
    need(major == 5, 77, 'claims: not a map')
    claims = {}
    for _ in range(count):
        need(head(payload, at)[0] <= 1, 77, 'claims: a key that is no integer')
        value = skip(payload, at)
        end = skip(payload, value)
        key = cbor2.loads(payload[at:value])
        need(key not in claims, 77, 'claims: twice')
        claims[key] = value, end        # those of others are passed over
        at = end
    need(at == len(payload), 77, 'claims: bytes behind them')

    try:
        claims = {key: cbor2.loads(payload[slice(*claims[key])])
                  for key in (CHALLENGE, PROFILE_KEY, LIFE_CYCLE,
                              IMPLEMENTATION) if key in claims}
    except (cbor2.CBORDecodeError, ValueError):
        raise Refused(77, 'claims: malformed')

    def is_bytes(key):
        return isinstance(claims.get(key), bytes) and len(claims[key]) == 32
    need(is_bytes(CHALLENGE) and is_bytes(IMPLEMENTATION) and
         isinstance(claims.get(PROFILE_KEY), str) and
         type(claims.get(LIFE_CYCLE)) is int and
         0 <= claims[LIFE_CYCLE] <= 0xffff, 77, 'claims: missing or malformed')
    return claims


@dataclass
class Policy:
    blob: bytes = bytes(POLICY.size)

    def __post_init__(self):
        (self.version, self.flags, count, _, self.implementation,
         anchors) = POLICY.unpack(self.blob)
        self.anchors = [anchors[96 * n:96 * n + 96] for n in range(count)]

    def verify_token(self, token, challenge, own_point):
        payload = signed_by(self.anchors or [own_point], token)
        claims = parse_claims(payload)
        need(claims[CHALLENGE] == challenge, 79, 'token: challenge')
        need(claims[PROFILE_KEY] == PROFILE, 80, 'token: profile')
        need(not self.flags & POLICY_SECURED or
             0x3000 <= claims[LIFE_CYCLE] <= 0x30ff, 81, 'token: life cycle')
        need(not self.flags & POLICY_IMPLEMENTATION or
             claims[IMPLEMENTATION] == self.implementation, 82,
             'token: implementation id')

    def extend(self, rim, algorithm):
        """The RIM with the policy as its last extension."""
        if not self.version:
            return rim
        def hashed(data):
            return hashlib.new(HASHES[algorithm], data).digest()
        descriptor = bytearray(0x100)
        struct.pack_into('<QQ64s64s', descriptor, 0, 0x80, 0x100, rim,
                         hashed(self.blob))
        return hashed(descriptor).ljust(64, b'\0')


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
    policy: Policy = field(default_factory=Policy)
    rim: bytes = bytes(64)
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
    """One import.  @realm is as its host created it, @point the public key of
    this RMM's platform (X, Y), @offer the offer that it made."""

    def __init__(self, realm, secrets, point, offer, derivation=None):
        self.realm, self.secrets, self.point = realm, secrets, point
        self.offer = parse_hello(offer, OFFER, 3)[0]
        self.derive = derivation or Derivation()
        self.session = None
        self.counters, self.ivs = [0] * MAX_STREAMS, [0] * MAX_STREAMS
        self.epoch, self.next_base = 1, 0
        self.sent = set()               # pages of this epoch
        self.forms = set()              # kinds of packed tags that came
        self.started = False

    def import_record(self, record):
        """Any record; returns the type of its bundle."""
        need(not self.started, 0, 'a record after the start token')
        if self.session:
            return self.open(record)
        header, rest = parse_hello(record, SESSION, 64)
        need(header.major == self.offer.major, 75, 'major version')
        need(header.peer_nonce == self.offer.nonce, 74, 'another offer')
        need(header.minor <= self.offer.minor, 75, 'minor version')
        need(not header.features & ~self.offer.features, 76, 'features')
        self.realm.policy.verify_token(
            header.token, self.derive.session_challenge(header, self.offer),
            self.point)
        self.cipher = AESGCM(self.derive.key(self.secrets.x25519, self.offer,
                                             header))
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
        body = HEADER.size + 8 * count
        need(body + SEAL <= len(record), 64, 'bundle: too short for entries')
        entries = record[HEADER.size:body]
        try:
            plain = self.cipher.decrypt(
                self.derive.iv(iv, stream), record[body:],
                self.derive.additional(record[:HEADER.size], entries))
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

    def immutable(self, body):
        need(len(body) == IMMUTABLE_STATE.size, 64, 'immutable state: size')
        (flags, ipa_bits, start_level, algorithm, sve_vl, breakpoints,
         watchpoints, counters, zero, num_recs, zeros, rpv, rim,
         policy) = IMMUTABLE_STATE.unpack(body)
        need(not zero and not any(zeros), 64, 'immutable state: reserved')
        need(is_hash(rim, algorithm), 64, 'immutable state: RIM')
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

    def memory(self, ipas, body):
        pages, forms, at = {}, set(), 0
        for ipa in ipas:
            need(ipa % PAGE == 0 and ipa < self.realm.half, 64, 'memory: IPA')
            # "Epochs": a page leaves at most once per epoch
            need(ipa not in self.sent and ipa not in pages, 84,
                 'memory: a page twice')
            page, at = take(body, at, PAGE)
            tags = bytes(TAGS)
            if self.realm.flags & FLAG_MTE:
                forms |= set(body[at:at + 1])
                tags, at = unpack_tags(body, at,
                                       self.session.features & COMPACT)
            pages[ipa] = page, tags
        need(at == len(body), 64, 'memory: bytes behind it')
        self.sent |= set(pages)
        self.forms |= forms
        self.realm.pages.update(pages)

    def token(self, kind, body):
        need(not body, 64, 'token: has a body')
        if kind == START:
            need(len(self.realm.recs) == self.realm.num_recs and
                 self.next_base == self.realm.half, 71, 'start token: early')
            self.started = True
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

def accept_offer(record, policy, point, derivation=None):
    """What a source looks at in ACCEPT; @point is its own platform key."""
    offer = parse_hello(record, OFFER, 3)[0]
    need(offer.major == MAJOR, 75, 'offer: major version')
    policy.verify_token(
        offer.token, (derivation or Derivation()).offer_challenge(offer),
        point)
    return offer


def seal(cipher, derivation, header, entries, plain):
    """A bundle; @header as it goes out, but for its size."""
    size = HEADER.size + len(entries) + len(plain) + SEAL
    header = header[:8] + struct.pack('<I', size) + header[12:]
    _, _, _, _, _, stream, _, _, iv, *_ = HEADER.unpack(header)
    return header + entries + cipher.encrypt(
        derivation.iv(iv, stream), plain,
        derivation.additional(header, entries))


def x25519_public(secret):
    key = x25519.X25519PrivateKey.from_private_bytes(secret)
    return key.public_key().public_bytes(serialization.Encoding.Raw,
                                         serialization.PublicFormat.Raw)


def platform_point(key):
    """X and Y of a private key's public key."""
    return key.public_key().public_bytes(
        serialization.Encoding.X962,
        serialization.PublicFormat.UncompressedPoint)[1:]
