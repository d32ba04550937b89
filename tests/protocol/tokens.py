# Platform tokens and certificates: what an RMM says of itself, and who vouches
# for it
#
# Written from docs/specs/realm-migration-stream.rst, like protocol.py.
#
# SPDX-License-Identifier: GPL-2.0-or-later

from dataclasses import dataclass

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from refused import Refused, need

PROFILE = b'tag:arm.com,2023:cca_platform#1.0.0'
CHALLENGE, PROFILE_KEY, LIFE_CYCLE, IMPLEMENTATION = 10, 265, 2395, 2396
COMPONENTS = 2399
TYPE, MEASUREMENT, VERSION, SIGNER = 1, 2, 4, 5
MAX_COMPONENTS = 32
UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
CURVE = ec.SECP384R1


# ---- CBOR (RFC 8949): definite lengths, shortest heads ----

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
    if major != SIMPLE:
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
        left += {ARRAY: value, MAP: 2 * value, TAG: 1}.get(major, 0) - 1
        if major in (BYTES, TEXT):
            need(value <= len(data) - at, 77, 'token: ends in a string')
            at += value
    return at


def read_map(data, at, wanted):
    """The map at @at: ({key: where its value is}, where the map ends), with
    the @wanted keys only."""
    major, count, at = head(data, at)
    need(major == MAP, 77, 'claims: not a map')
    found = {}
    for _ in range(count):
        major, argument, at = head(data, at)
        need(major in (UNSIGNED, NEGATIVE) and argument < 1 << 63, 77,
             'claims: a key that is no integer of 64 bits')
        key = argument if major == UNSIGNED else -1 - argument
        if key in wanted:
            need(key not in found, 77, 'claims: twice')
            found[key] = at
        at = skip(data, at)
    return found, at


def read(data, at, major, why):
    """Number, or contents, of an item that must be of type @major."""
    need(at is not None, 77, f'{why}: missing')
    is_major, value, begin = head(data, at)
    need(is_major == major, 77, f'{why}: of another type')
    if major in (BYTES, TEXT):
        return data[begin:begin + value]
    return value


# ---- claims ----

@dataclass(frozen=True)
class Component:
    """None where the token has nothing.  Texts are bytes."""
    measurement: bytes
    type: bytes = None
    version: bytes = None
    signer: bytes = None


@dataclass(frozen=True)
class Claims:
    challenge: bytes
    profile: bytes
    life_cycle: int
    implementation: bytes
    components: tuple


def read_component(data, at):
    """Returns (component, where it ends)."""
    found, end = read_map(data, at, (TYPE, MEASUREMENT, VERSION, SIGNER))

    def optional(key, major):
        return (read(data, found[key], major, 'component')
                if key in found else None)
    measurement = read(data, found.get(MEASUREMENT), BYTES, 'measurement')
    signer = optional(SIGNER, BYTES)
    for value in (measurement, signer):
        need(value is None or len(value) in (32, 48, 64), 77,
             'component: size of a hash')
    return Component(measurement, optional(TYPE, TEXT),
                     optional(VERSION, TEXT), signer), end


def parse_claims(payload):
    found, end = read_map(payload, 0, (CHALLENGE, PROFILE_KEY, LIFE_CYCLE,
                                       IMPLEMENTATION, COMPONENTS))
    need(end == len(payload), 77, 'claims: bytes behind them')
    count = read(payload, found.get(COMPONENTS), ARRAY, 'components')
    need(count <= MAX_COMPONENTS, 77, 'components: too many')
    at, components = head(payload, found[COMPONENTS])[2], []
    for _ in range(count):
        component, at = read_component(payload, at)
        components.append(component)
    claims = Claims(
        read(payload, found.get(CHALLENGE), BYTES, 'challenge'),
        read(payload, found.get(PROFILE_KEY), TEXT, 'profile'),
        read(payload, found.get(LIFE_CYCLE), UNSIGNED, 'life cycle'),
        read(payload, found.get(IMPLEMENTATION), BYTES, 'implementation id'),
        tuple(components))
    need(len(claims.challenge) == len(claims.implementation) == 32 and
         claims.life_cycle <= 0xffff, 77, 'claims: malformed')
    return claims


# ---- COSE_Sign1 (RFC 9052) ----

PROTECTED = bytes.fromhex('a1013822')
OUTER = bytes.fromhex('d28444') + PROTECTED + b'\xa0'
SIGNATURE = bytes.fromhex('5860')


