"""What the tests of ordinary guests whose tags migrate share.

The guest's realm-check owns memory whose data and tags follow from addresses
and generations, some of it written by stores of tags alone, some with data
that are zero, and verifies all of it, over and over.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'realm'))

from realm_case import (Migration, MigrationError, QmpError,   # noqa: E402
                        RealmTest, VmError, guest_arguments, incoming,
                        wait_until)
from realm_vm import guest_file, verdict                       # noqa: E402

MIB = 1 << 20
CHECK = 'realm.check=32,2,8'


def arguments(tags='on', mte=True, check=CHECK, cpu='max', memory='384M'):
    """QEMU's, for an ordinary guest; tags: the machine's property page-tags."""
    args = guest_arguments(realm=False, cpus=2, memory=memory, mte=mte,
                           append=check)
    args[args.index('-cpu') + 1] = cpu
    return args + ['-M', f'page-tags={tags}']


class TagsTest(RealmTest):

    def capabilities(self, vm, *names, on=True):
        vm.qmp.cmd('migrate-set-capabilities', capabilities=[
            {'capability': name, 'state': on} for name in names])

    def parameters(self, vm, **values):
        vm.qmp.cmd('migrate-set-parameters', **values)

    def boot_checked(self, args=None):
        vm = self.boot(args or arguments())
        vm.console.wait_for('realm-check: t=')
        return vm

    def waiting(self, args=None):
        return self.start(incoming(args or arguments()))

    def both(self, source, dest, capabilities=(), **parameters):
        for vm in (source, dest):
            self.capabilities(vm, *capabilities)
            if parameters:
                self.parameters(vm, **parameters)

    def send(self, source, dest, uri=None, bandwidth=0, **options):
        """Migrates, and waits until the guest runs there."""
        uri = uri or f'unix:{self.path(dest.name)}'
        report = Migration(source.qmp, dest.qmp, uri, plain=True,
                           bandwidth=bandwidth, timeout=120,
                           **options).run()
        self.log.info('%s', report)
        return report

    def fail_to_send(self, message, source, dest, **options):
        text = self.assert_refused(message, self.send, source, dest, **options)
        self.assert_goes_on(source)
        return text

    def assert_says(self, pattern, vm, text=''):
        """The machine's log, or text, has it, maybe after its peer has failed:
        a connection may end before the reason is written."""
        wait_until(lambda: re.search(pattern, ' '.join([text, *vm.errors()])),
                   f'{vm.name} says: {pattern}', 30)

    def job_error(self, vm, command, **arguments):
        """Runs a command that is a job, to its end; returns its error, or
        None."""
        vm.qmp.cmd(command, job_id='job', **arguments)
        wait_until(lambda: vm.qmp.cmd('query-jobs')[0]['status']
                   == 'concluded', f'{command} ends')
        error = vm.qmp.cmd('query-jobs')[0].get('error')
        vm.qmp.cmd('job-dismiss', id='job')
        return error

    def job(self, vm, command, **arguments):
        self.assertIsNone(self.job_error(vm, command, **arguments))

    def add_image(self, vm):
        """An empty qcow2 image with the node-name image."""
        path, size = self.path('image.qcow2'), 1024 * MIB
        self.job(vm, 'blockdev-create', options={
            'driver': 'file', 'filename': path, 'size': 0})
        vm.qmp.cmd('blockdev-add', node_name='file', driver='file',
                   filename=path)
        self.job(vm, 'blockdev-create', options={
            'driver': 'qcow2', 'file': 'file', 'size': size})
        vm.qmp.cmd('blockdev-add', node_name='image', driver='qcow2',
                   file='file')

    def assert_tags_are_right(self, vm):
        """realm-check verifies all it has, and ends."""
        vm.console.wait_for('realm-check: t=', after=vm.console.mark())
        ok, line = verdict(vm.console)
        self.log.info('%s', line)
        self.assertTrue(ok, line)
        self.assertNotIn(' tags=0 ', line)
        self.assertIn(' wrong_bytes=0 wrong_tags=0', line)


__all__ = ['CHECK', 'MIB', 'Migration', 'MigrationError', 'QmpError',
           'TagsTest', 'VmError', 'arguments', 'guest_file', 'wait_until']
