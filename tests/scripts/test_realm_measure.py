# What realm-measure computes without QEMU: the RIM of calls, what options
# load, and the replay of a log
#
# The RIMs are those that TF-RMM gave for the same calls.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import gzip
import hashlib
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / 'scripts'), str(TOP / 'tests/protocol')]

import libfdt
import policy
import realm_log as rl
import realm_measurement as rm
import realm_options as ro
from realm_measurement import Image, MeasurementError, Params, Rim

RAM = ro.RAM_BASE
REALM = ['-M', 'virt,confidential-guest-support=r', '-object',
         'rme-guest,id=r']


class Measurement(unittest.TestCase):
    def rim(self, **given):
        return Rim(Params(**{'s2sz': 48, 'num_bps': 1, 'num_wps': 1, **given}))

    def test_parameters(self):
        for s2sz, rim in (
                (48, '6739dfb22b75ee1268d08dfa8369f501'
                     'bc0b066243553f069f560d1fa1172973'),
                (40, '045cb3602843a6845cb710fbbfbb92f0'
                     'c7d611afe0106ac2953e46950a70c42b')):
            self.assertEqual(self.rim(s2sz=s2sz).value.hex(), rim)

    def test_one_page_and_a_rec(self):
        rim = self.rim()
        rim.ripas(0x1000, 0x2000)
        self.assertEqual(rim.value.hex(), 'a94263b10417ac8dfa0692bd3fe944eb'
                                          '2566303fd73985e40d4ba5efa7934c7a')
        rim.rec(rm.RUNNABLE, 0x5555555611a5)
        self.assertEqual(rim.value.hex(), 'dee75b9f0dd2babb129640b4156868a4'
                                          '1336a75aeb1e40d4b3366eab1555191c')

    def test_pages_blocks_and_data(self):
        rim = self.rim()
        rim.ram([(0, 0x3000)], 48)
        self.assertEqual(rim.value.hex(), '3fa77e94054f9bfdae2b8ab60493c462'
                                          '7965fd526528bf23d98d27cd3fac9a7b')
        rim.ram([(0x200000, 0x600000)], 48)
        self.assertEqual(rim.value.hex(), '06ccb82de62c93966924d14702449aeb'
                                          '8dbceef27a5ef74ac631ad9c2752eeec')
        rim.data(0x1000, b'\x5a' * 4096)
        self.assertEqual(rim.value.hex(), 'ae6dcf8adb434fc997ddb28105d93436'
                                          'c8603c4c636e2fa2bb1c22e3e3f75436')
        rim.unmeasured('log', 0x3000, 0x1000)
        self.assertEqual(rim.value.hex(), '38e853dd4cb6c3dbe1d4b90179cbdcf4'
                                          '48b2cd36e575565db3031d973d952302')
        self.assertEqual(rim.steps[-1].rim, rim.value.hex())

    def test_sha512_is_another_measurement(self):
        self.assertEqual(len(self.rim(hash_algo=1).value), 64)
        self.assertRaises(MeasurementError, self.rim, hash_algo=2)

    def test_entries_are_as_large_as_they_can_be(self):
        giga, mega = 1 << 30, 1 << 20

        def sizes(base, top, bits=41):
            return [top - base for base, top in
                    rm.ripas_entries(base, top, bits)]
        self.assertEqual(sizes(giga, 3 * giga), 2 * [giga])
        self.assertEqual(sizes(giga, 2 * giga + 4 * mega), [giga] +
                         2 * [2 * mega])
        self.assertEqual(sizes(giga, giga + 2 * mega + 4096), [2 * mega, 4096])
        self.assertEqual(sizes(giga - 4096, giga + 4096), [4096, 4096])
        # 512 GiB and 48 bits: a table of level 0
        self.assertEqual(sizes(0, 512 * giga, 48), [512 * giga])
        self.assertEqual(sizes(0, 512 * giga, 43), 512 * [giga])

    def test_a_granule_has_all_images_in_it(self):
        images = [Image('b', 0x1800, b'b' * 0x900), Image('a', 0xffe, b'a' * 4),
                  Image('c', 0x9000, b'c', 0x1001)]
        found = list(rm.granules(images, [(0x1000, 0x9fff)]))
        self.assertEqual([(ipa, names) for ipa, _, names in found],
                         [(0x1000, 'b and a'), (0x2000, 'b'), (0x9000, 'c')])
        self.assertEqual(found[0][1], b'aa' + bytes(0x7fe) + b'b' * 0x800)
        self.assertEqual(found[2][1], b'c' + bytes(4095))

    def test_the_policy_is_that_of_the_text(self):
        point = ro.ec.derive_private_key(
            5, ro.ec.SECP384R1()).public_key().public_numbers()
        point = point.x.to_bytes(48, 'big') + point.y.to_bytes(48, 'big')
        mine = rm.pack_policy(
            rm.IMPLEMENTATION | rm.COMPACT, 1, b'i' * 32,
            [(rm.ANCHOR_KEY, point)],
            [(rm.RULE_SIGNER, b'RMM', b's' * 48, [1, 2, 0, 0])])
        theirs = policy.Policy.make(
            policy.IMPLEMENTATION | policy.COMPACT,
            [policy.Anchor(policy.KEY, point)],
            [policy.Rule(policy.SIGNER, b's' * 48, b'RMM', (1, 2, 0, 0))],
            b'i' * 32, 1)
        self.assertEqual(mine, theirs.blob)
        self.assertEqual(rm.pack_policy(), policy.Policy().blob)
        rim = self.rim()
        wanted = theirs.extend(rim.value, 0)
        rim.policy(mine)
        self.assertEqual(rim.value.ljust(64, b'\0'), wanted)


