# A Realm's policy: which RMMs may take it over or send it
#
# Written from docs/specs/realm-migration-stream.rst, like protocol.py: its
# section "Policy".
#
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import re
import struct
from dataclasses import dataclass

import tokens
from refused import Refused, need

VERSION = 2
COMPACT, SECURED, IMPLEMENTATION, ANY_LIFE_CYCLE = 1, 2, 4, 8
FLAGS = COMPACT | SECURED | IMPLEMENTATION | ANY_LIFE_CYCLE
# "Versions and features"
FEATURE_COMPACT, FEATURE_ZERO = 1, 4

LAYOUT = struct.Struct('<IIII32sQ8s832s896s')
ANCHOR = struct.Struct('<B7s96s')
RULE = struct.Struct('<BB6s24s64s4I')
assert LAYOUT.size == 0x700 and ANCHOR.size == 0x68 and RULE.size == 0x70
MAX_ANCHORS, MAX_RULES = 8, 8
assert MAX_ANCHORS * ANCHOR.size == 832 and MAX_RULES * RULE.size == 896

KEY, AUTHORITY = 1, 2                   # kinds of anchors
SIGNER, MEASUREMENT = 1, 2              # kinds of rules

HASHES = {0: 'sha256', 1: 'sha512'}     # RmiHashAlgorithm


def is_secured(life_cycle):
    return 0x3000 <= life_cycle <= 0x30ff


def parse_version(text):
    """Four numbers, or None: "one to four decimal numbers below 2^32 with
    points between them ... and then its end, or a hyphen and anything"."""
    match = re.fullmatch(rb'([0-9]+(?:\.[0-9]+){0,3})(?:-.*)?', text, re.S)
    if not match:
        return None
    numbers = [int(number) for number in match[1].split(b'.')]
    if max(numbers) >= 1 << 32:
        return None
    return tuple(numbers + [0] * (4 - len(numbers)))


@dataclass(frozen=True)
class Anchor:
    kind: int
    point: bytes

    @classmethod
    def parse(cls, data):
        kind, zeros, point = ANCHOR.unpack(data)
        need(kind in (KEY, AUTHORITY) and not any(zeros), 20, 'anchor: form')
        try:
            tokens.public_key(point)
        except Refused:
            raise Refused(20, 'anchor: not on the curve')
        return cls(kind, point)

    def pack(self):
        return ANCHOR.pack(self.kind, bytes(7), self.point)


@dataclass(frozen=True)
class Rule:
    kind: int
    value: bytes
    type: bytes = b''
    version: tuple = (0, 0, 0, 0)

    @classmethod
    def parse(cls, data):
        kind, size, zeros, type_, value, *version = RULE.unpack(data)
        need(kind in (SIGNER, MEASUREMENT) and size in (32, 48, 64) and
             not any(zeros) and not any(value[size:]), 20, 'rule: form')
        text, _, rest = type_.partition(b'\0')
        need(len(text) < len(type_) and not any(rest), 20, 'rule: type')
        need(kind == SIGNER or not any(version), 20,
             'rule: a version of a measurement')
        return cls(kind, value[:size], text, tuple(version))

    def pack(self):
        return RULE.pack(self.kind, len(self.value), bytes(6), self.type,
                         self.value, *self.version)

    def fulfilled_by(self, component):
        if self.kind == MEASUREMENT:
            return component.measurement == self.value
        version = (None if component.version is None
                   else parse_version(component.version))
        return (component.signer == self.value and version is not None and
                version >= self.version)


def allowed(rules, components):
    """Whether software of these components is allowed by @rules."""
    if rules and not components:
        return False
    present = {component.type or b'' for component in components}
    if any(rule.type and rule.type not in present for rule in rules):
        return False
    for component in components:
        own = [rule for rule in rules
               if rule.type and rule.type == component.type]
        which = own or [rule for rule in rules if not rule.type]
        if which and not any(rule.fulfilled_by(component) for rule in which):
            return False
    return True


