# Records that only a source's RMM could send: sealed with the session's key, and
# wrong in one thing each
#
# Sections that comments name are those of docs/specs/realm-migration-stream.rst.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import struct

import protocol as p

HALF = 1 << 32                          # of the golden streams' Realms


def patch(data, at, *values):
    """@values are bytes, or numbers of 8 bytes."""
    new = b''.join(value if isinstance(value, bytes)
                   else struct.pack('<Q', value) for value in values)
    return data[:at] + new + data[at + len(new):]


class Forger:
    """Forges what @destination gets in place of @record, which is the next one
    that it is to get."""

    def __init__(self, destination, record):
        self.destination, self.record = destination, record
        fields = p.HEADER.unpack_from(record)
        self.kind, self.counter, self.iv = fields[2], fields[7], fields[8]
        self.epoch, self.count, self.total = fields[9:]
        self.entries = record[p.HEADER.size:p.HEADER.size + 8 * self.count]
        self.plain = p.open_bundle(destination.cipher, destination.derive,
                                   record, self.count)

    def seal(self, header, entries=b'', body=b''):
        return p.seal(self.destination.cipher, self.destination.derive,
                      header, entries, body)

    def again(self, field=2, value=None, body=None, entries=None):
        """The record with one field of its header changed, or its body."""
        fields = list(p.HEADER.unpack_from(self.record))
        if value is not None:
            fields[field] = value
        return self.seal(p.HEADER.pack(*fields),
                         self.entries if entries is None else entries,
                         self.plain if body is None else body)

    def new(self, kind, stream, counter, count=0, total=0, entries=b'',
            body=b''):
        return self.seal(p.HEADER.pack(
            p.MAGIC, self.destination.session.version, kind, 0, 0, stream, 0,
            counter, max(counter, self.iv * (not stream)), self.epoch, count,
            total), entries, body)

    def all(self):
        """(what, record, cause)"""
        yield from self.headers()
        yield from {p.MEMORY: self.memory, p.MUTABLE: self.map,
                    p.REC: self.rec, p.EPOCH: self.token,
                    p.START: self.token}[self.kind]()

    def headers(self):
        for field, value, cause in (
                (0, 0, 64), (1, 0x201, 64), (1, 0x100, 64), (3, 1, 64),
                (5, 16, 64), (6, 1, 64), (7, self.counter + 1, 67),
                (7, self.counter - 1, 67), (7, 0, 67), (8, self.iv - 1, 67),
                (9, self.epoch + 1, 68), (9, self.epoch - 1, 68)):
            yield f'field {field}: {value}', self.again(field, value), cause
        for kind in (3, 17, 31, 34, 35, 36, 64, 255):
            yield f'type {kind}', self.again(2, kind), 64 if self.entries else 70
        if self.kind not in (p.EPOCH, p.START):
            yield 'total', self.again(11, 1), 64
            yield 'shorter', self.again(body=self.plain[:-1]), 64
            yield 'longer', self.again(body=self.plain + b'\0'), 64
        if self.kind != p.MEMORY:
            yield 'on another stream', self.again(5, 1), 64
            yield 'an entry', self.again(10, 1, entries=bytes(8)), 64
        yield 'the first bundle again', self.new(
            p.IMMUTABLE, 0, self.destination.counters[0] + 1), 70
        if self.kind != p.START:
            yield 'early start token', self.new(
                p.START, 0, self.destination.counters[0] + 1,
                total=sum(self.destination.counters) + 1), 71

    def token(self):
        yield 'total', self.again(11, self.total - 1), 69
        yield 'total', self.again(11, self.total + 1), 69
        yield 'total', self.again(11, 0), 69
        yield 'body', self.again(body=b'\0'), 64

    def memory(self):
        flag = self.entries[0] & p.ENTRY_ZERO
        for ipa in (HALF, 1 << 52, 1 << 63, 2, 0x800):
            yield f'IPA {ipa:#x}', self.again(
                entries=patch(self.entries, 0, ipa | flag)), 64
        yield 'no data, but data', self.again(
            entries=patch(self.entries, 0, bytes([flag ^ p.ENTRY_ZERO]))), 64
        yield 'no entry', self.again(10, 0, entries=b''), 64
        yield '513 entries', self.again(10, 513), 64
        yield 'an entry more', self.again(
            10, self.count + 1,
            entries=self.entries + struct.pack('<Q', 0x123000)), 64
        page, at = b'\xa5' * p.PAGE, 0x7ffff000     # where no page is
        good, bad = self.tags()
        yield 'a page twice', self.again(
            10, 2, entries=struct.pack('<QQ', at, at),
            body=2 * (page + good)), 84
        # "One form for each page": without data if and only if it is zero
        omits = self.destination.session.features & p.ZERO
        for what, entry, body in (
                ('no data', at | p.ENTRY_ZERO, good),
                ('zero', at, bytes(p.PAGE) + good),
                ('both', at | p.ENTRY_ZERO, bytes(p.PAGE) + good)):
            if what != ('no data' if omits else 'zero'):
                yield what, self.new(p.MEMORY, 9, 1, 1, body=body,
                                     entries=struct.pack('<Q', entry)), 64
        if omits:
            yield 'a page twice, without data', self.again(
                10, 2, entries=struct.pack('<QQ', at | p.ENTRY_ZERO, at),
                body=good + page + good), 84
        for ipa in sorted(self.destination.sent):
            # What came on any stream before, as a bundle of another one
            yield 'a page again', self.new(
                p.MEMORY, 9, 1, 1, entries=struct.pack('<Q', ipa),
                body=page + good), 84
        if self.destination.realm.flags & p.FLAG_MTE:
            for n, tags in enumerate(bad):
                yield f'tags {n}', self.new(
                    p.MEMORY, 9, 1, 1, entries=struct.pack('<Q', at),
                    body=page + tags), 64

    def tags(self):
        """Packed tags that are right, and others (section "Tags")"""
        runs = b'\2\2\x7f\1\x7f\2'
        if not self.destination.realm.flags & p.FLAG_MTE:
            return b'', []
        wrong = [b'', b'\4', b'\xff', b'\3' + bytes(127), b'\1', b'\2',
                 b'\1\0', b'\1\x10', b'\2\2\x7f\1\x7f\1', b'\2\2\x7f\1\x7e\2',
                 b'\2\2\x7f\1\x80\2', b'\2\2\x7f\1\x7f\x10', b'\2\0',
                 b'\2\1\xff\1', b'\2\x40' + b'\3\1\3\2' * 32]
        if self.destination.session.features & p.COMPACT:
            raw = b'\3' + b'\x11' * 64 + b'\x22' * 64
            return runs, wrong + [b'\3' + bytes(128), b'\3' + b'\x55' * 128,
                                  raw]
        return b'\3' + bytes(128), wrong + [b'\0', b'\1\5', runs]

    def map(self):
        body, runs = self.plain, self.plain[0x140:]
        base, top, count = struct.unpack_from('<QQI', body)
        start, end = struct.unpack_from('<QQ', runs)
        for what, bad in {
                'base': patch(body, 0, base + p.PAGE),
                'top over the half': patch(body, 8, HALF + p.PAGE),
                'top before its last run': patch(body, 8, top - p.PAGE),
                'top behind its last run': patch(body, 8, top + p.PAGE),
                'a run more': patch(body, 0x10, struct.pack('<I', count + 1)),
                'a run less': patch(body, 0x10, struct.pack('<I', count - 1)),
                'no run': patch(body[:0x140], 0x10, bytes(4)),
                'state': patch(body, 0x14, b'\1'),
                'reserved': patch(body, 0x15, b'\1'),
                'reserved, last': patch(body, 0x3f, b'\1'),
                'kind 3': patch(body, 0x140, start | 7 ^ start & 4),
                'kind 4': patch(body, 0x140, start & ~7 | 4),
                'kind 6': patch(body, 0x140, start & ~7 | 6),
                'bit 3 of a run': patch(body, 0x140, start | 8),
                'bit 11 of a run': patch(body, 0x140, start | 0x800),
                'bit 52 of a run': patch(body, 0x140, start | 1 << 52),
                'end in a page': patch(body, 0x148, end + 1),
                'a hole before the first': patch(body, 0x140, start + p.PAGE),
                'an overlap': patch(body, 0x148, end + p.PAGE),
                'an empty run': patch(body, 0x148, start & ~0xfff),
                'neighbours alike': patch(
                    body[:0x140], 0x10, struct.pack('<I', count + 1)) +
                struct.pack('<QQ', start, (start & ~0xfff) + p.PAGE) +
                patch(runs, 0, start + p.PAGE)}.items():
            yield what, self.again(body=bad), 64
        if not self.destination.realm.algorithm:
            yield 'bytes behind a REM', self.again(
                body=patch(body, 0x60, b'\1')), 64
            yield 'bytes behind the last REM', self.again(
                body=patch(body, 0x13f, b'\1')), 64
        if base:
            yield 'other REMs', self.again(
                body=patch(body, 0x40, bytes([body[0x40] ^ 1]))), 64

    def rec(self):
        body = self.plain
        size, = struct.unpack_from('<I', body, 0x124)
        idle = patch(body, 0x108, bytes(0x18), b'\1', bytes(3))

        def pending(kind, *values):
            return patch(patch(idle, 0x121, bytes([kind])), 0x108, *values)

        def abort(kind, esr, far=0, base=idle):
            return patch(patch(base, 0x128, esr, far), 0x138, bytes([kind]))
        for what, bad in {
                'runnable': patch(body, 0x120, b'\2'),
                'pending': patch(idle, 0x121, b'\4'),
                'pending, but off': patch(idle, 0x120, b'\0\1'),
                'RIPAS value': patch(body, 0x122, b'\2'),
                'change destroyed': patch(body, 0x123, b'\2'),
                'context larger': patch(body, 0x124,
                                        struct.pack('<I', size + 1)),
                'no context': patch(body[:0x140], 0x124, bytes(4)),
                'context too large': patch(
                    body + bytes(262145 - size), 0x124,
                    struct.pack('<I', 262145)),
                'reserved': patch(body, 0x139, b'\1'),
                'reserved, last': patch(body, 0x13f, b'\1'),
                'host call in a granule': pending(3, 0x1080),
                'host call over the half': pending(3, HALF),
                'RIPAS from inside a page': pending(2, 0, 0x1001, 0x3000),
                'RIPAS to inside a page': pending(2, 0, 0x1000, 0x3001),
                'RIPAS backwards': pending(2, 0, 0x2000, 0x1000),
                'RIPAS over the half': pending(2, 0, 0x1000, HALF + 0x1000),
                'abort kind 4': abort(4, 0x93800007),
                'ESR without an abort': abort(0, 1),
                'FAR without an abort': abort(0, 0, 1),
                'kind 1: instruction': abort(1, 0x82000007),
                'kind 1: ISV': abort(1, 0x93000007),
                'kind 1: external': abort(1, 0x92000010),
                'kind 2: no ISV': abort(2, 0x92000007),
                'kind 2: external': abort(2, 0x93000017),
                'kind 2: another class': abort(2, 0x97000007),
                'kind 3: not external': abort(3, 0x82000007),
                'kind 3: SET': abort(3, 0x82000810),
                'kind 3: another class': abort(3, 0x86000010),
                'abort and PSCI': abort(1, 0x92000007, 0, pending(1))}.items():
            yield what, self.again(body=bad), 64
        for mpidr in (2, 3, 1 << 32, 1 << 63):
            yield f'MPIDR {mpidr:#x}', self.again(body=patch(body, 0, mpidr)), 73
        for mpidr in self.destination.realm.recs:
            yield 'a REC again', self.again(body=patch(body, 0, mpidr)), 73