class Options(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def file(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def options(self, *words):
        options = ro.Options()
        options.take([*REALM, *words])
        return options

    def test_what_is_not_known_is_refused(self):
        for words in (['-frobnicate', 'x'], ['-M', 'frob=on'], ['x'], ['-m'],
                      ['-M', 'secure=on'], ['-M', 'iommu=smmuv3'],
                      ['-accel', 'kvm'], ['-M', 'accel=kvm'],
                      ['-M', 'type=sbsa-ref'], ['-M', 'mte=on'],
                      ['-drive', 'if=pflash,file=x'], ['-pflash', 'x'],
                      ['-device', 'guest-loader,addr=1'],
                      ['-global', 'arm-cpu.pmu=on'], ['-readconfig', 'x'],
                      ['-object', 'rme-guest,id=s'], ['-append']):
            with self.subTest(words), self.assertRaises(MeasurementError):
                self.options(*words)
        self.assertRaises(MeasurementError, ro.Options().take, ['-M', 'virt'])
        for cpu in ('host', 'max,frob=on', 'max,sve512=off', 'max,pmu=maybe'):
            with self.subTest(cpu), self.assertRaises(MeasurementError):
                self.options('-cpu', cpu).params(41)
        for guest in ('frob=1', 'migration-compact=on',
                      'migration=on,migration-compact=x'):
            with self.subTest(guest), self.assertRaises(MeasurementError):
                options = ro.Options()
                options.take([*REALM[:3], REALM[3] + ',' + guest])
                options.policy()

    def test_what_changes_nothing_is_not_given_to_qemu(self):
        options = self.options('-S', '-qmp', 'unix:x', '-m', '2G', '-display',
                               'gtk', '-nodefaults')
        self.assertEqual(options.passed,
                         [*REALM, '-m', '2G', '-nodefaults'])

    def test_values_as_qemu_reads_them(self):
        self.assertEqual(ro.parse_properties('virt,a=b,,c,d', 'type'),
                         {'type': 'virt', 'a': 'b,c', 'd': 'on'})
        self.assertEqual(ro.parse_properties('{"a": true, "b": 3}'),
                         {'a': True, 'b': '3'})

    def test_cpus(self):
        for cpu, wanted in {
                'max': (0, 0, 0), 'max,sve=on': (rm.SVE, 15, 0),
                'max,sve-max-vq=4,pmu=on': (rm.SVE | rm.PMU, 3, 6),
                'max,sve256=on,sve128=on': (rm.SVE, 1, 0),
                'cortex-a710,pmu=on': (rm.PMU, 0, 20),
                'a64fx,sve=on,pauth=off': (rm.SVE, 3, 0)}.items():
            params = self.options('-cpu', cpu).params(41)
            self.assertEqual((params.flags, params.sve_vl,
                              params.pmu_num_ctrs), wanted, cpu)
            self.assertEqual((params.s2sz, params.num_bps, params.num_wps,
                              params.hash_algo), (41, 5, 3, 1))

    def start(self, kernel, initrd=b'', size=1 << 30):
        words = ['-kernel', self.file('Image', kernel)]
        if initrd:
            words += ['-initrd', self.file('initrd', initrd)]
        images, pc = self.options(*words).start([(RAM, RAM + size)], b'tree')
        return {image.name: image for image in images}, pc

    def test_where_a_kernel_goes(self):
        kernel = bytearray(0x1000)
        struct.pack_into('<2Q', kernel, 8, 0, 0x1800000)
        kernel[56:60] = b'ARM\x64'
        for data in (bytes(kernel), gzip.compress(kernel)):
            images, pc = self.start(data, b'i' * 5000)
            self.assertEqual({name: image.base - RAM
                              for name, image in images.items()},
                             {'kernel': 0x200000, 'initrd': 0x8000000,
                              'device tree': 0x8200000, 'boot loader': 0})
            self.assertEqual(images['kernel'].data, kernel)
            self.assertEqual(pc, RAM)
            self.assertEqual(struct.unpack('<2Q', images['boot loader'].data
                                           [24:]), (RAM + 0x8200000,
                                                    RAM + 0x200000))
        small, _ = self.start(bytes(kernel), b'i', 64 << 20)
        self.assertEqual(small['initrd'].base - RAM, 32 << 20)
        struct.pack_into('<2Q', kernel, 8, 0x80000, 0x10000000)
        large, _ = self.start(bytes(kernel))
        self.assertEqual(large['kernel'].base - RAM, 0x80000)
        self.assertEqual(large['device tree'].base - RAM, 0x10200000)
        old, _ = self.start(bytes(100))
        self.assertEqual(old['kernel'].base - RAM, 0x80000)

    def test_images_that_are_not_known_are_refused(self):
        for kernel in (b'\x27\x05\x19\x56' + bytes(60), b'\x1f\x8bx',
                       b'\x7fELF' + bytes(4), b'\x7fELF',
                       b'MZ\0\0zimg' + bytes(60)):
            with self.subTest(kernel), self.assertRaises(MeasurementError):
                self.start(kernel)
        loader = f'loader,file={self.file("x", b"x" * 9)},addr='
        with self.assertRaisesRegex(MeasurementError, 'overlap'):
            self.options('-device', loader + '0x40000003').start(
                [(RAM, RAM + (1 << 30))], bytes(100))

    def test_anchors_and_rules(self):
        key = ro.ec.derive_private_key(7, ro.ec.SECP384R1()).public_key()
        pem = key.public_bytes(
            ro.serialization.Encoding.PEM,
            ro.serialization.PublicFormat.SubjectPublicKeyInfo)
        (kind, point), again = ro.read_anchors(self.file('a', pem + pem))
        self.assertEqual((kind, len(point)), (rm.ANCHOR_KEY, 96))
        self.assertEqual((kind, point), again)
        rules = ro.read_rules(self.file('r', b'# none\nsigner "a b" ' +
                                        b'11' * 32 + b' >= 1.2 # x\n'
                                        b'measurement * ' + b'22' * 64))
        self.assertEqual(rules, [
            (rm.RULE_SIGNER, b'a b', b'\x11' * 32, [1, 2, 0, 0]),
            (rm.RULE_MEASUREMENT, b'', b'\x22' * 64, [0, 0, 0, 0])])
        for bad in (b'', b'signer x\n', b'signer x 11 > 1\n', pem[:40]):
            self.assertRaises(MeasurementError, ro.read_anchors,
                              self.file('a', bad))
            self.assertRaises(MeasurementError, ro.read_rules,
                              self.file('r', bad))


def make_tree(memory=1 << 30, log=False):
    fdt = libfdt.FdtSw()
    fdt.finish_reservemap()
    with fdt.add_node(''):
        fdt.property_u32('#address-cells', 2)
        fdt.property_u32('#size-cells', 2)
        with fdt.add_node('memory@40000000'):
            fdt.property('reg', struct.pack('>2Q', RAM, memory))
        with fdt.add_node('pcie@10000000'):
            fdt.property('ranges', struct.pack(
                '>I3QI3Q', 0x2000000, 0, 0x10000000, 0x2eff0000,
                0x3000000, 1 << 39, 1 << 39, 1 << 39))
        if log:
            with fdt.add_node('reserved-memory'):
                with fdt.add_node('event-log@50000000'):
                    fdt.property('reg', struct.pack('>2Q', 0x50000000, 65536))
    fdt = fdt.as_fdt()
    return bytes(fdt.as_bytearray()[:fdt.totalsize()])


class Trees(unittest.TestCase):
    def test_what_a_tree_says(self):
        tree = ro.Tree(make_tree(log=True))
        self.assertEqual(tree.ram(False), [(RAM, RAM + (1 << 30))])
        self.assertEqual(tree.ram(True)[0], (0, 128 << 20))
        self.assertEqual(tree.log_base(65536), 0x50000000)
        self.assertEqual(ro.ipa_bits(tree, {}), 41)
        self.assertEqual(ro.ipa_bits(tree, {'highmem': 'off'}), 32)
        self.assertRaises(MeasurementError, ro.Tree(make_tree()).log_base, 1)

    def test_what_is_no_tree_is_refused(self):
        good = make_tree()
        for bad in (b'', good[:60], good[:-8], b'x' + good[1:],
                    good + b'\0rng-seed\0', make_tree().replace(
                        b'memory@', b'memor_@')):
            with self.assertRaises(MeasurementError):
                ro.Tree(bad).ram(False)

    def test_the_program_with_a_tree_from_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder, 'tree')
            tree.write_bytes(make_tree())
            Path(folder, 'options').write_text(
                '-M virt,confidential-guest-support=r  # a Realm\n')

            def run(*words):
                return subprocess.run(
                    [TOP / 'scripts/realm-measure', '--qemu', '/nonexistent',
                     '--options', Path(folder, 'options'), *words,
                     '--', *REALM[2:]], capture_output=True, text=True,
                    check=False)
            good = run('--dtb', tree, '--explain')
            self.assertEqual(good.returncode, 0, good.stderr)
            *steps, rim = good.stdout.split('\n')[:-1]
            self.assertEqual(steps[-1].strip(), rim)
            self.assertEqual([line.split()[0] for line in steps[::2]],
                             ['REALM_CREATE', 'RTT_INIT_RIPAS', 'DATA_CREATE',
                              'REC_CREATE'])
            self.assertEqual(run('--dtb', tree, '--rim', rim).returncode, 0)
            self.assertEqual(run('--dtb', tree, '--rim', '00').returncode, 1)
            bad = run()
            self.assertEqual(bad.returncode, 2)
            self.assertRegex(bad.stderr, '^realm-measure: /nonexistent: .*'
                                         '--dtb\n$')


def make_log(images, extensions=b''):
    def event(kind, data, digested=b''):
        digest = hashlib.sha256(digested).digest() if digested else bytes(32)
        return struct.pack('<3IH', 0, kind, 1, 0x0b) + digest + \
            struct.pack('<I', len(data)) + data

    def tag(number, data):
        return event(6, struct.pack('<2I', number, len(data)) + data, data)

    def blob(name, base, size, data=b''):
        return event(0x13, bytes([len(name)]) + name +
                     struct.pack('<2Q', base, size), data)
    spec = b'Spec ID Event03\0' + struct.pack('<I4BI2HB', 0, 0, 2, 106, 2, 1,
                                              0x0b, 32, 0)
    return struct.pack('<2I20xI', 0, 3, len(spec)) + spec + \
        event(3, b'VM VERSION') + \
        tag(1, struct.pack('<Q6B2x', 0, 48, 0, 1, 1, 0, 0)) + \
        (tag(0x80000001, extensions) if extensions else b'') + \
        tag(2, struct.pack('<2Q', 0, 0x10000)) + \
        b''.join(blob(b'IMAGE', base, len(data), data)
                 for base, data in images) + \
        blob(b'LOG', 0x8000, 0x2000) + \
        tag(3, struct.pack('<10Q', 1, 0x1234, *range(8)))


class Logs(unittest.TestCase):
    IMAGES = [(0x1000, b'a' * 5000), (0x4000, b'b')]

    def expected(self, flags=0, policy_bytes=None):
        rim = Rim(Params(s2sz=48, num_bps=1, num_wps=1, ext_flags=flags))
        rim.ram([(0, 0x10000)], 48)
        rim.images([Image('x', *image) for image in self.IMAGES],
                   [(0, 0x10000)])
        rim.unmeasured('log', 0x8000, 0x2000)
        rim.rec(1, 0x1234, range(8))
        if policy_bytes:
            rim.policy(policy_bytes)
        return rim.value

    def test_a_log_leads_to_the_rim(self):
        files = [data for _, data in self.IMAGES]
        log = rl.Log(make_log(self.IMAGES) + bytes(999))
        self.assertEqual(log.replay(files).value, self.expected())
        extended = struct.pack('<Q', 1) + rm.pack_policy()
        log = rl.Log(make_log(self.IMAGES, extended))
        self.assertEqual(log.replay(files).value,
                         self.expected(1, rm.pack_policy()))
        with self.assertRaisesRegex(MeasurementError, '1 bytes at 0x4000'):
            log.replay(files[:1])

    def test_any_change_is_noticed(self):
        """Refused, or another RIM; but the version of QEMU is a note."""
        good, files = make_log(self.IMAGES), [data for _, data in self.IMAGES]
        note = good.index(b'VM VERSION')
        for at in set(range(len(good))) - set(range(24, 28)):
            bad = bytearray(good)
            bad[at] ^= 1
            try:
                value = rl.Log(bytes(bad)).replay(files).value
            except MeasurementError:
                continue
            # Pads, the kind of platform, descriptions, digests of nothing
            if value == self.expected():
                self.assertTrue(
                    at < note + 10 or good[at:at + 1].isalpha() or
                    any(abs(at - good.index(word)) < 64 for word in
                        (b'LOG', b'VM VERSION')), f'{at:#x}')

    def test_what_is_cut_off_is_refused(self):
        good = make_log(self.IMAGES)
        for size in range(0, len(good) - 1, 3):
            try:
                self.assertNotEqual(rl.Log(good[:size]).replay(
                    [data for _, data in self.IMAGES]).value, self.expected())
            except MeasurementError:
                pass


if __name__ == '__main__':
    unittest.main()
