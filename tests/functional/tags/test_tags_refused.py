#!/usr/bin/env python3
"""What does not work with tags is refused, with a reason, before a page moves.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re

from tags_case import QmpError, TagsTest, arguments

# Capability, and words of the reason
REFUSED = [
    ('xbzrle', 'leaves out pages whose data are unchanged'),
    ('postcopy-ram', 'place a page and its tags at once'),
    ('background-snapshot', 'does not wait until the page is saved'),
    ('mapped-ram', 'no place for tags'),
    ('x-colo', 'copy of RAM has no tags'),
    ('x-ignore-shared', 'would be lost'),
    ('rdma-pin-all', 'RDMA writes pages without'),
]
# Those that a host's kernel, or this build, need not have, and how QEMU says so.
MISSING = {'postcopy-ram': 'serfault',
           'background-snapshot': 'not supported by host kernel',
           'x-colo': 'compiled without replication module'}


class Refused(TagsTest):

    def test_capabilities(self):
        source = self.boot_checked()
        for name, reason in REFUSED:
            try:
                self.capabilities(source, name)
            except QmpError as err:
                if not re.search(MISSING.get(name, '(?!)'), str(err)):
                    raise
                self.log.info('%s: %s', name, err)
                continue
            self.assert_refused(
                f'mte-tags: {name} does not work with memory tags: '
                f'.*{reason}.*; turn it off',
                source.qmp.cmd, 'migrate',
                uri='file:/dev/null' if name == 'mapped-ram'
                    else 'unix:/nowhere')
            self.capabilities(source, name, on=False)
        dest = self.waiting()
        self.send(source, dest)
        self.assert_tags_are_right(dest)

    def test_zero_copy_send(self):
        source = self.boot_checked()
        self.capabilities(source, 'multifd')
        self.capabilities(source, 'zero-copy-send')
        self.assert_refused("mte-tags: zero-copy-send .*header leaves before",
                            source.qmp.cmd, 'migrate', uri='tcp:127.0.0.1:1')

    def test_snapshot_with_multifd(self):
        """Refused before anything is written; without, it is made."""
        vm = self.boot_checked()
        self.add_image(vm)
        where = {'tag': 'then', 'vmstate': 'image', 'devices': ['image']}
        self.capabilities(vm, 'multifd')
        self.assertEqual(self.job_error(vm, 'snapshot-save', **where),
                         'mte-tags: multifd does not work with snapshots; '
                         'turn it off')
        self.assert_goes_on(vm)
        self.capabilities(vm, 'multifd', on=False)
        self.job(vm, 'snapshot-save', **where)
        self.assert_tags_are_right(vm)

    def test_cpr(self):
        source = self.boot_checked()
        self.parameters(source, mode='cpr-reboot')
        self.assert_refused('mte-tags: mode cpr-reboot does not work',
                            source.qmp.cmd, 'migrate', uri='file:/dev/null')
        self.parameters(source, mode='normal')
        self.assert_goes_on(source)

    def test_destination_with_another_level(self):
        """No page was loaded, and the source's guest goes on."""
        source = self.boot_checked()
        for names in [], ['return-path']:
            dest = self.waiting(arguments(cpu='cortex-a710'))
            self.both(source, dest, names)
            text = self.fail_to_send('', source, dest)
            self.assert_says('mte-tags: the source has MTE level 3, this '
                             'machine has 2; give both the same CPU', dest,
                             text)
            dest.stop()
        self.send(source, self.waiting())

    def test_destination_that_does_not_know_the_section(self):
        source = self.boot_checked()
        # multifd last: QEMU says failed before its thread has ended.
        for names in ['return-path'], ['return-path', 'multifd']:
            dest = self.waiting(arguments('off'))
            self.both(source, dest, names)
            self.fail_to_send('', source, dest)
            self.assert_says("Unknown savevm section or instance 'mte-tags'",
                             dest)
            dest.stop()

    def test_source_without_mte(self):
        source = self.boot_checked(arguments(mte=False))
        for names in [], ['multifd']:
            dest = self.waiting()
            self.both(source, dest, names)
            text = self.fail_to_send('', source, dest)
            self.assert_says('source sends RAM without tags|'
                             'a packet has 0 bytes of tags', dest, text)
            dest.stop()

    def test_destination_without_mte(self):
        source = self.boot_checked()
        dest = self.waiting(arguments(mte=False))
        self.both(source, dest, ['return-path'])
        self.fail_to_send('', source, dest)
        self.assert_says("Unknown savevm section or instance 'mte-tags'", dest)


if __name__ == '__main__':
    TagsTest.main()
