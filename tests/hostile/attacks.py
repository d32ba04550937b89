"""The attacks of a relay on a Realm's migration.

all_attacks() is always the same list; channels.py adds to it.  An attack's name
says what it does, and is the seed of what it draws by lot.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import functools
import random
import struct

from causes import (HEADER, HELLO, SEAL, of_begin, of_offer, of_records,
                    of_reply)
from items import frame, start_section
from lab import READY, RECEIPT, Cut

BUNDLES = ('immutable', 'memory', 'epoch', 'mutable', 'rec', 'start')
RECORDS = ('session', *BUNDLES)
PAGE, PAGE_AND_TAGS = 4096, 4096 + 129
# Fields of a bundle's header: offset, format
FIELDS = {'size': (8, '<I'), 'counter': (0x10, '<Q'), 'iv': (0x18, '<Q'),
          'epoch': (0x20, '<I'), 'count': (0x24, '<I'), 'total': (0x28, '<Q')}
START, PART, END = 1, 2, 3                      # kinds of section of QEMU
EOF = b'\0'


class Attack:
    """Passes Items on, and changes some.  .done: it has.  .cause: what the
    refusal then has to tell, a name in causes.py, or a tuple of names where
    it depends on what came before."""

    harmless = False            # nothing that anybody relies on is changed
    channels = 0                # of multifd, in the migration it attacks
    bandwidth = 0               # of that, in bytes/s; 0: no limit

    def __init__(self, name, **options):
        self.name = name
        self.random = random.Random(name)
        # Whose ready record the source gets instead of any answer: of another
        # 'session', of another 'realm', or None: see lab.Relay
        self.forge = options.get('forge')
        self.exit_on_error = options.get('exit_on_error', False)
        self.harmless = options.get('harmless', False)
        self.cause = options.get('cause')
        self.done = False
        self.library = {}       # records of other sessions: (kind, bytes)
        self.history = []       # of this one
        self.meets = 'destination'      # who refuses; if it is the source, the
                                # destination runs the Realm all the same

    def offer(self, offer, another):
        """What the source gets as the destination's offer; another(): one of
        a destination for the same nonce, which has gone by then."""
        return offer

    def reply(self, data):
        """What it gets as the ready record or receipt; None: nothing."""
        return data

    def forged(self):
        if self.forge is None:
            return None
        return next(data for kind, data in self.library[self.forge]
                    if kind == 'ready')

    def __call__(self, item):
        if self.done:
            return [item.data]
        sent = self.change(item)
        self.history += item.records
        return [item.data] if sent is None else sent

    def change(self, item):
        """None: as it is; else what goes on instead."""
        return None


def encode(item, records):
    """An Item of records, with others instead."""
    if item.name == 'start':
        return [start_section(item, data) for _, data in records]
    if item.records[0][0] == 'session':
        return [frame(records)] if records else []
    return [frame([record]) for record in records]


def of_change(item, at, records, history):
    """The cause that others have to meet in the place of one record."""
    kind, old = item.records[at]
    if item.records[0][0] != 'session':
        return of_records(kind, old, records, history)
    whole = item.records[:at] + records + item.records[at + 1:]
    if whole and whole[0][0] == 'memory':       # in a frame for such
        return 'STATE'
    return of_begin(*(b''.join(data for _, data in each)
                      for each in (item.records, whole)))


class OnOffer(Attack):
    def __init__(self, name, function, **options):
        super().__init__(name, **options)
        self.function = function

    def offer(self, offer, another):
        self.done = True
        changed = self.function(self, offer)
        self.cause = self.cause or of_offer(offer, changed)
        return changed


class DeadOffer(Attack):
    """The relay swaps in an offer whose maker has gone."""

    def offer(self, offer, another):
        self.done = True
        return another()


class OnReply(Attack):
    """function(attack, bytes) gives the bytes, or None for nothing, instead of
    the destination's ready record or its receipt (kind)."""

    def __init__(self, name, kind, function, **options):
        super().__init__(name, **options)
        self.kind, self.function = kind, function
        if kind == RECEIPT:
            self.meets = 'source'

    def reply(self, data):
        if self.done or data[6] != self.kind:
            return data
        self.done = True
        changed = self.function(self, data)
        if changed is not None and not self.cause:
            self.cause = of_reply(data, changed)
        return changed


