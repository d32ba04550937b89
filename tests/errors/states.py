"""Machines of which commands are refused, in the states that the table names.

No guest is needed: they wait for interrupts that never come.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import os
import shutil
import struct
import time

from realm_qmp import Migration
from realm_vm import Vm, incoming, program

PROGRAM = os.path.abspath(shutil.which(program()))
BARE = ['-nodefaults', '-display', 'none']
NONCE_SIZE = 32
WAIT_FOR_EVER = struct.pack('<2I', 0xd503207f, 0x17ffffff)      # wfi; b .-4


def state_of(qmp):
    """What no refused command changes; of another machine than a Realm, that it
    is none."""
    return {command: qmp.try_cmd(command) for command in
            ('query-status', 'query-realm', 'query-realm-migration',
             'query-migrate', 'query-jobs')}


class Machines:
    """Starts them when they are first asked for.
    enter: what keeps a context for as long as they are needed."""

    def __init__(self, folder, enter):
        self.folder, self.enter = folder, enter
        self.machines = {}
        self.kernel = os.path.join(folder, 'kernel')
        with open(self.kernel, 'wb') as file:
            file.write(WAIT_FOR_EVER)

    def start(self, name, arguments):
        vm = Vm(name, [*BARE, *arguments], self.folder)
        self.enter(vm.process)          # left last, which closes its pipes
        self.enter(vm)
        self.machines[name] = vm
        return vm.qmp

    def realm(self, name, *more, properties=',migration=on'):
        return self.start(name, [
            '-machine', 'virt,confidential-guest-support=rme0',
            '-object', f'rme-guest,id=rme0{properties}', '-m', '128M',
            '-kernel', self.kernel, *more])

    def get(self, name):
        if name not in self.machines:
            getattr(self, f'make_{name}')()
        return self.machines[name].qmp

    # One for each state

    def make_none(self):
        self.start('none', ['-machine', 'none'])

    def make_ordinary(self):
        self.start('ordinary', ['-machine', 'virt', '-S'])

    def make_rmm(self):
        self.start('rmm', ['-machine', 'virt,rmm=on', '-cpu', 'max',
                           '-S'])

    def make_new(self):
        self.realm('new', '-S', '-device', 'pcie-root-port,id=rp0')

    def make_here(self):
        self.realm('here')

    def make_xbzrle(self):
        self.realm('xbzrle').cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'xbzrle', 'state': True}])

    def make_cpr(self):
        self.realm('cpr').cmd('migrate-set-parameters', mode='cpr-reboot')

    def make_tags(self):
        self.start('tags', [
            '-machine', 'virt,mte=on,page-tags=on', '-cpu', 'max',
            '-S']).cmd(
                'migrate-set-capabilities', capabilities=[
                    {'capability': 'x-ignore-shared', 'state': True}])

    def make_stays(self):
        """Its Realm may not be migrated."""
        self.realm('stays', properties='')

    def make_waiting(self):
        self.realm('waiting', *incoming([]))

    def make_staying_waiting(self):
        self.realm('staying_waiting', *incoming([]), properties='')

    def offer(self, source, dest):
        nonce = source.cmd('realm-migration-prepare')['nonce']
        return dest.cmd('realm-migration-offer', nonce=nonce)['offer']

    def make_accepted(self):
        dest = self.realm('offered', *incoming([]))
        source = self.realm('accepted')
        source.cmd('realm-migration-accept', offer=self.offer(source, dest))

    make_offered = make_accepted

    def make_failed(self):
        dest = self.realm('failed', *incoming([]))
        self.offer(self.get('here'), dest)
        dest.cmd('realm-migration-abort')

    def make_gone(self):
        dest = self.realm('arrived', *incoming([]))
        source = self.realm('gone')
        Migration(source, dest, f'unix:{self.folder}/stream').run()
        # QEMU says that it has completed before it takes the receipt.
        deadline = time.monotonic() + 60
        while source.cmd('query-realm-migration')['phase'] != 'gone':
            if time.monotonic() > deadline:
                raise TimeoutError('not in 60 s: the source has the receipt')
            time.sleep(0.02)

    make_arrived = make_gone
