"""Attacks on the channels of multifd that carry memory bundles.

Memory bundles are sealed like all records.  What is around them on a channel,
and which comes when, is not: docs/specs/realm-migration-stream.rst, "In QEMU's
migration stream".

SPDX-License-Identifier: GPL-2.0-or-later
"""

import struct
import threading

from attacks import Attack, flip, flip_some, flipped
from causes import of_bundle
from lab import CHANNELS, Cut
from realm_stream import BUNDLE, FRAME, PACKET, PACKET_STATE

HEADER = PACKET.size + PACKET_STATE.size        # multifd's, of a packet
BEGIN = HEADER + BUNDLE.size                    # where the bundle begins


class OnChannel(Attack):
    """Lets the main channel pass."""

    channels = CHANNELS

    def __init__(self, name, **options):
        super().__init__(name, **options)
        self.lock = threading.Lock()

    def __call__(self, item):
        self.main(item)
        return [item.data]

    def main(self, item):
        """An Item of the main channel is about to pass."""

    def packet(self, relay, number, item):
        with self.lock:
            if self.over or item.name != 'bundle':
                return None
            return self.bundle(relay, number, item)

    @property
    def over(self):
        return self.done

    def bundle(self, relay, number, item):
        raise NotImplementedError


class Change(OnChannel):
    """function(attack, bytes) gives the bytes instead of the first packet."""

    def __init__(self, name, function, **options):
        super().__init__(name, **options)
        self.function = function

    def bundle(self, relay, number, item):
        self.done = True
        data = self.function(self, item.data)
        if self.cause is None and not self.harmless:
            self.cause = of_bundle(data[BEGIN:], 'memory', False)
        return [data]


class Init(OnChannel):
    """The same of what a channel begins with."""

    def __init__(self, name, function, **options):
        super().__init__(name, **options)
        self.function = function

    def packet(self, relay, number, item):
        with self.lock:
            if self.done or item.name != 'channel':
                return None
            self.done = True
            return [self.function(self, item.data)]


class Place(OnChannel):
    """The first packets come in another order, or on another channel."""

    def __init__(self, name, how, **options):
        super().__init__(name, **options)
        self.how, self.held, self.given = how, None, False

    @property
    def over(self):
        return self.given or self.done and self.held is None

    def bundle(self, relay, number, item):
        if self.how == 'twice':
            self.done = True
            return [item.data] * 2
        if self.how == 'dropped':
            self.done = True
            return []
        if self.held is None:
            self.done = True
            self.held = number, item.data
            return []
        if (self.how == 'next') == (number == self.held[0]):
            self.given = True
            return [item.data, self.held[1]]
        return None


class Exchange(OnChannel):
    """Two packets, of two channels, change places."""

    def __init__(self, name, **options):
        super().__init__(name, **options)
        self.held, self.given = None, False

    @property
    def over(self):
        return self.given

    def bundle(self, relay, number, item):
        if self.held is None:
            self.done = True
            self.held = number, item.data
            return []
        if number == self.held[0]:
            return None
        self.given = True
        relay.to_channel(self.held[0], item.data)
        return [self.held[1]]


class Late(OnChannel):
    """From its first packet on a channel stands still, until the main one
    has passed the Item behind which it is awaited."""

    def __init__(self, name, after, **options):
        super().__init__(name, **options)
        self.after, self.number = after, None
        self.passed = threading.Event()

    def main(self, item):
        kinds = [kind for kind, _ in item.records] or [item.name]
        if self.after in kinds:
            # The frame itself has to leave first.
            threading.Timer(0.05, self.passed.set).start()

    def packet(self, relay, number, item):
        if item.name != 'bundle' or self.passed.is_set():
            return None
        with self.lock:
            if self.number is None:
                self.number = number
        if number == self.number:
            self.done = True
            self.passed.wait(10)
        return None


class CutChannel(OnChannel):
    """A channel ends within its first packet, or before."""

    def __init__(self, name, at, **options):
        super().__init__(name, **options)
        self.at = at

    def bundle(self, relay, number, item):
        self.done = True
        relay.to_channel(number, item.data[:self.at])
        raise Cut


