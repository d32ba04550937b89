"""A Realm's measurement log: what is in it, and the RIM that it leads to.

The log is a TCG event log (TCG PC Client Platform Firmware Profile 1.06,
10.2); docs/system/arm/realm-measurement.rst describes its events. Nobody has
to trust it: whoever replays it compares with a RIM from a token.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import hashlib
import struct
from dataclasses import dataclass

import realm_measurement as rm
from realm_measurement import Image, MeasurementError

NO_ACTION, EVENT_TAG, POST_CODE2 = 3, 6, 0x13
FIRMWARE_BLOB2 = 0x8000000a
REALM_CREATE, INIT_RIPAS, REC_CREATE = 1, 2, 3
EXTENSIONS = 0x80000001
ALGORITHMS = {0x0b: ('sha256', 32), 0x0d: ('sha512', 64)}
MAX_SIZE = 1 << 20
LOG = 'LOG'


@dataclass
class Event:
    """One TCG_PCR_EVENT2."""
    kind: int
    digest: bytes
    data: bytes

    def tagged(self):
        """The tag, and what it stands for."""
        tag, data = unpack('<I', self.data)[0], self.data[8:]
        if len(data) != unpack('<I', self.data, 4)[0]:
            raise MeasurementError(f'the log has a bad size of tag {tag:#x}')
        return tag, data

    def blob(self):
        """(description, base, size)."""
        length = unpack('<B', self.data)[0]
        if len(self.data) != 17 + length:
            raise MeasurementError('the log has a bad description of an image')
        text = self.data[1:1 + length].decode('ascii', 'backslashreplace')
        return text, *unpack('<2Q', self.data, 1 + length)


def unpack(form, data, at=0):
    try:
        return struct.unpack_from(form, data, at)
    except struct.error as err:
        raise MeasurementError('the log is cut off') from err


class Reader:
    """Takes a log apart, byte by byte."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def numbers(self, form):
        values = unpack('<' + form, self.data, self.at)
        self.at += struct.calcsize('<' + form)
        return values

    def take(self, size):
        if size > len(self.data) - self.at:
            raise MeasurementError('the log is cut off')
        self.at += size
        return self.data[self.at - size:self.at]

    def ended(self):
        return not any(self.data[self.at:])


class Log:
    """The events of a log, and their hash algorithm."""

    def __init__(self, data):
        if len(data) > MAX_SIZE:
            raise MeasurementError(f'the log has more than {MAX_SIZE} bytes')
        reader = Reader(data)
        self.algorithm = self.read_header(reader)
        self.events = []
        while not reader.ended():
            self.events.append(self.read_event(reader))
        self.size = reader.at                   # of what is in it

    @staticmethod
    def read_header(reader):
        pcr, kind = reader.numbers('2I')
        reader.take(20)
        event = Reader(reader.take(*reader.numbers('I')))
        if (pcr, kind) != (0, NO_ACTION) or \
                event.take(16) != b'Spec ID Event03\0':
            raise MeasurementError('this is no TCG event log')
        event.take(8)
        number, algorithm, size = event.numbers('I2H')
        if number != 1 or ALGORITHMS.get(algorithm, (0, 0))[1] != size:
            raise MeasurementError('the log has not one hash algorithm that '
                                   'is known')
        return algorithm

    def read_event(self, reader):
        pcr, kind, number, algorithm = reader.numbers('3IH')
        if (pcr, number, algorithm) != (0, 1, self.algorithm):
            raise MeasurementError('the log has an event that is not of the '
                                   'RIM, or of another hash algorithm')
        digest = reader.take(ALGORITHMS[algorithm][1])
        return Event(kind, digest, reader.take(*reader.numbers('I')))

    def digest(self, data):
        return hashlib.new(ALGORITHMS[self.algorithm][0], data).digest()

    def blobs(self):
        """(description, base, size, digest) of each image."""
        return [(*event.blob(), event.digest) for event in self.events
                if event.kind in (POST_CODE2, FIRMWARE_BLOB2)]

    def tags(self):
        """[(tag, data)]; the digests are of the data."""
        found = []
        for event in self.events:
            if event.kind == EVENT_TAG:
                tag, data = event.tagged()
                if self.digest(data) != event.digest:
                    raise MeasurementError(f'the log has another digest of '
                                           f'tag {tag:#x}')
                found.append((tag, data))
        return found

    def replay(self, contents):
        """The RIM. contents: what images may consist of."""
        known = {self.digest(data): data for data in contents}
        params, policy, ram, recs = read_tags(self.tags())
        rim = rm.Rim(params)
        rim.ram(ram, params.s2sz)
        rim.images([self.image(known, *blob) for blob in self.blobs()
                    if blob[0] != LOG], ram)
        for name, base, size, _ in self.blobs():
            if name == LOG:
                if base % rm.PAGE or size % rm.PAGE or size > MAX_SIZE:
                    raise MeasurementError('the log has a bad place')
                rim.unmeasured('measurement log', base, size)
        for flags, pc, gprs in recs:
            rim.rec(flags, pc, gprs)
        if policy:
            rim.policy(policy)
        return rim

    @staticmethod
    def image(known, name, base, size, digest):
        if digest not in known or len(known[digest]) != size:
            raise MeasurementError(
                f'no file for {name} of {size} bytes at {base:#x}, digest '
                f'{digest.hex()}; give it with --image')
        return Image(name, base, known[digest])


def read_tags(tags):
    """(parameters, policy, [(base, top)], [(flags, pc, gprs)])"""
    params, policy, ram, recs = None, None, [], []
    for tag, data in tags:
        if tag == REALM_CREATE and params is None:
            params = rm.Params(*unpack('<Q6B', data))
        elif tag == EXTENSIONS and params:
            params.ext_flags = unpack('<Q', data)[0]
            policy = data[8:]
        elif tag == INIT_RIPAS:
            base, size = unpack('<2Q', data)
            if not size or base % rm.PAGE or size % rm.PAGE or \
                    base + size > 1 << 47 or (ram and base < ram[-1][1]):
                raise MeasurementError('the log has a bad range of RAM')
            ram.append((base, base + size))
        elif tag == REC_CREATE:
            flags, pc, *gprs = unpack('<10Q', data)
            recs.append((flags, pc, gprs))
        else:
            raise MeasurementError(f'the log has an unexpected tag {tag:#x}')
    if not params:
        raise MeasurementError('the log has no parameters of the Realm')
    return params, policy, ram, recs
