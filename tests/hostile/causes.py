"""Which refusal an attack has to meet.

What a changed record is refused for follows from the order of the checks in
docs/specs/realm-migration-stream.rst ("Opening"; "What is checked, by whom and
when"), and from what the relay knows of it: the bytes before and after, and
which records the source has sealed in this session.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
import struct

HEADER, HELLO, SEAL = 0x30, 0x100, 16           # target/arm/rmm/mig-abi.h
IMMUTABLE_BUNDLE = HEADER + 0x840 + SEAL
MAX_BUNDLE, MAX_PAGES = 2167360, 512
MAX_TOKEN, MAX_CERTIFICATES = 2048, 4096
MAX_START = 256                                 # in the section realm-start
MEMORY = 16                                     # type of a bundle
OFFER, SESSION = 64, 65
TYPES = (0, 1, 2, MEMORY, 32, 33, OFFER, SESSION)
RAM = range(0x40000000, 0x41000000)             # lab.arguments()
IPA = 0x000ffffffffff000

# Cause to a phrase by which QEMU's messages for it can be told from others.
# The RMM's have their names in mig-abi.h, their words in cause.c.
PHRASES = {
    'OFFER_FORMAT': 'this is no offer',
    'OFFER_NONCE': 'the offer is not for the nonce',
    'STATE': 'its state does not allow it',
    'OWED': 'made before was not taken',
    'REPLY_SIZE': r'sent a record of \d+ bytes|a ready record has \d+ bytes',
    'REC_MISSING': 'a REC is not exported',
    'REPLY_FORMAT': 'answered is no record for this moment',
    'REPLY_SEAL': 'not from the destination whose offer',
    'REPLY_OTHER': 'has not loaded all that was sent',
    'FORMAT': 'the record is malformed',
    'AUTHENTICATION': 'not what the source sealed',
    'ORDER': 'lost, repeated or out of order',
    'TOTAL': 'records of this epoch are missing',
    'EPOCH': 'the record belongs to another epoch',
    'OTHER_OFFER': 'answers another offer',
    'VERSION': 'another version of the protocol',
    'FEATURES': 'the features that it has to, or others than were offered',
    'PEER_TOKEN': 'token of the other side is malformed',
    'PEER_SIGNATURE': 'that the Realm does not trust',
    'PEER_CHALLENGE': 'token of the other side is for something else',
    'OWN_HELLO': "this side's own key or nonce",
    'PAGE_REPEATED': 'a page comes twice',
    'RECLAIMED': 'took memory or a vCPU away',
    'EXPIRED': 'the offer was made more than 10 minutes',
    # QEMU's own, before the RMM is asked
    'PLACE': 'where this machine has no memory',
    'CONFIG': 'source and destination differ in',
    'FRAME': 'malformed record: type',
    'CHANNELS': r'\d+ bundles of an epoch were sent on channels',
    'COUNT': 'came on channels, and its epoch record says',
    'LOST': 'the migration ended while',
    'PACKET': 'malformed packet of',
    'TURN': 'on a channel is over',
    'MULTIFD': 'multifd: |unterminated multifd|Unexpected end-of-file before|'
               'Failed to peek at channel',
    'SHORT': 'the stream ends within|Unable to read ID string',
    'SECTION': 'Unknown savevm section',
    'SECTION_VERSION': 'unsupported version|is too old|section: it has version',
    'FOOTER': 'section footer|section id in footer',
    'START_SIZE': r'the token has \d+ bytes; at most',
    'START_REST': 'what follows the token is not zero',
    'NO_START': 'ended without its start token',
}


def met(text, wanted=None):
    """The cause that a text tells first, or None.  The other side may just have
    closed the connection; that counts if it is wanted."""
    closed = 'Input/output error' in text
    if wanted == 'CLOSED' and closed:
        return wanted
    found = [(match.start(), name) for name, phrase in PHRASES.items()
             if (match := re.search(phrase, text))]
    if not found and closed and wanted and 'CLOSED' in wanted:
        return 'CLOSED'
    return min(found)[1] if found else None


# ---- Offer and session header ----

def of_token(old, new):
    """The outer form is fixed (see "Platform tokens"), but for the lengths
    and contents of payload and signature."""
    head = {0x58: 10, 0x59: 11}.get(old[8], 9)
    signature = len(old) - 96
    form = [*range(head), signature - 2, signature - 1]
    return ('PEER_TOKEN' if len(old) != len(new)
            or any(old[n] != new[n] for n in form) else 'PEER_SIGNATURE')


def of_hello(old, new, wanted, form):
    """Of an offer or session header; None if it is as it was."""
    if (len(new) < HELLO or new[:4] != old[:4] or new[6] != wanted):
        return form
    if new[5] != old[5]:
        return 'VERSION'
    size, token_size = struct.unpack_from('<2I', new, 8)
    certs_size, = struct.unpack_from('<I', new, 0x18)
    if (size != len(new) or token_size > MAX_TOKEN
            or certs_size > MAX_CERTIFICATES
            or size != HELLO + token_size + certs_size or new[7]
            or any(new[0x1c:0x20])
            or wanted == SESSION and any(new[0x80:0xa0])):
        return form
    if wanted == OFFER and new[0x60:0x80] != old[0x60:0x80]:
        return 'OFFER_NONCE'
    if wanted == SESSION:
        for part, cause in ((slice(0x60, 0x80), 'OTHER_OFFER'),
                            (slice(4, 5), 'VERSION'),
                            (slice(0x10, 0x18), 'FEATURES')):
            if new[part] != old[part]:
                return cause
    if new[HELLO:] != old[HELLO:]:
        return of_token(old[HELLO:], new[HELLO:])
    if new[0xa0:HELLO] != old[0xa0:HELLO]:      # no longer this platform's
        return 'PEER_SIGNATURE'
    return 'PEER_CHALLENGE' if new != old else None


def of_offer(old, new):
    return of_hello(old, new, OFFER, 'OFFER_FORMAT')


def of_begin(old, new):
    """Of session header and first bundle, which come as one record."""
    if not (0 <= len(new) - HELLO - IMMUTABLE_BUNDLE
            <= MAX_TOKEN + MAX_CERTIFICATES):
        return 'FORMAT'
    return (of_hello(old[:-IMMUTABLE_BUNDLE], new[:-IMMUTABLE_BUNDLE],
                     SESSION, 'FORMAT')
            or of_bundle(new[-IMMUTABLE_BUNDLE:], 'immutable', False))


# ---- What the destination says ----

def of_reply(old, new):
    """Of a ready record or receipt; None if it is as it was."""
    if new == old:
        return None
    count, = struct.unpack_from('<I', new.ljust(64, b'\0'), 0x24)
    plain = [*range(0x06), 0x07, *range(0x08, 0x10)]
    return ('REPLY_FORMAT' if len(new) != len(old) or count
            or any(old[n] != new[n] for n in plain) or new[6] == MEMORY
            else 'REPLY_SEAL')


# ---- Bundles ----

def peeked(data):
    """The IPAs that the host prepares for a memory bundle."""
    if len(data) < HEADER + SEAL or data[6] != MEMORY:
        return []
    count, = struct.unpack_from('<I', data, 0x24)
    if count > MAX_PAGES or count * 8 > len(data) - HEADER - SEAL:
        return []
    return [entry & IPA for entry in
            struct.unpack_from(f'<{count}Q', data, HEADER)]


def of_bundle(data, kind, sealed):
    """Of one that is not the next; sealed: the source has, in this session
    and with these bytes, so that it is only too early or too late."""
    if kind == 'memory' and any(ipa not in RAM for ipa in peeked(data)):
        return 'PLACE'
    if not HEADER + SEAL <= len(data) <= MAX_BUNDLE:
        return 'FORMAT'
    magic, version, kind_of, zero, size, stream, zeros = struct.unpack_from(
        '<IHBBIHH', data)
    count, = struct.unpack_from('<I', data, 0x24)
    counts = range(1, MAX_PAGES + 1) if kind_of == MEMORY else (0,)
    if (magic != 0x4d4c4552 or version != 0x200 or zero or zeros
            or size != len(data) or stream >= (16 if kind == 'memory' else 1)
            or count not in counts or size < HEADER + 8 * count + SEAL):
        return 'FORMAT'
    return 'ORDER' if sealed else 'AUTHENTICATION'


def of_records(kind, old, records, history):
    """Of records (kind, bytes) in the place of one."""
    taken = False                       # the one that is due
    for own, data in records:
        if data == old and not taken:
            taken = True
        elif own == 'epoch' and not data:
            return 'ORDER', 'EPOCH'     # a frame without a token is one, too
        elif own != 'start' and not 0 < len(data) <= MAX_BUNDLE:
            return 'FRAME'
        elif kind == 'start' and len(data) > MAX_START:
            return 'START_SIZE'
        elif kind == 'start' and taken:
            return 'STATE'
        else:
            cause = of_bundle(data, own, data == old
                              or data in [sent for _, sent in history])
            # Without the token of an epoch, a bundle of the next one may be
            # imported before this: it is on another stream.
            return ((cause, 'EPOCH') if (kind, own) == ('epoch', 'memory')
                    and old not in [each for _, each in records] else cause)
    return {'start': 'NO_START', 'rec': 'REC_MISSING',
            # What comes next is of the next epoch, on another stream, or not.
            'epoch': ('ORDER', 'EPOCH')}.get(kind, 'ORDER')