def first_bundles(destination, cipher, bundle):
    """(what, bundle, cause) in place of the one behind the session header;
    @cipher is the forward key's."""
    plain = p.open_bundle(cipher, destination.derive, bundle, 0)
    header = bundle[:p.HEADER.size]

    def again(body, field=None, value=0):
        fields = list(p.HEADER.unpack(header))
        if field is not None:
            fields[field] = value
        return p.seal(cipher, destination.derive, p.HEADER.pack(*fields), b'',
                      body)
    assert again(plain) == bundle
    for field, value, cause in ((7, 0, 67), (7, 2, 67), (8, 0, 67), (9, 2, 68),
                                (9, 0, 68), (2, p.MUTABLE, 70),
                                (2, p.REC, 70), (11, 1, 64), (1, 0x201, 64)):
        yield f'field {field}: {value}', again(plain, field, value), cause
    reserved = (0xf, 0x14, 0x3f, 0xea, 0xef, 0x110, 0x13f)
    # In byte 7, bit 7 is MTE's
    differs = {8: 96, 9: 97, 0xa: 98, 0x40: 99, 0x7f: 99, 7: 100, 0: 101,
               0xb: 102, 0xc: 103, 0xd: 104, 0xe: 105, 0x10: 106, 0x140: 107,
               0x144: 107, 0x83f: 107}
    if destination.realm.algorithm:
        differs[0xa] = 64               # the RIM is too long for any other one
    else:
        differs[0xa0] = differs[0xbf] = 64
    for at, cause in {**dict.fromkeys(reserved, 64), **differs}.items():
        yield f'byte {at:#x}', again(
            patch(plain, at, bytes([plain[at] ^ 0x80]))), cause
    yield 'shorter', again(plain[:-1]), 64
    yield 'longer', again(plain + b'\0'), 64
    yield 'too many migrations', again(patch(plain, 0xe0, 2**64 - 1)), 64
