"""How the host of Realms finds its kernel, and what that kernel can do.

No machine is booted: kvm-realms runs here, on the KVM of kvm-answers.c.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import fnmatch
import gzip
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import kernel
from kernel import BuildError, Failure
from test_realm import require_realms

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
YES, NO, REFUSED, UNKNOWN = range(4)

# What kvm-realms says on each kernel of kvm-answers.c.
NO_TYPE = ('no: KVM_CREATE_VM knows no type of a Realm; newer kernels know it '
           'only if they are booted with kvm-arm.mode=rmm')
ANSWERS = {
    'no-kvm': (UNKNOWN, 'unknown: /dev/kvm: No such file or directory'),
    'mainline': (NO, NO_TYPE),
    'other-use-of-the-bit':
        (NO, 'no: VM type 0x40000000 is not that of a Realm'),
    'rme-v5': (YES, 'yes: VM type 0x100, capability 300'),
    'rme-v11': (YES, 'yes: VM type 0x100, capability 244'),
    'rmi-v12': (YES, 'yes: VM type 0x100, KVM_ARM_RMI_POPULATE'),
    'rmi-v15': (YES, 'yes: VM type 0x40000000, KVM_ARM_RMI_POPULATE'),
    'rmi-after-v15': (YES, 'yes: VM type 0x40000000, KVM_ARM_RMI_POPULATE'),
    'rmi-after-v15-in-another-mode': (NO, NO_TYPE),
    'rmi-without-rmm':
        (REFUSED, 'refused: KVM_CREATE_VM finds no RMM that it can use'),
    'rme-without-rmm':
        (REFUSED, 'refused: KVM_CREATE_VM finds no RMM that it can use'),
    'no-memory': (UNKNOWN, 'unknown: KVM_CREATE_VM: Cannot allocate memory'),
}


class ProbeTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.program = Path(folder, 'kvm-realms')
        subprocess.run(['gcc', '-O2', '-Wall', '-Werror',
                        '-I', TOP / 'linux-headers',
                        '-Wl,--wrap=open', '-Wl,--wrap=ioctl',
                        HERE / 'kvm-realms.c', HERE / 'kvm-answers.c',
                        '-o', cls.program], check=True)

    def ask(self, name):
        done = subprocess.run([self.program], text=True, capture_output=True,
                              env={'KVM_ANSWERS': name})
        return done.returncode, done.stdout.rstrip('\n')

    def test_each_kernel_is_told_from_the_others(self):
        for name, answer in ANSWERS.items():
            with self.subTest(name):
                self.assertEqual(self.ask(name), answer)


class RequirementTest(unittest.TestCase):

    def require(self, name):
        require_realms('7.9.9', *ANSWERS[name])

    def test_a_kernel_with_realms_goes_on(self):
        self.require('rmi-v15')

    def test_a_kernel_without_is_a_skip_that_names_it(self):
        with self.assertRaisesRegex(unittest.SkipTest,
                                    r'^Linux 7\.9\.9 has no KVM for Realms: no'):
            self.require('mainline')

    def test_a_kernel_that_finds_no_rmm_is_a_failure(self):
        with self.assertRaisesRegex(AssertionError, 'status 2: refused: '):
            self.require('rmi-without-rmm')

    def test_a_machine_that_cannot_answer_is_a_failure(self):
        with self.assertRaisesRegex(AssertionError, 'status 3: unknown: '):
            self.require('no-kvm')
        with self.assertRaisesRegex(AssertionError, 'status 127: '):
            require_realms('7.9.9', 127, 'sh: kvm-realms: not found')


class Packages:
    """apt, played by a table."""
    rows = [('linux-binary-7.9.10+deb14-cloud-arm64', '7.9.10-1', 'sid'),
            ('linux-binary-7.9.9+deb14-cloud-arm64', '7.9.9-1', 'sid'),
            ('linux-binary-unsigned-8.9+deb14-cloud-arm64', '8.9-1', 'sid'),
            ('linux-binary-cloud-arm64', '8.9-1', 'sid'),
            ('linux-binary-8.0-cloud-arm64', '8.0~rc7-1~exp1', 'experimental'),
            ('linux-binary-8.0.1+deb13-cloud-arm64', '8.0.1-1~bpo13+1',
             'trixie-backports')]

    def names(self, pattern):
        return fnmatch.filter({row[0] for row in self.rows}, pattern)

    def versions(self, names):
        return [row for row in self.rows if row[0] in names]


class ChoiceTest(unittest.TestCase):

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.here = []
        for name in ('packaged_releases', 'download', 'say'):
            self.addCleanup(setattr, kernel, name, getattr(kernel, name))
        kernel.packaged_releases = lambda: kernel.newest_releases(Packages())
        kernel.say = self.here.append

    def unpacked(self, release, _folder=None):
        """The package of a kernel, as it is when it has been unpacked."""
        root = Path(self.folder, release)
        modules = root / 'lib/modules' / release
        (modules / 'kernel').mkdir(parents=True)
        (modules / 'vmlinuz').write_bytes(image())
        (root / '.debs').touch()
        return str(root)

    def offline(self, *_):
        raise Failure('apt-get update: no network')

    def test_the_newest_of_all_suites_comes_first(self):
        self.assertEqual(kernel.newest_releases(Packages()), [
            '8.0.1+deb13-cloud-arm64', '8.0-cloud-arm64',
            '7.9.10+deb14-cloud-arm64', '7.9.9+deb14-cloud-arm64'])

    def test_the_newest_is_taken(self):
        kernel.download = self.unpacked
        self.assertEqual(kernel.newest(self.folder).name,
                         '8.0.1+deb13-cloud-arm64')

    def test_what_does_not_download_is_passed_over(self):
        def download(release, folder):
            if release.startswith('8'):
                raise Failure('404')
            return self.unpacked(release, folder)
        kernel.download = download
        self.assertEqual(kernel.newest(self.folder).name,
                         '7.9.10+deb14-cloud-arm64')

    def test_without_a_network_the_newest_that_is_here_is_taken(self):
        kernel.packaged_releases = self.offline
        self.unpacked('7.9.9-cloud-arm64')
        self.unpacked('7.9.10-cloud-arm64')
        self.assertEqual(kernel.newest(self.folder).name, '7.9.10-cloud-arm64')
        self.assertIn('no network; taking 7.9.10-cloud-arm64', self.here[0])

    def test_half_an_unpacked_kernel_is_none(self):
        kernel.packaged_releases = self.offline
        Path(self.unpacked('7.9.9-cloud-arm64'), '.debs').unlink()
        with self.assertRaisesRegex(BuildError, 'no network'):
            kernel.newest(self.folder)


def image():
    return b'MZ'.ljust(56, b'\0') + b'ARM\x64'


class RefusalTest(unittest.TestCase):

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.path = os.path.join(self.folder, 'Image')

    def check(self, *command):
        # Not what a make around this one wants.
        env = {name: value for name, value in os.environ.items()
               if not name.startswith('MAKE')}
        done = subprocess.run(command, cwd=TOP, text=True,
                              env={**env, 'KERNEL': self.path},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.splitlines()

    def build(self):
        return self.check(HERE / 'build', '--check', '--kernel', self.path)

    def refuse(self, data, pattern):
        if data is not None:
            Path(self.path).write_bytes(data)
        status, said = self.build()
        self.assertEqual((status, len(said)), (1, 1), said)
        self.assertRegex(said[0], '^tests/nested/build: .*' + pattern)
        self.assertIn(self.path, said[0])

    def test_a_missing_file(self):
        self.refuse(None, 'is no file')

    def test_a_folder(self):
        os.mkdir(self.path)
        self.refuse(None, 'is no file')

    def test_an_empty_file(self):
        self.refuse(b'', 'is no arm64 Image')

    def test_another_architecture(self):
        self.refuse(b'MZ'.ljust(0x1000, b'\0'), 'is no arm64 Image')

    def test_a_gzip_of_something_else(self):
        self.refuse(gzip.compress(b'text'), 'is no arm64 Image')

    def test_a_gzip_that_is_cut(self):
        self.refuse(gzip.compress(image())[:-9], 'name an arm64 Image')

    def test_a_file_that_is_too_long(self):
        Path(self.path).touch()
        os.truncate(self.path, kernel.LONGEST + 1)
        self.refuse(None, 'more than 512 MiB')

    def test_an_image_is_taken(self):
        for data in (image(), gzip.compress(image())):
            Path(self.path).write_bytes(data)
            self.assertEqual(self.build(), (0, []))

    def test_make_refuses_before_it_builds(self):
        status, said = self.check('make', '--no-print-directory',
                                  'check-nested')
        self.assertEqual((status, len(said)), (2, 2), said)
        self.assertRegex(said[0], 'is no file')
        self.assertRegex(said[1], r'make: \*\*\* .*nested-kernel')


if __name__ == '__main__':
    unittest.main(verbosity=2)
