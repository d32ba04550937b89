# Tests of the folder of libraries for another architecture.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from buildenv import sysroot
from buildenv.common import Failure


class Sysroot(unittest.TestCase):
    def setUp(self):
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def unpacked(self, *names):
        """Files as packages would have them."""
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    def test_libraries_are_those_of_the_program(self):
        names = sysroot.libraries()
        self.assertIn('libglib2.0-dev', names)      # QEMU and the RMM library
        self.assertIn('nettle-dev', names)          # the RMM library
        for name in ('dpkg-dev', 'libclang-rt-dev', 'libjson-glib-dev'):
            self.assertNotIn(name, names)

    def test_absolute_links_lead_into_the_folder(self):
        self.unpacked('lib/here/libz.so.1', 'usr/lib/here/libz.a')
        link = self.root / 'usr/lib/here/libz.so'
        link.symlink_to('/lib/here/libz.so.1')
        sysroot.mend(self.root)
        self.assertEqual(link.read_text(), 'lib/here/libz.so.1')

    def test_relative_links_and_files_are_left(self):
        self.unpacked('usr/lib/here/libz.so.1', 'usr/lib/here/libc.so')
        link = self.root / 'usr/lib/here/libz.so'
        link.symlink_to('libz.so.1')
        sysroot.mend(self.root)
        self.assertEqual(str(link.readlink()), 'libz.so.1')
        self.assertFalse((self.root / 'usr/lib/here/libc.so').is_symlink())

    def test_a_merged_usr_has_lib(self):
        self.unpacked('usr/lib/here/libz.so.1')
        sysroot.mend(self.root)
        self.assertTrue((self.root / 'lib/here/libz.so.1').exists())

    def test_other_packages_are_unpacked_anew(self):
        unpacked = []

        def unpack(files, root):
            unpacked.append([file.name for file in files])
            root.mkdir(parents=True, exist_ok=True)
            names = [file.name for file in files]
            (root / '.debs').write_text('\n'.join(names) + '\n')

        root = self.root / 'sysroot'
        for names in (['a.deb'], ['a.deb'], ['a.deb', 'b.deb']):
            with mock.patch.object(sysroot, 'with_dependencies',
                                   lambda *_: [Path(name) for name in names]), \
                 mock.patch.object(sysroot, 'unpack', unpack):
                sysroot.provide('arm64', root)
        self.assertEqual(unpacked, [['a.deb'], ['a.deb', 'b.deb']])

    def test_an_unknown_architecture_is_refused(self):
        with self.assertRaisesRegex(Failure, '--arch vax: not known'):
            sysroot.provide('vax', self.root)


if __name__ == '__main__':
    unittest.main()
