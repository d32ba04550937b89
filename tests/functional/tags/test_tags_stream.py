#!/usr/bin/env python3
"""The stream: upstream's where nobody asked for tags, and what tags cost.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from tags_case import TagsTest, arguments, guest_file, wait_until

TOP = Path(__file__).resolve().parents[3]

SECTION = b'\x08mte-tags'
TAG_RAM = b'\x0dmach-virt.tag'


# One part of the section ram ends, and the next begins: when, is time's.
NEXT_PART = re.compile(rb'\0{7}\x10~(....)(?:\x08\0\x0b\0\0\x03|\x02)\1',
                       re.DOTALL)


def whole(stream):
    """A stream as if all its RAM were in one part."""
    return NEXT_PART.sub(b'', stream)


class Stream(TagsTest):

    def stream(self, tags, mte=True):
        """What a small machine that never ran sends."""
        args = ['-M', 'virt,gic-version=3,dtb-randomness=off,'
                      f'mte={"on" if mte else "off"},page-tags={tags}',
                '-cpu', 'max', '-smp', '2', '-m', '32M', '-nic', 'none',
                '-rtc', 'base=2020-01-01,clock=vm', '-S',
                '-kernel', guest_file('initramfs.cpio')]    # any bytes
        vm = self.start(args)
        path = self.path(f'{vm.name}.image')
        vm.qmp.cmd('migrate-set-parameters', max_bandwidth=0)
        vm.qmp.cmd('migrate', uri=f'file:{path}')
        wait_until(lambda: vm.qmp.cmd('query-migrate')['status']
                   == 'completed', 'the file is written')
        vm.stop()
        with open(path, 'rb') as file:
            return whole(file.read())

    def test_without_mte_the_property_changes_no_byte(self):
        on, off = self.stream('on', mte=False), self.stream('off', mte=False)
        self.assertFalse(SECTION in on)
        self.assertTrue(on == off)

    def test_tcg_keeps_the_tag_ram_unless_asked(self):
        off, auto, on = map(self.stream, ('off', 'auto', 'on'))
        self.assertTrue(auto == off)
        self.assertTrue(TAG_RAM in off)
        self.assertFalse(SECTION in off)
        self.assertFalse(TAG_RAM in on)
        self.assertTrue(SECTION in on)

    def test_analyze_migration_reads_it(self):
        source = self.boot_checked()
        path = self.path('read')
        source.qmp.cmd('stop')
        source.qmp.cmd('migrate', uri=f'file:{path}')
        wait_until(lambda: source.qmp.cmd('query-migrate')['status']
                   == 'completed', 'the file is written')
        done = subprocess.run(
            [sys.executable, TOP / 'qemu/scripts/analyze-migration.py',
             '-f', path, '-d', 'state'], capture_output=True, text=True,
            check=True, timeout=120)
        section = next(value for name, value in json.loads(done.stdout).items()
                       if name.startswith('mte-tags'))
        self.log.info('%s', section)
        self.assertEqual(section['blocks'], ['mach-virt.ram'])
        self.assertEqual(section['level'], 3)
        kinds, of_zeros = section['kinds'], section['kinds-of-zero-pages']
        # A zero page without tags has no record
        self.assertEqual(section['records'], sum(kinds.values()) +
                         sum(of_zeros.values()) - of_zeros['none'])
        # Tags do not make a page of zeros one with data
        for pages in kinds, of_zeros:
            self.assertEqual(set(pages), {'none', 'uniform', 'runs', 'raw'})

    def test_tag_ram_migrates_as_before(self):
        source = self.boot_checked(arguments('off'))
        dest = self.waiting(arguments('auto'))
        self.send(source, dest)
        self.assert_tags_are_right(dest)

    def test_untagged_pages_cost_a_byte(self):
        """At most 0.1 % more than without MTE."""
        bare, tags = self.stream('on', mte=False), self.stream('on')
        self.log.info('%d bytes without MTE, %d with', len(bare), len(tags))
        self.assertLess(len(tags), len(bare) * 1.001)


if __name__ == '__main__':
    TagsTest.main()
