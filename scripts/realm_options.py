"""What QEMU's options say of a Realm's beginning.

Reads a command line of qemu-system-aarch64 and says which parameters, images
and registers the Realm starts with: facts about the virt board and about how
it places a kernel. An option that could change the measurement in a way that
is not known here is refused.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import gzip
import json
import os
import re
import shlex
import struct
import subprocess
import tempfile
import zlib
from dataclasses import dataclass, field

import libfdt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import realm_measurement as rm
from realm_measurement import Image, MeasurementError

RAM_BASE = 0x40000000
FLASH_SIZE = 0x8000000          # at 0: where -bios is loaded
BLOCK = 0x200000
FIRST_INITRD = 0x8000000        # from the beginning of RAM, if that is large
LOADER_SIZE = 0x1000
TREE_SIZE = 0x100000            # of one that QEMU makes
ELF = b'\x7fELF'
MAX_FILE = 1 << 30

# CPU: counters of its PMU, longest vector in units of 128 bits. All of them
# have 6 breakpoints and 4 watchpoints.
CPUS = {
    'max': (6, 16), 'cortex-a35': (6, 0), 'cortex-a53': (6, 0),
    'cortex-a55': (6, 0), 'cortex-a57': (6, 0), 'cortex-a72': (6, 0),
    'cortex-a76': (6, 0), 'cortex-a710': (20, 1), 'neoverse-n1': (6, 0),
    'neoverse-n2': (6, 1), 'neoverse-v1': (6, 2), 'a64fx': (8, 4),
}
NUM_BPS, NUM_WPS = 5, 3         # minus one

# Options with a value, by what they can change.
# The measurement, and this file knows how:
KNOWN = {'M', 'machine', 'object', 'cpu', 'kernel', 'initrd', 'append', 'bios',
         'dtb', 'device', 'accel'}
# At most the device tree, which comes from QEMU:
PASSED = {'m', 'smp', 'serial', 'parallel', 'chardev', 'netdev', 'nic', 'net',
          'drive', 'blockdev', 'fsdev', 'virtfs', 'audiodev', 'audio', 'tpmdev',
          'rtc', 'uuid', 'smbios', 'acpitable', 'fw_cfg', 'boot', 'hda', 'hdb',
          'cdrom', 'usbdevice', 'L', 'iscsi', 'vga', 'global', 'name', 'numa',
          'mem-path'}
# Nothing of the machine:
LEFT_OUT = {'monitor', 'qmp', 'qmp-pretty', 'mon', 'display', 'vnc', 'spice',
            'pidfile', 'incoming', 'gdb', 'D', 'd', 'dfilter', 'trace', 'msg',
            'action', 'watchdog-action', 'sandbox', 'run-with', 'echr',
            'overcommit', 'seed', 'k', 'compat'}
# Options without a value, in the same classes:
PASSED_FLAGS = {'nodefaults', 'no-user-config', 'usb', 'mem-prealloc'}
LEFT_OUT_FLAGS = {'nographic', 'S', 's', 'daemonize', 'no-reboot',
                  'no-shutdown', 'only-migratable'}

# Properties of the machine that change the device tree, or nothing.
MACHINE = {'type', 'confidential-guest-support', 'gic-version', 'its', 'acpi',
           'usb', 'graphics', 'memory-backend', 'dtb-randomness',
           'dtb-kaslr-seed', 'mem-merge', 'dump-guest-core', 'suppress-vmdesc',
           'phandle-start', 'dt-compatible', 'ras', 'highmem',
           'highmem-mmio-size', 'default-bus-bypass-iommu', 'x-oem-id',
           'x-oem-table-id'}
# Others by which images are named.
MACHINE_IMAGES = {'kernel': 'kernel', 'initrd': 'initrd', 'append': 'append',
                  'firmware': 'bios', 'dtb': 'dtb'}
# Features of CPUs that the measurement has no field for.
CPU_OTHER = re.compile(r'pauth(-.*)?|lpa2|cntfrq|aarch64|mp-affinity')


class Refused(MeasurementError):
    """An option of which nobody knows here what it changes."""


def parse_bool(value, what):
    if value in (True, 'on', 'yes', 'true', 'y'):
        return True
    if value in (False, 'off', 'no', 'false', 'n'):
        return False
    raise Refused(f'{what}={value} is neither on nor off')


def parse_properties(text, implied=None):
    """QEMU's a=b,c=d, with ,, for a comma in a value; or JSON."""
    if text.startswith('{'):
        try:
            return {key: value if isinstance(value, (str, bool)) else
                    json.dumps(value)
                    for key, value in json.loads(text).items()}
        except ValueError as err:
            raise Refused(f'{text}: no JSON: {err}') from err
    found = {}
    for n, word in enumerate(re.findall(r'(?:[^,]|,,)+', text)):
        key, equals, value = word.replace(',,', ',').partition('=')
        if not equals:
            key, value = (implied, key) if implied and not n else (key, 'on')
        found[key] = value
    return found