class OnRecord(Attack):
    """function(attack, bytes) gives the records instead of the first of a
    kind, or of the first that is of epoch 2."""

    def __init__(self, name, kind, function, second=False, also=(),
                 **options):
        super().__init__(name, **options)
        self.kind, self.function, self.second = kind, function, second
        if second:
            self.bandwidth = 1 << 20    # the Realm writes meanwhile
        self.also = also        # other causes that it may meet

    def change(self, item):
        kinds = [kind for kind, _ in item.records]
        if self.kind not in kinds or self.second and item.epoch != 2:
            return None
        at = kinds.index(self.kind)
        self.history += item.records[:at]
        records = self.function(self, item.records[at][1])
        if records is None:
            return None
        if [data for _, data in records] == [item.records[at][1]]:
            raise ValueError(f'{self.name} changes nothing')
        self.done = True
        records = [(own or self.kind, data) for own, data in records]
        self.cause = of_change(item, at, records, self.history)
        if self.also:
            self.cause = (self.cause, *self.also)
        return encode(item, item.records[:at] + records
                      + item.records[at + 1:])


class OnBytes(Attack):
    """function(attack, bytes) gives the bytes instead of the first Item of a
    name, a kind of records in it, or a kind of section of QEMU."""

    def __init__(self, name, which, function, kind=None, **options):
        super().__init__(name, **options)
        self.which, self.kind, self.function = which, kind, function

    def change(self, item):
        if item.name != self.which:
            return None
        if isinstance(self.kind, str) and self.kind not in [
                kind for kind, _ in item.records]:
            return None
        if isinstance(self.kind, int) and item.data[0] != self.kind:
            return None
        self.done = True
        return [self.function(self, item.data)]


class Reorder(Attack):
    """A record changes places with the next one."""

    def __init__(self, name, kind, **options):
        super().__init__(name, **options)
        self.kind, self.held = kind, None

    def change(self, item):
        kinds = [kind for kind, _ in item.records]
        if self.kind in kinds and len(kinds) == 2:
            self.done = True
            return encode(item, item.records[::-1])
        if self.kind in kinds and not self.held:
            self.held = item.records
            return []
        if self.held and kinds:
            self.done = True
            return encode(item, item.records + self.held)
        return None


class Hold(Attack):
    """What comes from one Item on to another goes on after that."""

    def __init__(self, name, first, last, **options):
        super().__init__(name, **options)
        self.first, self.last, self.held = first, last, []

    def change(self, item):
        kinds = [kind for kind, _ in item.records]
        if self.held and self.last in [item.name, *kinds]:
            self.done = True
            return [item.data, *self.held]
        if self.held or self.first in [item.name, *kinds]:
            self.held.append(item.data)
            return []
        return None


# ---- What is done to bytes ----

def flipped(data, offset, mask):
    data = bytearray(data)
    data[offset] ^= mask
    return bytes(data)


def flip(offset, mask):
    return lambda attack, data: flipped(data, offset, mask)


def flip_some(low, high=None):
    """A bit by lot, in a part of the bytes."""
    def function(attack, data):
        end = len(data) if high is None else high
        offset = attack.random.randrange(min(low, end - 1), end)
        return flipped(data, offset, 1 << attack.random.randrange(8))
    return function


def store(offset, form, change):
    def function(attack, data):
        data = bytearray(data)
        old, = struct.unpack_from(form, data, offset)
        bits = 8 * struct.calcsize(form)
        new = change(old) % (1 << bits)
        if new == old:
            new = (old + 5) % (1 << bits)
        struct.pack_into(form, data, offset, new)
        return bytes(data)
    return function