def split_token(token):
    """Returns (payload, signature)."""
    need(token.startswith(OUTER), 77, 'token: outer form')
    major, size, at = head(token, len(OUTER))
    need(major == BYTES and size <= len(token) - at, 77, 'token: payload')
    payload, tail = token[at:at + size], token[at + size:]
    need(len(tail) == 98 and tail.startswith(SIGNATURE), 77,
         'token: signature')
    return payload, tail[2:]


def to_be_signed(payload):
    """RFC 9052, 4.4"""
    return cbor2.dumps(['Signature1', PROTECTED, b'', payload])


def public_key(point):
    """The key whose X and Y are the 96 bytes @point."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVE(),
                                                            b'\x04' + point)
    except ValueError:
        raise Refused(78, 'platform key: not on the curve')


def point_of(key):
    """X and Y of a public key."""
    return key.public_bytes(serialization.Encoding.X962,
                            serialization.PublicFormat.UncompressedPoint)[1:]


def signed_payload(token, point):
    """The payload, if the owner of @point signed it."""
    payload, signature = split_token(token)
    der = utils.encode_dss_signature(int.from_bytes(signature[:48], 'big'),
                                     int.from_bytes(signature[48:], 'big'))
    try:
        public_key(point).verify(der, to_be_signed(payload),
                                 ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        raise Refused(78, 'token: not signed by the platform key')
    return payload


# ---- "Certificates" ----

MIN_CERTIFICATES, MAX_CERTIFICATES = 2, 4
DIGESTS = hashes.SHA256, hashes.SHA384, hashes.SHA512
# Extensions that are looked at here
PROCESSED = x509.BasicConstraints, x509.KeyUsage


def split_certificates(data):
    """Certificates in DER, one behind the other."""
    certificates = []
    while data:
        # SEQUENCE, and a length of two bytes or of one: a certificate with a
        # key on P-384 has more than 127 bytes and less than 65536
        need(data[:1] == b'\x30' and data[1:2] in (b'\x81', b'\x82'), 78,
             'certificates: not in DER')
        width = data[1] - 0x80
        size = 2 + width + int.from_bytes(data[2:2 + width], 'big')
        need(size <= len(data), 78, 'certificates: end too early')
        try:
            certificates.append(x509.load_der_x509_certificate(data[:size]))
        except ValueError:
            raise Refused(78, 'certificates: malformed')
        data = data[size:]
    return certificates


def certificate_point(certificate):
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise Refused(78, 'certificate: a key of no known kind')
    need(isinstance(key, ec.EllipticCurvePublicKey) and
         isinstance(key.curve, CURVE), 78, 'certificate: key not on P-384')
    return point_of(key)


def check_signature(certificate, issuer):
    """@certificate is signed by the key of @issuer, which it names."""
    need(certificate.issuer == issuer.subject, 78,
         'certificate: names another issuer')
    try:
        digest = certificate.signature_hash_algorithm
        need(isinstance(digest, DIGESTS), 78, 'certificate: its hash')
        issuer.public_key().verify(
            certificate.signature, certificate.tbs_certificate_bytes,
            ec.ECDSA(digest))
    except (InvalidSignature, UnsupportedAlgorithm):
        raise Refused(78, 'certificate: signature')


def extension(certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def check_critical(certificate):
    try:
        unknown = [e for e in certificate.extensions
                   if e.critical and not isinstance(e.value, PROCESSED)]
    except ValueError:
        raise Refused(78, 'certificate: extensions')
    need(not unknown, 78, 'certificate: a critical extension')


def check_authority(certificate, below):
    """It may sign certificates, with @below others between that one and the
    platform's (RFC 5280, 4.2.1.3, 4.2.1.9 and 6.1.4)."""
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)
    need(constraints and constraints.ca, 78, 'certificate: no authority')
    need(constraints.path_length is None or
         below <= constraints.path_length, 78, 'certificate: path length')
    need(usage is None or usage.key_cert_sign, 78, 'certificate: key usage')


def certified(data, point, authorities):
    """Whether the certificates @data lead from @point to one of
    @authorities."""
    try:
        chain = split_certificates(data)
        need(MIN_CERTIFICATES <= len(chain) <= MAX_CERTIFICATES, 78,
             'certificates: number')
        points = [certificate_point(certificate) for certificate in chain]
        need(points[0] == point, 78, 'certificates: of another platform')
        need(points[-1] in authorities, 78, 'certificates: of nobody trusted')
        for certificate in chain:
            check_critical(certificate)
        need(not any(certificate.issuer == certificate.subject
                     for certificate in chain[:-1]), 78,
             'certificates: one names itself before the last')
        for n, (this, issuer) in enumerate(zip(chain, chain[1:])):
            check_authority(issuer, n)
            check_signature(this, issuer)
        check_signature(chain[-1], chain[-1])
        return True
    except Refused:
        return False