def read_file(path, what):
    try:
        if os.path.getsize(path) > MAX_FILE:
            raise Refused(f'{what}: {path} has more than {MAX_FILE} bytes')
        with open(path, 'rb') as file:
            return file.read()
    except OSError as err:
        raise Refused(f'{what}: {path}: {err.strerror}; give a path to the '
                      'file that QEMU loads') from err


@dataclass
class Options:
    """A command line, taken apart."""
    machine: dict = field(default_factory=dict)
    guest: dict = None                  # the properties of rme-guest
    cpu: str = None
    images: dict = field(default_factory=dict)
    loaders: list = field(default_factory=list)
    passed: list = field(default_factory=list)  # to QEMU, for its device tree

    def take(self, words):
        """All options, as in a program's arguments."""
        words = iter(words)
        for word in words:
            name = re.sub('^--?', '', word)
            if not word.startswith('-') or not name:
                raise Refused(f'"{word}" is no option; a disk is given by '
                              '-drive')
            if name in PASSED_FLAGS:
                self.passed.append(word)
            elif name not in LEFT_OUT_FLAGS:
                try:
                    self.take_one(name, next(words))
                except StopIteration as err:
                    raise Refused(f'{word} needs a value') from err
        self.check()

    def take_one(self, name, value):
        if name in KNOWN:
            getattr(self, 'take_' + name, self.take_image)(value, name)
        elif name in PASSED:
            self.check_passed(name, value)
        elif name not in LEFT_OUT:
            raise Refused(f'-{name}: it is not known here whether this option '
                          'changes the measurement; leave it out')
        if name in KNOWN | PASSED:
            self.passed += ['-' + name, value]

    def check_passed(self, name, value):
        if name == 'drive' and parse_properties(value).get('if') == 'pflash':
            raise Refused('-drive if=pflash: a Realm has no flash')
        if name == 'global' and re.match(r'driver=.*cpu|[^.]*-?cpu\.|'
                                         r'virt-.*machine|loader', value):
            raise Refused(f'-global {value}: give it to -cpu, -machine or '
                          '-device')
        if name == 'mem-path' and os.path.isfile(value):
            raise Refused(f'-mem-path {value}: what is in the file becomes a '
                          'part of the pages with images; give a folder')

    def take_image(self, value, name):
        self.images[name] = value

    def take_machine(self, value, _):
        for key, given in parse_properties(value, 'type').items():
            if key in MACHINE_IMAGES:
                self.images[MACHINE_IMAGES[key]] = given
            else:
                self.machine[key] = given

    take_M = take_machine

    def take_accel(self, value, _):
        self.machine['accel'] = parse_properties(value, 'accel')['accel']

    def take_cpu(self, value, _):
        self.cpu = value

    def take_object(self, value, _):
        given = parse_properties(value, 'qom-type')
        if given.get('qom-type') == 'rme-guest':
            if self.guest is not None:
                raise Refused('-object rme-guest: a machine is one Realm')
            self.guest = given
        elif given.get('qom-type') == 'memory-backend-file' and \
                os.path.isfile(given.get('mem-path', '')):
            self.check_passed('mem-path', given['mem-path'])

    def take_device(self, value, _):
        given = parse_properties(value, 'driver')
        if given.get('driver') == 'guest-loader':
            raise Refused('-device guest-loader: not known here; use loader')
        if given.get('driver') == 'loader':
            self.loaders.append(given)

    def check(self):
        for key, value in self.machine.items():
            self.check_machine(key, value)
        if not re.fullmatch(r'virt(-[0-9.]+)?', self.machine.get('type', '')):
            raise Refused(f'-M {self.machine.get("type")}: a Realm is a '
                          'machine of the type virt')
        name = self.machine.get('confidential-guest-support')
        if self.guest is None or self.guest.get('id') != name:
            raise Refused('this is no Realm; give -M virt,confidential-guest-'
                          'support=ID and -object rme-guest,id=ID')

    def check_machine(self, key, value):
        if key == 'accel':
            if value.split(':')[0] != 'tcg':
                raise Refused(f'accelerator {value}: its kernel and RMM choose '
                              'what is measured; only tcg is known here')
        elif key in ('virtualization', 'secure'):
            if parse_bool(value, key):
                raise Refused(f'-M {key}=on: a Realm has neither EL2 nor EL3')
        elif key == 'iommu':
            if value != 'none':
                raise Refused(f'-M iommu={value}: a Realm has no SMMU')
        elif key == 'mte':
            mine = parse_bool(self.guest.get('mte', 'off'), 'mte') \
                if self.guest else None
            if mine is not None and mine != parse_bool(value, key):
                raise Refused('mte: give rme-guest what -machine has')
        elif key not in MACHINE:
            raise Refused(f'-M {key}={value}: it is not known here whether '
                          'this changes the measurement; leave it out')

    # ---- What is measured of the CPUs ----

    def params(self, ipa_bits):
        """RmiRealmParams."""
        model, features = self.cpu_features()
        if model not in CPUS:
            raise Refused(f'-cpu {model}: its numbers of counters and its '
                          f'vectors are not known here, but those of '
                          f'{", ".join(CPUS)} are')
        counters, longest = CPUS[model]
        params = rm.Params(s2sz=ipa_bits, num_bps=NUM_BPS, num_wps=NUM_WPS)
        vector = sve_vector(features, longest)
        if vector:
            params.flags |= rm.SVE
            params.sve_vl = vector - 1
        if parse_bool(features.pop('pmu', False), 'pmu'):
            params.flags |= rm.PMU
            params.pmu_num_ctrs = counters
        for name in features:
            if not CPU_OTHER.fullmatch(name):
                raise Refused(f'-cpu {name}: it is not known here whether this '
                              'changes the measurement; leave it out')
        algorithm = self.guest.get('measurement-algorithm', 'sha512')
        if algorithm not in rm.ALGORITHMS:
            raise Refused(f'measurement-algorithm={algorithm}: give one of '
                          f'{", ".join(rm.ALGORITHMS)}')
        params.hash_algo = rm.ALGORITHMS.index(algorithm)
        params.ext_flags = rm.MIGRATION * self.is_on('migration') | \
            rm.MTE * self.is_on('mte')
        return params

    def cpu_features(self):
        model, *words = (self.cpu or 'max').split(',')
        features = {}
        for word in words:
            key, equals, value = word.partition('=')
            if key[:1] in '+-':
                key, value = key[1:], key[0] == '+'
            features[key] = value if equals or value != '' else 'on'
        return model, features

    def is_on(self, name):
        return parse_bool(self.guest.get(name, 'off'), name)

    # ---- The policy of migrations ----

    POLICY = {'migration', 'migration-compact', 'migration-life-cycle',
              'migration-implementation', 'migration-trust-anchors',
              'migration-rules'}
    OTHER = {'qom-type', 'id', 'convert-in-place', 'kvm-abi',
             'measurement-algorithm', 'measurement-log', 'mte',
             'personalization-value'}

    def policy(self):
        """The bytes of it, or None: the Realm may not migrate."""
        given = self.guest
        for name in given:
            if name not in self.POLICY | self.OTHER:
                raise Refused(f'rme-guest: {name} is not known here')
        if not self.is_on('migration'):
            if set(given) & self.POLICY - {'migration'}:
                raise Refused('rme-guest: migration-* is for migration=on')
            return None
        compact = given.get('migration-compact', 'off')
        cycle = given.get('migration-life-cycle', 'platform')
        try:
            flags = {'off': 0, 'on': rm.COMPACT, 'required': rm.COMPACT}[
                compact] | {'platform': 0, 'secured': rm.SECURED,
                            'any': rm.ANY_LIFE_CYCLE}[cycle]
            platform = bytes.fromhex(given.get('migration-implementation', ''))
        except (KeyError, ValueError) as err:
            raise Refused(f'rme-guest: migration policy: {err}') from err
        if platform and len(platform) != 32:
            raise Refused('rme-guest: migration-implementation has 64 digits')
        return rm.pack_policy(
            flags | (rm.IMPLEMENTATION if platform else 0),
            rm.FEATURE_COMPACT if compact == 'required' else 0, platform,
            read_anchors(given.get('migration-trust-anchors')),
            read_rules(given.get('migration-rules')))

    # ---- What is loaded ----

    def kernel(self):
        """The one that QEMU itself loads. Firmware finds it in fw_cfg."""
        path = self.images.get('kernel')
        return read_file(path, '-kernel') if path and \
            'bios' not in self.images else None

    def start(self, ram, tree):
        """The images, and where the first vCPU starts."""
        kernel, firmware = self.kernel(), self.images.get('bios')
        images, pc, place = [], 0, RAM_BASE
        if firmware:
            images = [Image('firmware', 0, read_file(firmware, '-bios'))]
        elif kernel and kernel.startswith(ELF):
            images, pc = elf_images(kernel)
        elif kernel:
            images, pc, place = direct_boot(kernel, self.images.get('initrd'),
                                            ram[-1])
        if len(tree) <= self.tree_room():
            images.append(Image('device tree', place, tree))
        images += map(loader_image, self.loaders)
        check_overlap(images)
        return images, pc


    def tree_room(self):
        """The bytes for a device tree below an ELF file; else no limit."""
        kernel = self.kernel() or b''
        if not kernel.startswith(ELF):
            return MAX_FILE
        lowest = min(image.base for image in elf_images(kernel)[0])
        if lowest <= RAM_BASE:
            raise Refused('-kernel: an ELF file that does not begin behind the '
                          'first bytes of RAM')
        return lowest - RAM_BASE

    def for_tree(self):
        """The options that make QEMU's device tree. Where QEMU 10.0 has no
        room for it, it crashes when it dumps it, and does not load it; what is
        needed of it is in one without a kernel, too."""
        if self.tree_room() >= TREE_SIZE or 'dtb' in self.images:
            return self.passed
        pairs = zip(self.passed, self.passed[1:] + [''])
        skip = {n + i for n, (word, _) in enumerate(pairs) for i in (0, 1)
                if word in ('-kernel', '-initrd', '-append')}
        return [word for n, word in enumerate(self.passed) if n not in skip]