def cut_off(keep, mend):
    """Shortened; mend: the size in the header fits again."""
    def function(attack, data):
        size = keep(attack, len(data))
        data = data[:size]
        if mend and size >= 12:
            data = data[:8] + struct.pack('<I', size) + data[12:]
        return data
    return function


def lengthen(by):
    def function(attack, data):
        data += bytes(by)
        return data[:8] + struct.pack('<I', len(data)) + data[12:]
    return function


def one(function):
    """From bytes to bytes, as a function for OnRecord."""
    return lambda attack, data: [('', function(attack, data))]


def foreign(origin, kind, place):
    """A record of another session before, after or instead of this one."""
    def function(attack, data):
        found = [other for name, other in attack.library[origin]
                 if name == kind]
        other = attack.random.choice(found)
        return placed(kind, other, data, place)
    return function


def placed(kind, other, data, place):
    return {'before': [(kind, other), ('', data)],
            'after': [('', data), (kind, other)],
            'instead': [(kind, other)]}[place]


def replay(kind, place):
    """A record that came before in the same session, again."""
    def function(attack, data):
        for name, other in attack.history:
            if name == kind and other != data:
                return placed(kind, other, data, place)
        return None
    return function


# ---- What is done to the pages of a bundle ----

class Pages:
    """A memory bundle as its parts, which may be put together otherwise."""

    def __init__(self, data):
        self.count, = struct.unpack_from('<I', data, 0x24)
        self.head = data[:HEADER]
        self.entries = [data[HEADER + 8 * n:HEADER + 8 * n + 8]
                        for n in range(self.count)]
        body = data[HEADER + 8 * self.count:-SEAL]
        self.pages = [body[n * PAGE_AND_TAGS:n * PAGE_AND_TAGS + PAGE]
                      for n in range(self.count)]
        self.tags = [body[n * PAGE_AND_TAGS + PAGE:(n + 1) * PAGE_AND_TAGS]
                     for n in range(self.count)]
        self.seal = data[-SEAL:]

    def bytes(self):
        body = [part for pair in zip(self.pages, self.tags) for part in pair]
        return b''.join([self.head, *self.entries, *body, self.seal])


def swap_pages(*what):
    """Two pages of a bundle change places, or only part of each."""
    def function(attack, data):
        pages = Pages(data)
        for name in what:
            parts = getattr(pages, name)
            differ = [n for n in range(1, pages.count)
                      if parts[n] != parts[0]]
            second = attack.random.choice(differ)
            parts[0], parts[second] = parts[second], parts[0]
        return pages.bytes()
    return function


def mix_pages(origin, *what):
    """The same page's data or tags from another bundle: of this session's
    first epoch, of another session, of another Realm."""
    def function(attack, data):
        records = (attack.history if origin == 'history'
                   else attack.library[origin])
        old = Pages(next(other for kind, other in records
                         if kind == 'memory'))
        new = Pages(data)
        common = [n for n in range(new.count) if new.entries[n]
                  in old.entries]
        for n in attack.random.sample(common, min(len(common), 4)):
            place = old.entries.index(new.entries[n])
            for name in what:
                getattr(new, name)[n] = getattr(old, name)[place]
        return new.bytes()
    return function


def crossed(origin, head, body, seal):
    """Header, body and seal of two bundles put together otherwise."""
    def function(attack, data):
        records = (attack.history if origin == 'history'
                   else attack.library[origin])
        other = next((other for kind, other in records if kind == attack.kind
                      and other != data), None)
        if other is None:
            return data[:-1] + bytes([data[-1] ^ 1])
        a, b = (Pages(data), Pages(other)) if attack.kind == 'memory' else (
            None, None)
        if a and a.count != b.count:
            end = min(len(data), len(other)) - SEAL
            mixed = (other if head else data)[:HEADER] + \
                (other if body else data)[HEADER:end] + \
                (other if seal else data)[-SEAL:]
            return mixed[:8] + struct.pack('<I', len(mixed)) + mixed[12:]
        return ((other if head else data)[:HEADER]
                + (other if body else data)[HEADER:-SEAL]
                + (other if seal else data)[-SEAL:])
    return function


# ---- The list ----

