#!/usr/bin/env python3
"""A Realm without an operating system tries what Linux never does; meanwhile
the host's side of stage 2 is watched: which blocks are folded, which memory
is lent.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re

from realm_case import Migration, RealmTest, incoming, wait_until
from realm_program import copied
from realm_vm import REALM, guest_file

RAM = 0x40000000
BLOCK = 0x200000
PAGES = 512                     # of a block
FIRST, SECOND = (RAM + n * BLOCK for n in (8, 9))
MEMORY = 67                     # MiB: RAM ends in the middle of a block
STAGES = ('part', 'block again', 'second block', 'no block',
          'second block again', 'lent', 'not lent', 'to move')


class Trace:
    """What QEMU traced of blocks, in order."""

    def __init__(self, path):
        self.path = path
        self.arguments = ['-trace', 'realm_mmu_*fold', '-D', path]

    def events(self):
        """Pairs of 'fold' or 'unfold', and the base of a block."""
        with open(self.path, encoding='utf-8') as file:
            return [(event, int(base, 16)) for event, base in
                    re.findall(r'realm_mmu_(\w+) \[(0x\w+),', file.read())]

    def blocks(self):
        """The blocks of private memory that are folded now."""
        folded = set()
        for event, base in self.events():
            (folded.add if event == 'fold' else folded.discard)(base)
        return folded


class Bare(RealmTest):

    def arguments(self, trace):
        return ['-object', f'rme-guest,id={REALM},migration=on',
                '-M', f'virt,confidential-guest-support={REALM}',
                '-smp', '2', '-m', f'{MEMORY}M', '-nic', 'none',
                '-kernel', guest_file('realm-bare')] + trace.arguments

    def firmware(self):
        """realm-bare behind ten instructions that copy it to its place."""
        path = self.path('firmware')
        with open(path, 'wb') as file:
            file.write(copied(guest_file('realm-bare')))
        return path

    def firmware_arguments(self, trace):
        """The same Realm, started by firmware in RAM where flash would be."""
        arguments = self.arguments(trace)
        at = arguments.index('-kernel')
        arguments[at:at + 2] = ['-bios', self.firmware()]
        return arguments

    def reach(self, vm, stage):
        """Lets the Realm go on to where it waits next."""
        if vm.console.lines:
            vm.console.send('')
        vm.console.wait_for(f'^stage {stage}$', 30)

    def wait_for_fold(self, trace, *bases):
        wait_until(lambda: set(bases) <= trace.blocks(),
                   f'blocks at {[hex(base) for base in bases]}', 30)

    def pages(self, vm):
        info = vm.qmp.cmd('query-realm')
        return info['private-pages'], info['lent-pages']

    def test_what_linux_never_does(self):
        trace = Trace(self.path('trace'))
        vm = self.start(self.arguments(trace))
        self.check_part(vm, trace)
        self.check_block(vm, trace)
        self.check_lent(vm, trace)
        self.reach(vm, 'to move')
        self.check_cancelled(vm, trace)
        self.check_move(vm, trace)

    def test_firmware_in_ram(self):
        """It runs, is private, and moves with the Realm."""
        arguments = self.firmware_arguments(Trace(self.path('trace')))
        vm = self.start(arguments)
        self.reach(vm, 'block')
        self.assertIn('private', vm.qmp.hmp('xp /1wx 0'))
        for stage in STAGES:
            self.reach(vm, stage)
        dest, _ = self.migrate(vm, arguments)
        self.assertEqual(dest.qmp.cmd('query-realm')['rim'],
                         vm.qmp.cmd('query-realm')['rim'])
        dest.console.send('')
        dest.console.wait_for('^end$', 30)
        self.assertEqual(dest.wait(), 0)

    def check_part(self, vm, trace):
        self.reach(vm, 'block')
        self.wait_for_fold(trace, FIRST)
        private, lent = self.pages(vm)
        self.assertEqual(lent, 0)
        self.reach(vm, 'part')
        self.assertNotIn(FIRST, trace.blocks())
        self.assertEqual(self.pages(vm)[0], private - 16)
        self.reach(vm, 'block again')
        self.wait_for_fold(trace, FIRST)
        self.assertEqual(self.pages(vm)[0], private)

    def check_block(self, vm, trace):
        private = self.pages(vm)[0]
        self.reach(vm, 'second block')
        self.wait_for_fold(trace, FIRST, SECOND)
        self.assertEqual(self.pages(vm)[0], private + PAGES)
        self.reach(vm, 'no block')
        self.assertEqual(self.pages(vm)[0], private)
        # The empty table was folded away as well.
        self.assertEqual(trace.events()[-2:],
                         [('unfold', SECOND), ('fold', SECOND)])
        self.reach(vm, 'second block again')
        wait_until(lambda: trace.events()[-1] == ('fold', SECOND)
                   and len(trace.events()) == 7, 'the block')

    def check_lent(self, vm, trace):
        self.reach(vm, 'lent')
        self.assertEqual(self.pages(vm)[1], PAGES)
        self.reach(vm, 'not lent')
        self.assertEqual(self.pages(vm)[1], PAGES - 1)
        # Neither the block in which the image ends, nor that in which RAM
        # ends, although the Realm has touched all of the latter.
        self.assertEqual(trace.blocks(), {FIRST, SECOND})

    def check_cancelled(self, vm, trace):
        """A migration needs pages; given up, it leaves blocks behind."""
        dest = self.start(incoming(self.arguments(Trace(self.path('none')))))
        migration = Migration(vm.qmp, dest.qmp,
                              f'unix:{self.path(dest.name)}', bandwidth=1000)
        migration.start()
        wait_until(lambda: not trace.blocks(), 'there are pages only')
        wait_until(lambda: vm.qmp.cmd('query-realm').get('dirty-pages'),
                   'pages wait for their export')
        migration.cancel()
        self.wait_for_fold(trace, FIRST, SECOND)
        self.assertNotIn('dirty-pages', vm.qmp.cmd('query-realm'))

    def check_move(self, vm, trace):
        """The destination folds what the source had to unfold."""
        private, _ = self.pages(vm)
        dest_trace = Trace(self.path('dest-trace'))
        dest, _ = self.migrate(vm, self.arguments(dest_trace))
        self.assertEqual(trace.blocks(), set())
        self.wait_for_fold(dest_trace, FIRST, SECOND)
        self.assertEqual(self.pages(dest), (private, 0))
        self.check_monitors(vm, dest, private)
        dest.console.send('')
        dest.console.wait_for('^end$', 30)
        lines = vm.console.lines + dest.console.lines
        self.assertEqual([x for x in lines if x.startswith('FAIL')], [])
        self.assertEqual(dest.wait(), 0)

    def check_monitors(self, source, dest, private):
        """What QEMU's own commands say of the Realm that has moved."""
        # QEMU says that it has completed before it takes the receipt.
        wait_until(lambda: source.qmp.cmd('query-realm-migration')['phase']
                   == 'gone', 'the receipt is taken')
        for vm, phase in (source, 'gone'), (dest, 'here'):
            realm = vm.qmp.cmd('query-migrate')['realm']
            self.assertEqual(realm, vm.qmp.cmd('query-realm-migration'))
            self.assertEqual(realm['phase'], phase)
            self.assertGreaterEqual(realm['private-pages'], private)
            self.assertEqual((realm['tag-pages'], realm['channels']), (0, 0))
            self.assertIn(f"Realm private pages: {realm['private-pages']}, "
                          'with tags: 0', vm.qmp.hmp('info migrate'))
        ends = [event['data'] for event in source.qmp.events
                if event['event'] == 'REALM_END']
        self.assertEqual(ends, [{'reason': 'migrated'}])
        info = source.qmp.cmd('query-realm')
        self.assertEqual((info['state'], info['end-reason']),
                         ('ended', 'migrated'))
        self.assertEqual(dest.qmp.cmd('query-realm')['state'], 'active')


if __name__ == '__main__':
    RealmTest.main()
