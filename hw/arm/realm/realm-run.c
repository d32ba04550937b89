/*
 * When the machine of a Realm runs, stops, and ends
 *
 * Purpose: the backend builds the Realm when the machine first runs.  If the
 * Realm cannot run, or has left for the destination of its migration, the
 * machine does not run either.  Once there is a Realm, a reset ends the
 * machine.
 *
 * Invariants: no vCPU runs unless RealmBackendOps.start has allowed it.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "hw/boards.h"
#include "system/realm-backend.h"
#include "system/realm-shared-ram.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "realm-run.h"

/* The vCPUs do not run, and the machine stops with @state. */
static void refuse_to_run(Error *err, RunState state)
{
    error_report_err(err);
    realm_backend()->park();
    qemu_system_vmstop_request_prepare();
    qemu_system_vmstop_request(state);
}

static void vm_state_changed(void *opaque, bool running, RunState state)
{
    bool allowed = realm_phase_check(realm_backend()->phase(), REALM_STEP_RUN,
                                     NULL);
    Error *err = NULL;

    /*
     * After an internal error QEMU allows nothing but a reset, which a Realm
     * cannot have.  So a Realm that may run later pauses instead.
     */
    if (!running) {
        realm_backend()->stopped();
    } else if (!realm_backend()->start(&err)) {
        refuse_to_run(err, allowed ? RUN_STATE_INTERNAL_ERROR
                                   : RUN_STATE_PAUSED);
    } else {
        realm_shared_ram_begin();
    }
}

/*
 * A Realm is built once: a reset of its machine is its end, and nothing of
 * the machine is reset, so that no loader writes into it.
 */
static void machine_reset(MachineState *machine, ResetType type)
{
    if (realm_phase_exists(realm_backend()->phase())) {
        error_report("Realm: a Realm cannot be reset; the machine ends");
        qemu_system_shutdown_request_with_code(SHUTDOWN_CAUSE_HOST_ERROR,
                                               EXIT_FAILURE);
    } else {
        qemu_devices_reset(type);
    }
}

void realm_run_init(void)
{
    MachineClass *mc = MACHINE_GET_CLASS(current_machine);

    assert(!mc->reset);
    mc->reset = machine_reset;
    qemu_add_vm_change_state_handler(vm_state_changed, NULL);
}