class Plan:
    """Collects attacks; a name is there once."""

    def __init__(self):
        self.attacks = {}

    def add(self, kind_of, name, *words, **options):
        assert name not in self.attacks, name
        self.attacks[name] = functools.partial(kind_of, name, *words,
                                               **options)

    def on(self, kind, what, function, **options):
        self.add(OnRecord, f'{kind}: {what}', kind, one(function), **options)


def plan_offer(plan):
    for offset in range(HELLO):
        mask = 1 << offset % 8
        plan.add(OnOffer, f'offer: flip 0x{offset:x} mask 0x{mask:x}',
                 flip(offset, mask))
    for n in range(60):
        plan.add(OnOffer, f'offer: flip in its token #{n}', flip_some(HELLO))
    for size in (0, 1, 15, 16, 127, 128, 159, 160, 161):
        plan.add(OnOffer, f'offer: {size} bytes of it',
                 cut_off(lambda _, length, size=size: min(size, length - 1),
                         True))
    for less in (1, 16, 96):
        plan.add(OnOffer, f'offer: {less} bytes less',
                 cut_off(lambda _, length, less=less: length - less, False))
    plan.add(OnOffer, 'offer: longer', lengthen(1))
    plan.add(OnOffer, 'offer: of another destination, which has gone',
             lambda attack, data: attack.library['offer'],
             cause='OFFER_NONCE')
    plan.add(OnOffer, 'offer: of a destination that took another Realm',
             lambda attack, data: attack.library['used offer'],
             cause='OFFER_NONCE')
    plan.add(DeadOffer, 'offer: of a destination that has gone',
             cause='OTHER_OFFER')
    for origin in ('session', 'realm'):
        plan.add(DeadOffer, 'offer: of a destination that has gone, and the '
                 f'ready record of another {origin}', forge=origin,
                 cause='OTHER_OFFER')
    plan.add(OnOffer, 'offer: head with the token of another one',
             lambda attack, data: data[:HELLO]
             + attack.library['offer'][HELLO:], cause='PEER_CHALLENGE')
    plan.add(OnOffer, 'offer: token with the head of another one',
             lambda attack, data: attack.library['offer'][:HELLO]
             + data[HELLO:],
             cause='OFFER_NONCE')


def plan_flips(plan):
    for offset in range(HELLO):
        mask = 1 << offset % 8
        plan.on('session', f'flip 0x{offset:x} mask 0x{mask:x}',
                flip(offset, mask))
    for n in range(40):
        plan.on('session', f'flip in its token #{n}', flip_some(HELLO))
    for kind in BUNDLES:
        for offset in range(HEADER):
            for mask in {1 << offset % 8, 0x80 >> offset % 7}:
                if offset % 2 and mask != 1 << offset % 8:
                    continue
                plan.on(kind, f'flip 0x{offset:x} mask 0x{mask:x}',
                        flip(offset, mask), exit_on_error=offset % 16 == 0)
        for offset in range(1, SEAL + 1):
            plan.on(kind, f'flip seal 0x{SEAL - offset:x}',
                    flip(-offset, 1 << offset % 8))
    for kind, count in (('immutable', 25), ('memory', 40), ('mutable', 25),
                        ('rec', 25)):
        for n in range(count):
            plan.on(kind, f'flip in its body #{n}', flip_some(HEADER))
    for n in range(20):
        plan.on('memory', f'flip in its entries #{n}',
                flip_some(HEADER, HEADER + 64))
    for n in range(20):
        plan.add(OnRecord, f'memory of epoch 2: flip #{n}', 'memory',
                 one(flip_some(0)), second=True)


def plan_fields(plan):
    for kind in BUNDLES:
        for field, (offset, form) in FIELDS.items():
            for what, change in (('+2', lambda v: v + 2),
                                 ('bit 8', lambda v: v ^ 0x100),
                                 ('0', lambda v: 0),
                                 ('all ones', lambda v: -1)):
                plan.on(kind, f'{field} {what}', store(offset, form, change))
        for stream in (*range(1, 16, 2), 16, 0xffff):
            plan.on(kind, f'stream {stream}',
                    store(0xc, '<H', lambda v, stream=stream: stream))
        for other in (0, 1, 2, 16, 32, 33, 34, 64, 65, 255):
            plan.on(kind, f'type {other}',
                    store(6, 'B', lambda v, other=other: other))


