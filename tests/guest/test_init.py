# Tests of tests/guest/init, the guest's first program: which modules it loads
# and what it says of a Realm, with the sysfs of kernels that are given here.
# And of scripts/realm-agent, which it starts.
# Linux 7.4 and newer: the series "firmware: smccc: Add an Arm SMCCC bus", v7,
# of June 2026.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

INIT = Path(__file__).resolve().with_name('init')
AGENT = Path(__file__).resolve().parents[2] / 'scripts/realm-agent'
CONSOLE = {'bus/virtio/drivers/virtio_console/virtio1/device': '0x0003'}
RSI = '[    0.000000] RME: Using RSI version 1.0'
VIRTIO = {'bus/virtio/devices/virtio0/modalias': 'virtio:d00000001v00001AF4'}
OLD = {'bus/platform/devices/arm-cca-dev/modalias': 'platform:arm-cca-dev'}
NEW = {'bus/arm_smccc/devices/arm-smccc-trng-1/modalias':
           'arm_smccc:arm-smccc-trng',
       'bus/arm_smccc/devices/arm-rsi-dev-2/modalias': 'arm_smccc:arm-rsi-dev'}


class Init(unittest.TestCase):
    def run_init(self, function, sysfs, log=''):
        """Runs one function of it; returns what that said and loaded."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in sysfs.items():
                path = Path(folder, 'sys', name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text + '\n')
            agent = Path(folder, 'realm-agent')
            agent.write_text('#!/bin/sh\necho "agent, $POWEROFF"\n')
            agent.chmod(0o755)
            functions = INIT.read_text().split('\nmount_all\n')[0]
            script = (functions.replace('/sys/', f'{folder}/sys/')
                      .replace('/dev/kmsg', '/dev/null')
                      + f'\nPATH={folder}:/usr/bin:/bin\n'
                      'modprobe() { echo "load $2"; }\n'
                      f"dmesg() {{ echo '{log}'; }}\n"
                      f'mount() {{ :; }}\n{function}\n')
            return subprocess.run(['sh', '-c', script], text=True, check=False,
                                  stdout=subprocess.PIPE).stdout.splitlines()

    def loaded(self, sysfs):
        return self.run_init('load_drivers', sysfs)

    def realm(self, sysfs, log=''):
        """The first words of its line, and the one about the RSI."""
        words = self.run_init('say_facts', sysfs, log)[0].split()
        return words[1], words[4]

    def test_drivers_of_a_realm(self):
        self.assertEqual(self.loaded(VIRTIO | OLD),
                         ['load virtio:d00000001v00001AF4',
                          'load platform:arm-cca-dev'])

    def test_drivers_of_a_realm_from_7_4_on(self):
        self.assertEqual(self.loaded(VIRTIO | NEW),
                         ['load virtio:d00000001v00001AF4',
                          'load arm_smccc:arm-rsi-dev',
                          'load arm_smccc:arm-smccc-trng'])

    def test_drivers_of_an_ordinary_guest(self):
        self.assertEqual(self.loaded(VIRTIO),
                         ['load virtio:d00000001v00001AF4'])

    def test_a_realm_is_known_by_its_log(self):
        self.assertEqual(self.realm(OLD, RSI), ('realm=yes', 'rsi=1.0'))
        self.assertEqual(self.realm({}), ('realm=no', 'rsi=none'))

    def test_a_realm_is_known_by_sysfs_from_7_4_on(self):
        for value, log, realm in (('1', RSI, ('realm=yes', 'rsi=1.0')),
                                  ('1', '', ('realm=yes', 'rsi=none')),
                                  ('0', '', ('realm=no', 'rsi=none'))):
            self.assertEqual(
                self.realm(NEW | {'firmware/cca/realm_guest': value}, log),
                realm)

    def test_the_agent_is_started_before_its_port_has_a_name(self):
        self.assertEqual(self.run_init('start_agent; wait', CONSOLE),
                         ['agent, poweroff -f'])
        self.assertEqual(self.run_init('start_agent; wait', VIRTIO), [])


class Agent(unittest.TestCase):

    def test_it_says_that_there_is_no_port(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                ['sh', '-c', 'sleep() { :; }\n'
                 + AGENT.read_text().replace('/sys/', f'{folder}/')],
                text=True, check=False, capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertIn('no port realm.agent after 60 s', done.stderr)

    def test_it_waits_for_the_name_of_its_port(self):
        with tempfile.TemporaryDirectory() as folder:
            port = Path(folder, 'class/virtio-ports/vport0p1')
            port.mkdir(parents=True)
            os.mkfifo(Path(folder, 'vport0p1'))
            script = (AGENT.read_text().replace('/sys/', f'{folder}/')
                      .replace('/dev/', f'{folder}/'))
            with subprocess.Popen(
                    ['sh', '-c', 'sleep() { echo waits; command sleep 0.05; }\n'
                     + script], text=True, stdout=subprocess.PIPE,
                    env={**os.environ, 'POWEROFF': 'echo off'}) as agent:
                self.addCleanup(agent.kill)
                self.assertEqual(agent.stdout.readline(), 'waits\n')
                Path(port, 'name').write_text('realm.agent\n')
                # Open for both, it waits for nobody.
                with open(Path(folder, 'vport0p1'), 'r+b', buffering=0) as end:
                    end.write(b'poweroff\n')
                    while (line := agent.stdout.readline()) == 'waits\n':
                        pass
                agent.kill()
            self.assertEqual(line, 'off\n')


if __name__ == '__main__':
    unittest.main()
