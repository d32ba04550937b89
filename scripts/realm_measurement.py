"""A Realm's initial measurement (RIM), from what a host does to build it.

Written from the text of RMM 1.0 (its B4.3 and B4.4), and from the words of
docs/specs/realm-migration-stream.rst where the model has more than that text.
It shares no code with the RMM model, so that the one checks the other.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import hashlib
import struct
from dataclasses import dataclass

PAGE = 4096
LOG_SIZE = 64 * 1024
ALGORITHMS = ('sha256', 'sha512')       # by their RmiHashAlgorithm

SVE, PMU = 1 << 1, 1 << 2               # RmiRealmFlags
MIGRATION, MTE = 1 << 0, 1 << 1         # the model's extensions
MEASURED = 1                            # RmiDataFlags
RUNNABLE = 1                            # RmiRecCreateFlags

TYPE_DATA, TYPE_REC, TYPE_RIPAS, TYPE_POLICY = 0, 1, 2, 0x80


class MeasurementError(Exception):
    """What was asked for cannot be measured, and why."""


@dataclass
class Params:
    """What RMI_REALM_CREATE measures."""
    flags: int = 0
    s2sz: int = 0
    sve_vl: int = 0
    num_bps: int = 0
    num_wps: int = 0
    pmu_num_ctrs: int = 0
    hash_algo: int = 0
    ext_flags: int = 0

    def pack(self):
        """The fields as they are in a page of parameters; else zeros."""
        page = bytearray(PAGE)
        struct.pack_into('<7Q', page, 0, self.flags, self.s2sz, self.sve_vl,
                         self.num_bps, self.num_wps, self.pmu_num_ctrs,
                         self.hash_algo)
        struct.pack_into('<Q', page, 0x3f8, self.ext_flags)
        return bytes(page)


@dataclass
class Step:
    """Some calls of one kind, and the measurement after them."""
    call: str
    text: str
    count: int
    rim: str


class Rim:
    """The measurement, call by call."""

    def __init__(self, params):
        try:
            self.algorithm = ALGORITHMS[params.hash_algo]
        except IndexError as err:
            raise MeasurementError(f'hash algorithm {params.hash_algo} is '
                                   'unknown') from err
        self.value = self.digest(params.pack())
        self.steps = []
        self.note('REALM_CREATE', ' '.join(
            f'{name}={value:#x}' for name, value in vars(params).items()))

    def digest(self, data):
        return hashlib.new(self.algorithm, data).digest()

    def note(self, call, text, count=1):
        self.steps.append(Step(call, text, count, self.value.hex()))

    def extend(self, kind, contents):
        """One descriptor (B4.4.11 to B4.4.14)."""
        head = struct.pack('<B7xQ64s', kind, 0x100, self.value)
        self.value = self.digest((head + contents).ljust(0x100, b'\0'))

    def ripas(self, base, top):
        self.extend(TYPE_RIPAS, struct.pack('<2Q', base, top))

    def data(self, ipa, contents):
        """A granule; its contents are None if they are not measured."""
        flags, digest = 0, b''
        if contents is not None:
            flags, digest = MEASURED, self.digest(contents)
        self.extend(TYPE_DATA, struct.pack('<2Q64s', ipa, flags, digest))

    def rec(self, flags, pc, gprs=(0,) * 8):
        page = bytearray(PAGE)
        struct.pack_into('<Q', page, 0, flags)
        struct.pack_into('<Q', page, 0x200, pc)
        struct.pack_into('<8Q', page, 0x300, *gprs)
        self.extend(TYPE_REC, self.digest(bytes(page)))
        self.note('REC_CREATE', f'pc={pc:#x}')

    def policy(self, policy):
        self.extend(TYPE_POLICY, self.digest(policy))
        self.note('policy', f'of migration, {len(policy)} bytes')

    def ram(self, ranges, ipa_bits):
        """RAM from the beginning on: [(base, top)], ascending."""
        for base, top in ranges:
            entries = list(ripas_entries(base, top, ipa_bits))
            for entry in entries:
                self.ripas(*entry)
            self.note('RTT_INIT_RIPAS', f'{base:#x} to {top:#x}',
                      len(entries))

    def images(self, images, ram):
        """The granules of RAM that images are in, ascending, each once."""
        names, base, top = None, 0, 0
        for ipa, contents, now in granules(images, ram):
            if (ipa, now) != (top, names):
                self.note_data(names, base, top)
                names, base = now, ipa
            self.data(ipa, contents)
            top = ipa + PAGE
        self.note_data(names, base, top)

    def note_data(self, names, base, top):
        if names:
            self.note('DATA_CREATE', f'{base:#x} to {top:#x} {names}',
                      (top - base) // PAGE)

    def unmeasured(self, name, base, size):
        """Granules of which only the address is measured."""
        for ipa in range(base, base + size, PAGE):
            self.data(ipa, None)
        self.note('DATA_CREATE', f'{base:#x} to {base + size:#x} {name}, '
                  'contents not measured', size // PAGE)


def ripas_entries(base, top, ipa_bits):
    """What RMI_RTT_INIT_RIPAS measures for one range: each entry of a table,
    as large as it can be, since QEMU makes tables only where it has to."""
    level = 1 if ipa_bits <= 43 else 0
    sizes = [1 << 39 - 9 * n for n in range(level, 4)]
    made = set()                        # (size of an entry, base) with a table
    while base < top:
        for size in sizes:
            block = base - base % size
            if (size, block) not in made:
                if block == base and top - base >= size:
                    break
                made.add((size, block))
        yield base, base + size
        base += size


@dataclass
class Image:
    """Bytes that are loaded, and zeros behind them up to a size."""
    name: str
    base: int
    data: bytes
    size: int = 0

    def __post_init__(self):
        self.size = max(self.size, len(self.data))

    @property
    def top(self):
        return self.base + self.size


def granules(images, ram):
    """(address, contents, names) for each granule of RAM with an image."""
    found = {}
    for image in images:
        for ipa in range(image.base - image.base % PAGE, image.top, PAGE):
            if any(base <= ipa < top for base, top in ram):
                found.setdefault(ipa, []).append(image)
    for ipa, here in sorted(found.items()):
        contents = bytearray(PAGE)
        for image in here:
            begin = max(ipa, image.base)
            part = image.data[begin - image.base:ipa + PAGE - image.base]
            contents[begin - ipa:begin - ipa + len(part)] = part
        yield ipa, bytes(contents), ' and '.join(i.name for i in here)


# ---- The policy of migrations: its section in realm-migration-stream.rst ----

POLICY = struct.Struct('<IIII32sQ8s832s896s')
POLICY_VERSION = 2
COMPACT, SECURED, IMPLEMENTATION, ANY_LIFE_CYCLE = 1, 2, 4, 8
FEATURE_COMPACT = 1
ANCHOR = struct.Struct('<B7x96s')
ANCHOR_KEY, ANCHOR_AUTHORITY = 1, 2
RULE = struct.Struct('<BB6x24s64s4I')
RULE_SIGNER, RULE_MEASUREMENT = 1, 2


def pack_policy(flags=0, required=0, implementation=b'', anchors=(), rules=()):
    """anchors: (kind, point); rules: (kind, type, value, version)."""
    return POLICY.pack(
        POLICY_VERSION, flags, len(anchors), len(rules), implementation,
        required, b'', b''.join(ANCHOR.pack(*anchor) for anchor in anchors),
        b''.join(RULE.pack(kind, len(value), name, value, *version)
                 for kind, name, value, version in rules))