def plan_lengths(plan):
    for kind in RECORDS:
        for size in (0, 1, 12, 16, 47, 48, 63):
            plan.on(kind, f'{size} bytes of it',
                    cut_off(lambda _, length, size=size: size, True))
        for less in (1, 8, 16):
            for mend in (False, True):
                plan.on(kind, f'{less} bytes less'
                        + (', and its size says so' if mend else ''),
                        cut_off(lambda _, length, less=less: length - less,
                                mend))
        for more in (1, 8, 4096):
            plan.on(kind, f'{more} bytes more', lengthen(more))
        plan.on(kind, 'half of it', cut_off(lambda _, n: n // 2, True))


def plan_order(plan):
    for kind in RECORDS:
        plan.add(OnRecord, f'{kind}: dropped', kind, lambda *_: [])
        plan.add(OnRecord, f'{kind}: twice', kind,
                 lambda _, data: [('', data), ('', data)],
                 harmless=kind == 'start')
        plan.add(OnRecord, f'{kind}: three times', kind,
                 lambda _, data: [('', data)] * 3, harmless=kind == 'start')
    # If it was the last one of its stream, the epoch's token tells, and if it
    # was of the last epoch, the source finds out.
    plan.add(OnRecord, 'memory of epoch 2: dropped', 'memory', lambda *_: [],
             second=True, also=('CLOSED', 'TOTAL'))
    for kind in RECORDS[:-2]:           # the next one only comes when all has
        # Two streams have no order between them inside an epoch.
        plan.add(Reorder, f'{kind}: after the next one', kind,
                 harmless=kind == 'memory', cause='FORMAT'
                 if kind in ('session', 'immutable') else ('ORDER', 'EPOCH'))
    for first, last in (('memory', 'mutable'), ('memory', 'rec'),
                        ('epoch', 'mutable'), ('epoch', 'rec'),
                        ('mutable', 'rec')):
        plan.add(Hold, f'{first} and what follows: after {last}', first, last,
                 cause='ORDER')
    for kind in RECORDS:
        for other in RECORDS[:-1]:
            for place in ('before', 'after', 'instead'):
                if RECORDS.index(other) < RECORDS.index(kind) or (
                        other == kind == 'memory'):
                    plan.add(OnRecord, f'{kind}: {other} again {place}', kind,
                             replay(other, place),
                             second=kind == other == 'memory')
            for origin in ('session', 'realm'):
                for place in ('before', 'instead'):
                    plan.add(OnRecord, f'{kind}: {other} of another {origin} '
                             f'{place}', kind, foreign(origin, other, place))
        for origin in ('session', 'realm'):
            plan.add(OnRecord, f'{kind}: start of another {origin} instead',
                     kind, foreign(origin, 'start', 'instead'))
            plan.add(OnRecord, f'{kind}: start of another {origin} before',
                     kind, foreign(origin, 'start', 'before'))


def plan_pages(plan):
    for what in (('entries',), ('pages',), ('tags',), ('pages', 'tags'),
                 ('entries', 'tags'), ('entries', 'pages')):
        for n in range(8):
            plan.on('memory', f'{" and ".join(what)} of two pages swapped '
                    f'#{n}', swap_pages(*what))
    for origin in ('session', 'realm', 'history'):
        for what in (('pages',), ('tags',), ('pages', 'tags')):
            for n in range(8):
                plan.add(OnRecord, f'memory: {" and ".join(what)} of '
                         f'{origin} #{n}', 'memory',
                         one(mix_pages(origin, *what)),
                         second=origin == 'history')
    for kind in ('immutable', 'memory', 'mutable', 'rec'):
        for origin in ('session', 'realm'):
            for bits in range(2, 7):
                parts = [bool(bits & 1 << n) for n in range(3)]
                which = [name for name, on in zip(
                    ('header', 'body', 'seal'), parts) if on]
                plan.on(kind, f'{" and ".join(which)} of another {origin}',
                        crossed(origin, *parts))


def of_frame(kind, offset, mask):
    """Of a bit of a frame's header: type, zero, size, each big endian.  A bit
    of the second byte of a size adds 64 KiB, or 1 MiB.  The stream may end
    before that, which depends on how many pages the Realm has written."""
    if offset == 1 and mask == 1 and kind in ('memory', 'epoch'):
        return 'CHANNELS' if kind == 'memory' else 'FORMAT'
    if offset == 3 and mask == 1 and kind == 'memory':
        return None             # another stream of the host's, not the RMM's
    if offset <= 4:
        return 'FRAME'
    if offset == 5:
        return ('SHORT' if kind in ('mutable', 'rec') else
                'FORMAT' if kind == 'session' and mask == 1 else
                ('FORMAT', 'SHORT'))
    return 'FORMAT'


def of_section(name, of_length, body):
    """Of a bit of each byte of a whole section: kind, number, length of its
    name, name, instance, version; body; footer, with the number again."""
    return ['SECTION', *['FOOTER'] * 4, of_length, *['SECTION'] * len(name),
            *['SECTION'] * 4, *['SECTION_VERSION'] * 4, *body,
            *['FOOTER'] * 5]


# A name that is too long ends with the stream, or behind the zeros that end
# it, and its version is what follows then.
REALM_READY = of_section('realm-ready', 'SHORT', [])
REALM_CONFIG = of_section('realm-config', 'SECTION_VERSION', ['CONFIG'] * 79)
# The size, big endian; the token and what follows it.
REALM_START = of_section('realm-start', 'SECTION_VERSION', [
    *['START_SIZE'] * 3, 'FORMAT', *[None] * 64, *['START_REST'] * 192])
# Without footer; for two bits of each byte.
FIRST_PART = [(cause, cause) for cause in of_section('realm', None, [])[:-5]]
FIRST_PART[0] = ('NO_START', 'SECTION')         # it is QEMU's end of stream
FIRST_PART[5] = ('SECTION', 'SECTION_VERSION')
OTHER_PART = [(None, 'SECTION')] + [('SECTION', 'SECTION')] * 4


def plan_frames(plan):
    for kind in RECORDS[:-1]:
        if kind == 'immutable':
            continue            # in the frame of the session header
        for offset in range(8):
            for mask in (1, 0x10):
                cause = of_frame(kind, offset, mask)
                plan.add(OnBytes, f'frame of {kind}: flip 0x{offset:x} mask '
                         f'0x{mask:x}', 'frame', flip(offset, mask), kind,
                         cause=cause, harmless=cause is None)
    for offset in range(8):
        for mask in (1, 0x40):
            plan.add(OnBytes, f'last frame of a part: flip 0x{offset:x} mask '
                     f'0x{mask:x}', 'end', flip(offset, mask), cause='FRAME')
    for name, causes in (('foot', ['FOOTER'] * 5), ('ready', REALM_READY),
                         ('config', REALM_CONFIG)):
        for offset, cause in enumerate(causes):
            mask = 1 << offset % 8
            plan.add(OnBytes, f'{name}: flip 0x{offset:x} mask 0x{mask:x}',
                     name, flip(offset, mask), cause=cause)
    for what, kind, causes in (('first', START, FIRST_PART),
                               ('next', PART, OTHER_PART),
                               ('last', END, OTHER_PART)):
        for offset, both in enumerate(causes):
            for mask, cause in zip((1, 0x20), both):
                # A part and the last one are the same to a destination.
                plan.add(OnBytes, f'{what} part: flip 0x{offset:x} mask '
                         f'0x{mask:x}', 'part', flip(offset, mask), kind,
                         cause=cause, harmless=cause is None)
    for offset in [*range(29), *range(98, 290, 8), *range(285, 290)]:
        name = f'realm-start: flip 0x{offset:x}'
        if name not in plan.attacks:
            plan.add(OnBytes, name, 'start', flip(offset, 1 << offset % 8),
                     cause=REALM_START[offset])


def plan_sections(plan):
    for name, dropped, twice in (('part', 'NO_START', 'FRAME'),
                                 ('frame', 'STATE', 'FORMAT'),
                                 ('end', 'FRAME', 'FOOTER'),
                                 ('foot', 'FOOTER', 'SECTION')):
        plan.add(OnBytes, f'{name}: dropped', name, lambda *_: b'',
                 cause=dropped)
        plan.add(OnBytes, f'{name}: twice', name, lambda _, data: data * 2,
                 cause=twice)
    for name in ('config', 'ready'):
        plan.add(OnBytes, f'{name}: dropped', name, lambda *_: b'',
                 harmless=name == 'config', cause='CLOSED')
        # The second answer may be taken for the receipt; the Realm has moved.
        plan.add(OnBytes, f'{name}: twice', name, lambda _, data: data * 2,
                 harmless=True, cause=None if name == 'config' else 'CLOSED')
    for name, kind in (('config', None), ('part', START), ('part', PART),
                       ('part', END), ('ready', None), ('start', None)):
        which = f'{name} {kind}' if kind else name
        plan.add(OnBytes, f'{which}: QEMU\'s end of stream before it', name,
                 lambda _, data: EOF + data, kind, cause='NO_START')
        plan.add(OnBytes, f'{which}: QEMU\'s end of stream instead', name,
                 lambda _, data: EOF, kind,
                 forge=None if name in ('config', 'start') else 'session',
                 cause='NO_START')
    plan.add(OnBytes, 'realm-start: dropped', 'start', lambda *_: b'',
             cause='NO_START')


def plan_forged(plan):
    """The source hears that all is well, and the destination has not loaded
    all."""
    for kind in RECORDS[:-1]:
        for origin in ('session', 'realm'):
            plan.add(OnRecord, f'{kind}: dropped, and the ready record of '
                     f'another {origin}', kind, lambda *_: [], forge=origin)
        for n in range(3):
            plan.on(kind, f'flip #{n}, and the ready record of another '
                    'session', flip_some(0), forge='session',
                    exit_on_error=n == 2)


def plan_replies(plan):
    """What the destination's RMM says does not come, or is something else.
    Without a ready record the source goes on.  Without a receipt it only never
    hears that the Realm arrived, and stays sealed."""
    for name, kind, other in (('ready', READY, RECEIPT),
                              ('receipt', RECEIPT, READY)):
        cause = 'CLOSED' if kind == READY else None
        for offset in range(HEADER + SEAL):
            plan.add(OnReply, f'{name} record: flip 0x{offset:x}', kind,
                     flip(offset, 1 << offset % 8))
        for size in (0, 1, 47, 63, 65, 128, 256, 300):
            plan.add(OnReply, f'{name} record: {size} bytes', kind,
                     lambda _, data, size=size: data[:size].ljust(size, b'\0'),
                     cause='REPLY_FORMAT' if kind == RECEIPT
                     and 0 < size <= 256 else 'REPLY_SIZE')
        for origin in ('session', 'realm'):
            for which in ('ready', 'receipt'):
                plan.add(OnReply, f'{name} record: {which} of another {origin}',
                         kind, lambda attack, _, origin=origin, which=which:
                         next(data for kind_of, data in attack.library[origin]
                              if kind_of == which))
        plan.add(OnReply, f'{name} record: dropped', kind, lambda *_: None,
                 cause=cause)


def all_attacks():
    """A plan of the attacks on one connection."""
    plan = Plan()
    for part in (plan_offer, plan_flips, plan_fields, plan_lengths,
                 plan_order, plan_pages, plan_frames, plan_sections,
                 plan_forged, plan_replies):
        part(plan)
    return plan


__all__ = ['Attack', 'OnReply', 'Plan', 'all_attacks', 'Cut', 'flip',
           'flip_some', 'flipped']