class Policy:
    def __init__(self, blob=struct.pack('<I', VERSION).ljust(LAYOUT.size,
                                                             b'\0')):
        """As SET_POLICY takes it: cause 20"""
        need(len(blob) == LAYOUT.size, 20, 'policy: size')
        self.blob = blob
        (version, self.flags, num_anchors, num_rules, self.implementation,
         self.required, zeros, anchors, rules) = LAYOUT.unpack(blob)
        need(version == VERSION, 20, 'policy: version')
        need(not self.flags & ~FLAGS and
             self.flags & (SECURED | ANY_LIFE_CYCLE) !=
             SECURED | ANY_LIFE_CYCLE, 20, 'policy: flags')
        need(self.flags & IMPLEMENTATION or not any(self.implementation), 20,
             'policy: implementation id without its flag')
        allowed_features = (FEATURE_COMPACT | FEATURE_ZERO
                            if self.flags & COMPACT else 0)
        need(not self.required & ~allowed_features and not any(zeros), 20,
             'policy: required features, reserved')
        need(num_anchors <= MAX_ANCHORS and num_rules <= MAX_RULES, 20,
             'policy: numbers')
        anchors, no_anchors = self.split(anchors, ANCHOR.size, num_anchors)
        rules, no_rules = self.split(rules, RULE.size, num_rules)
        need(not any(no_anchors) and not any(no_rules), 20,
             'policy: bytes behind the last')
        self.anchors = [Anchor.parse(data) for data in anchors]
        self.rules = [Rule.parse(data) for data in rules]

    @staticmethod
    def split(data, size, count):
        return ([data[size * n:size * n + size] for n in range(count)],
                data[size * count:])

    @classmethod
    def make(cls, flags=0, anchors=(), rules=(), implementation=bytes(32),
             required=0):
        return cls(LAYOUT.pack(
            VERSION, flags, len(anchors), len(rules), implementation, required,
            bytes(8), b''.join(anchor.pack() for anchor in anchors),
            b''.join(rule.pack() for rule in rules)))

    def points(self, kind):
        return [anchor.point for anchor in self.anchors if anchor.kind == kind]

    def trusts(self, hello, own_point):
        """Whether the platform key of @hello counts."""
        if not self.anchors:
            return hello.platform_key == own_point
        return (hello.platform_key in self.points(KEY) or
                tokens.certified(hello.certificates, hello.platform_key,
                                 self.points(AUTHORITY)))

    def check_peer(self, hello, challenge, platform):
        """What @hello says of its platform: the claims.  @platform is this
        RMM's own."""
        need(self.anchors or platform.point, 22, 'no platform key')
        tokens.split_token(hello.token)
        need(self.trusts(hello, platform.point), 78,
             'platform key: of nobody who is trusted')
        claims = tokens.parse_claims(
            tokens.signed_payload(hello.token, hello.platform_key))
        need(claims.challenge == challenge, 79, 'token: challenge')
        need(claims.profile == tokens.PROFILE, 80, 'token: profile')
        secured = self.flags & SECURED or (not self.flags & ANY_LIFE_CYCLE and
                                           is_secured(platform.life_cycle))
        need(not secured or is_secured(claims.life_cycle), 81,
             'token: life cycle')
        need(not self.flags & IMPLEMENTATION or
             claims.implementation == self.implementation, 82,
             'token: implementation id')
        need(allowed(self.rules, claims.components), 87, 'token: software')
        return claims

    def extend(self, rim, algorithm):
        """The RIM with the policy as its last extension."""
        def hashed(data):
            return hashlib.new(HASHES[algorithm], data).digest()
        descriptor = bytearray(0x100)
        struct.pack_into('<QQ64s64s', descriptor, 0, 0x80, 0x100, rim,
                         hashed(self.blob))
        return hashed(descriptor).ljust(64, b'\0')