class Epoch(OnChannel):
    """The first epoch frame says another number of bundles on channels."""

    def __init__(self, name, by, **options):
        super().__init__(name, **options)
        self.by = by

    def __call__(self, item):
        if self.done or 'epoch' not in [kind for kind, _ in item.records]:
            return [item.data]
        self.done = True
        count, = struct.unpack_from('>Q', item.data, FRAME.size)
        return [item.data[:FRAME.size]
                + struct.pack('>Q', (count + self.by) % (1 << 64))
                + item.data[FRAME.size + 8:]]

    def packet(self, relay, number, item):
        return None


def foreign(origin):
    """A bundle of another session in the place of one."""
    def function(attack, data):
        other = next(other for kind, other in attack.library[origin]
                     if kind == 'memory')
        stream, epoch, place = struct.unpack_from('>2xH4xII', data, HEADER)
        size = BUNDLE.size + len(other)
        return (data[:HEADER - 4] + struct.pack('>I', size)
                + BUNDLE.pack(2, stream, len(other), epoch, place) + other)
    return function


def other_stream(attack, data):
    stream, = struct.unpack_from('>H', data, HEADER + 2)
    return (data[:HEADER + 2] + struct.pack('>H', stream ^ 1)
            + data[HEADER + 4:])


# What a wrong turn may lead to: a bundle that comes after its turn, or one that
# is awaited for ever; then the relay hangs up.
TURN = ('TURN', 'LOST', 'CLOSED', 'MULTIFD')


def plan_packets(plan):
    for offset in range(BUNDLE.size):
        for mask in (1, 0x80):
            low = offset in (3, 11, 15) and mask == 1
            if offset == 3 and low:
                continue                # other_stream()
            plan.add(Change, f'channel: packet: flip 0x{offset:x} mask '
                     f'0x{mask:x}', flip(HEADER + offset, mask),
                     cause='PACKET' if offset < 8 else TURN)
    plan.add(Change, 'channel: packet: another stream', other_stream,
             harmless=True, cause=TURN)
    for n in range(40):
        plan.add(Change, f'channel: bundle: flip #{n}', flip_some(BEGIN))
    for offset in range(0, 0x30, 3):
        plan.add(Change, f'channel: bundle: flip 0x{offset:x}',
                 flip(BEGIN + offset, 1 << offset % 8))
    for n in range(10):
        plan.add(Change, f'channel: its header of multifd: flip #{n}',
                 flip_some(0, HEADER), harmless=True,
                 cause=('SECTION', 'PACKET', *TURN))
    for origin in ('session', 'realm'):
        plan.add(Change, f'channel: bundle of another {origin}',
                 foreign(origin), cause='AUTHENTICATION')
    for what in (0, 4, 24, 31):
        plan.add(Init, f'channel: its beginning: flip 0x{what:x}',
                 lambda _, data, what=what: flipped(data, what, 1),
                 harmless=True, cause=('MULTIFD', 'CLOSED', 'LOST'))


def plan_turns(plan):
    plan.add(Place, 'channel: a packet twice', 'twice', cause=TURN)
    plan.add(Place, 'channel: a packet dropped', 'dropped', cause=TURN)
    # Two streams have no order between them, and a turn is waited for.
    plan.add(Place, 'channel: a packet after the next one', 'next',
             harmless=True, cause=TURN)
    plan.add(Place, 'channel: a packet on the other one', 'other',
             harmless=True, cause=TURN)
    plan.add(Exchange, 'channel: two packets of two channels exchanged',
             harmless=True, cause=TURN)
    for after in ('epoch', 'mutable', 'rec'):
        for n in range(3):
            plan.add(Late, f'channel: late, until {after} has passed #{n}',
                     after, harmless=True, cause=TURN)
    for by in (1, -1, 1 << 32, 1 << 63):
        plan.add(Epoch, f'channel: epoch of {by:+} bundles', by,
                 cause=('COUNT', *TURN))


def plan_channel_cuts(plan):
    for at in (0, 1, 11, 12, HEADER - 1, HEADER, HEADER + 1, BEGIN - 1, BEGIN,
               BEGIN + 1, BEGIN + 0x30, BEGIN + 5000, -17, -16, -1):
        plan.add(CutChannel, f'channel: cut at byte {at} of a packet', at,
                 cause=TURN)


def plan_channels(plan):
    for part in (plan_packets, plan_turns, plan_channel_cuts):
        part(plan)