def sve_vector(features, model_longest):
    """The longest vector in units of 128 bits; 0: no SVE."""
    wanted = parse_bool(features.pop('sve', False), 'sve')
    longest = int(features.pop('sve-max-vq', 0))
    lengths = {name: parse_bool(features.pop(name), name)
               for name in list(features) if re.fullmatch(r'sve\d+', name)}
    enabled = [int(name[3:]) // 128 for name, on in lengths.items() if on]
    if lengths and not enabled and not longest:
        raise Refused('-cpu sve<N>=off: give the longest vector instead, with '
                      'sve-max-vq or sve<N>=on')
    if not (wanted or longest or enabled):
        return 0
    return longest or max(enabled, default=model_longest)


def read_anchors(path):
    if path is None:
        return []
    anchors = []
    data = read_file(path, 'migration-trust-anchors')
    for pem, kind in re.findall(
            rb'(-----BEGIN ([A-Z0-9 ]+)-----\n.*?\n-----END [^\n]*)', data,
            re.S):
        try:
            anchors.append(anchor(pem + b'\n', kind))
        except (ValueError, AttributeError) as err:
            raise Refused(f'migration-trust-anchors: {path}: {err}') from err
    if not 0 < len(anchors) <= 8:
        raise Refused(f'migration-trust-anchors: {path} has {len(anchors)} '
                      'keys; give 1 to 8')
    return anchors


def anchor(pem, kind):
    authority = False
    if kind == b'CERTIFICATE':
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
        authority = may_sign(certificate)
    else:
        key = serialization.load_pem_public_key(pem)
    numbers = key.public_numbers()
    if not isinstance(key.curve, ec.SECP384R1):
        raise ValueError('a key is not on P-384')
    return (rm.ANCHOR_AUTHORITY if authority else rm.ANCHOR_KEY,
            numbers.x.to_bytes(48, 'big') + numbers.y.to_bytes(48, 'big'))


def may_sign(certificate):
    def value(kind):
        try:
            return certificate.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None
    constraints, usage = value(x509.BasicConstraints), value(x509.KeyUsage)
    return bool(constraints and constraints.ca and
                (usage is None or usage.key_cert_sign))


def read_rules(path):
    if path is None:
        return []
    rules = []
    text = read_file(path, 'migration-rules').decode(errors='replace')
    for n, line in enumerate(text.split('\n'), 1):
        try:
            words = shlex.split(line, comments=True)
            if words:
                rules.append(rule(*words))
        except (TypeError, ValueError) as err:
            raise Refused(f'migration-rules: {path}, line {n}: {err}') from err
    if not 0 < len(rules) <= 8:
        raise Refused(f'migration-rules: {path} has {len(rules)} rules; give '
                      '1 to 8')
    return rules


def rule(kind, name, value, *rest):
    kinds = {('signer', 2): rm.RULE_SIGNER,
             ('measurement', 0): rm.RULE_MEASUREMENT}
    if (kind, len(rest)) not in kinds or (rest and rest[0] != '>='):
        raise ValueError('this is no rule')
    version = [int(n) for n in rest[1].split('.')] if rest else []
    if len(version) > 4 or len(name.encode()) > 23:
        raise ValueError('a version or a type is too long')
    return (kinds[kind, len(rest)], b'' if name == '*' else name.encode(),
            bytes.fromhex(value), version + [0] * (4 - len(version)))


# ---- Images ----

def up(address, size):
    return address + -address % size


def direct_boot(kernel, initrd, ram):
    """Without firmware: images, first instruction, place of the tree."""
    base, top = ram
    kernel = unpack_kernel(kernel)
    entry, end = base + 0x80000, None
    if kernel[56:60] == b'ARM\x64':
        offset, size = struct.unpack_from('<2Q', kernel, 8)
        if size:
            entry = base + offset + (BLOCK if offset < LOADER_SIZE else 0)
            end = entry + size
    end = end or entry + len(kernel)
    images = [Image('kernel', entry, kernel)]
    place = up(max(base + min((top - base) // 2, FIRST_INITRD), end), 4096)
    if initrd is not None:
        data = read_file(initrd, '-initrd')
        if data.startswith(b'\x27\x05\x19\x56'):
            raise Refused('-initrd: a U-Boot image; take its header off')
        images.append(Image('initrd', place, data))
        place += len(data)
    tree = up(place, BLOCK)
    if tree >= top:
        raise Refused('the images do not fit into RAM')
    images.append(Image('boot loader', base, boot_loader(tree, entry)))
    return images, base, tree


def boot_loader(tree, entry):
    """X0: the device tree, X1 to X3: 0, then to the kernel."""
    return struct.pack('<6I2Q', 0x580000c0, 0xaa1f03e1, 0xaa1f03e2, 0xaa1f03e3,
                       0x58000084, 0xd61f0080, tree, entry)


def unpack_kernel(data):
    """What is compressed with gzip, alone or in an EFI program."""
    try:
        if data.startswith(b'\x1f\x8b'):
            return gzip.decompress(data)
        if data[:2] == b'MZ' and data[4:8] == b'zimg':
            offset, size = struct.unpack_from('<2I', data, 8)
            if data[24:56].rstrip(b'\0') != b'gzip':
                raise Refused('-kernel: an EFI zboot image that is not '
                              'compressed with gzip')
            return gzip.decompress(data[offset:offset + size])
    except (OSError, EOFError, struct.error, zlib.error) as err:
        raise Refused(f'-kernel: cannot unpack it: {err}') from err
    if data.startswith(b'\x27\x05\x19\x56'):
        raise Refused('-kernel: a U-Boot image; give the kernel in it')
    return data


def elf_images(data):
    """Segments to load, and the first instruction."""
    try:
        if data[4:6] != b'\2\1' or data[18:20] != b'\xb7\0':
            raise Refused('-kernel: no ELF file of AArch64, little endian')
        entry, offset = struct.unpack_from('<2Q', data, 24)
        size, number = struct.unpack_from('<2H', data, 54)
        images = []
        for n in range(number):
            kind, _, at, _, place, stored, taken, _ = struct.unpack_from(
                '<2I6Q', data, offset + n * size)
            if kind == 1 and stored:        # else nothing is loaded
                images.append(Image(f'kernel segment {n}', place,
                                    data[at:at + stored], taken))
    except struct.error as err:
        raise Refused('-kernel: an ELF file that ends too early') from err
    if not images:
        raise Refused('-kernel: an ELF file without a segment to load')
    return images, entry


def loader_image(given):
    if 'file' not in given or 'addr' not in given or 'cpu-num' in given:
        raise Refused('-device loader: only file= and addr= are known here, '
                      'and a Realm gets no data=')
    data = read_file(given['file'], '-device loader')
    if not parse_bool(given.get('force-raw', 'off'), 'force-raw') and \
            data[:4] in (b'\x7fELF', b'\x27\x05\x19\x56') or data[:1] == b':':
        raise Refused('-device loader: a file with addresses of its own; give '
                      'force-raw=on, or its bytes alone')
    try:
        return Image('loader', int(given['addr'], 0), data)
    except ValueError as err:
        raise Refused(f'-device loader: {err}') from err


def check_overlap(images):
    ordered = sorted(images, key=lambda image: image.base)
    for low, high in zip(ordered, ordered[1:]):
        if low.top > high.base:
            raise Refused(f'{low.name} and {high.name} overlap at '
                          f'{high.base:#x}')


# ---- The device tree ----

class Tree:
    """What a device tree says of the board."""

    def __init__(self, data):
        try:
            self.fdt = libfdt.FdtRo(data)
            if self.fdt.totalsize() > len(data):
                raise Refused('the device tree is cut off')
            if b'\0rng-seed\0' in data:
                raise Refused('the device tree has an rng-seed, which QEMU '
                              'fills with random bytes; leave it out')
            self.cells = [int.from_bytes(self.fdt.getprop(0, name), 'big')
                          for name in ('#address-cells', '#size-cells')]
            self.memory = [numbers for node in self.nodes('/', 'memory')
                           for numbers in self.numbers(node, 'reg',
                                                       self.cells)]
            # Of a window of PCI: its address there, ours, its size.
            self.windows = [(numbers[1], numbers[2])
                            for node in self.nodes('/', 'pcie@')
                            for numbers in self.numbers(
                                node, 'ranges', [3, self.cells[0], 2])]
            self.log = [numbers for node in self.nodes('/reserved-memory',
                                                       'event-log@')
                        for numbers in self.numbers(node, 'reg', [2, 2])]
        except libfdt.FdtException as err:
            raise Refused(f'the device tree cannot be read: {err}') from err

    def log_base(self, size):
        """Where QEMU has put the measurement log."""
        if len(self.log) != 1 or self.log[0][1] != size:
            raise Refused('the device tree does not say where the measurement '
                          f'log of {size} bytes is')
        return self.log[0][0]

    def nodes(self, path, prefix):
        quiet = (libfdt.NOTFOUND,)
        parent = self.fdt.path_offset(path, quiet)
        node = self.fdt.first_subnode(parent, quiet) if parent >= 0 else -1
        while node >= 0:
            if self.fdt.get_name(node).startswith(prefix):
                yield node
            node = self.fdt.next_subnode(node, quiet)

    def numbers(self, node, name, cells):
        """The property's entries, each as numbers of so many cells."""
        data = bytes(self.fdt.getprop(node, name))
        if not sum(cells) or len(data) % (4 * sum(cells)):
            raise Refused(f'the device tree has a bad {name}')
        while data:
            entry = []
            for size in cells:
                entry.append(int.from_bytes(data[:4 * size], 'big'))
                data = data[4 * size:]
            yield entry

    def ram(self, firmware):
        """[(base, top)], ascending, the RAM of firmware first."""
        if len(self.memory) != 1 or self.memory[0][0] != RAM_BASE:
            raise Refused('the device tree has not one range of memory at '
                          f'{RAM_BASE:#x}; a Realm has no NUMA nodes')
        ranges = [(0, FLASH_SIZE)] if firmware else []
        return ranges + [(RAM_BASE, RAM_BASE + self.memory[0][1])]


def ipa_bits(tree, machine):
    """The width of the Realm's addresses: half of them for the board."""
    highest = max((base + size for base, size in tree.windows), default=0)
    if parse_bool(machine.get('highmem', 'on'), 'highmem'):
        if highest <= 1 << 32:
            raise Refused('the device tree does not show the highest address '
                          'of the board; give --ipa-width, as query-realm has '
                          'it')
    else:
        highest = up(sum(tree.memory[0]), 1 << 30)
    return max((highest - 1).bit_length() + 1, 32)


def dump_tree(qemu, options):
    """The device tree that QEMU makes for the options. QEMU builds the board,
    writes the file and ends: no vCPU runs and no Realm exists."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'tree')
        command = [qemu, *options.for_tree(), '-display', 'none',
                   '-machine', f'dumpdtb={path.replace(",", ",,")}']
        try:
            result = subprocess.run(command, stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, timeout=60,
                                    check=False)
        except OSError as err:
            raise Refused(f'{qemu}: {err.strerror}; name the program with '
                          '--qemu, or give the device tree with --dtb'
                          ) from err
        except subprocess.TimeoutExpired as err:
            raise Refused('QEMU does not end; give the device tree with --dtb'
                          ) from err
        if result.returncode or not os.path.exists(path):
            raise Refused('QEMU makes no device tree for this command line: '
                          f'{result.stderr.strip()}')
        return read_file(path, 'dumpdtb')
