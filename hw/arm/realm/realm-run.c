/*
 * When the machine of a Realm runs, stops, and is reset
 *
 * Purpose: the backend builds the Realm when the machine first runs.  If the
 * Realm cannot run, or has left for the destination of its migration, the
 * machine does not run either.  A reset ends the Realm, and the backend builds
 * another one from the images.
 *
 * Invariants: no vCPU runs unless RealmBackendOps.start has allowed it.  Where
 * the Realm cannot end, nothing of the machine is reset: the Realm may go on
 * with it, or has to be given back to it, and its disks may be in use at the
 * destination.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "hw/boards.h"
#include "migration/realm.h"
#include "system/cpus.h"
#include "system/realm-backend.h"
#include "system/realm-events.h"
#include "system/realm-shared-ram.h"
#include "system/reset.h"
#include "system/runstate-action.h"
#include "system/runstate.h"
#include "realm-run.h"

/* The initial measurement of the Realm that a reset has ended; 0: none. */
static struct {
    uint8_t value[REALM_MEASUREMENT_SIZE];
    size_t size;
} ended;

/*
 * The loader kept the images that it read when QEMU was started; where the
 * Realm came from another machine, those need not be the same.
 */
static void compare_measurement(void)
{
    uint8_t value[REALM_MEASUREMENT_SIZE];

    if (ended.size && (realm_backend()->measurement(value) != ended.size ||
                       memcmp(value, ended.value, ended.size))) {
        warn_report("Realm: since its reset it has another initial "
                    "measurement; give this machine the images (-kernel, "
                    "-initrd, -append, -bios) of the machine that it came "
                    "from");
    }
    ended.size = 0;
}

/* The vCPUs do not run, and the machine stops with @state. */
static void refuse_to_run(Error *err, RunState state)
{
    error_report_err(err);
    realm_backend()->park();
    qemu_system_vmstop_request_prepare();
    qemu_system_vmstop_request(state);
}

/*
 * After an internal error QEMU allows nothing but a reset, which ends the Realm
 * or is refused.  So a Realm that may run later pauses instead.
 */
static void start(void)
{
    bool allowed = realm_phase_check(realm_backend()->phase(), REALM_STEP_RUN,
                                     NULL);
    Error *err = NULL;

    if (!realm_backend()->start(&err)) {
        refuse_to_run(err, allowed ? RUN_STATE_INTERNAL_ERROR
                                   : RUN_STATE_PAUSED);
        return;
    }
    realm_runs();
    compare_measurement();
    realm_shared_ram_begin();
}

static void vm_state_changed(void *opaque, bool running, RunState state)
{
    if (running) {
        start();
    } else {
        realm_backend()->stopped();
    }
}

static bool end_realm(Error **errp)
{
    const RealmBackendOps *backend = realm_backend();

    if (!realm_phase_check(backend->phase(), REALM_STEP_RESET, errp)) {
        return false;
    }
    /* The loader writes no images then, and QEMU runs what the stream brought. */
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "Realm: cannot be reset while its migration to here "
                   "comes to its end; reset the machine once it runs");
        return false;
    }
    realm_migration_cancel();
    realm_end(REALM_END_REASON_RESET);
    ended.size = backend->measurement(ended.value);
    return backend->reset(errp);
}

/* The vCPUs stand still, also if the machine runs, and go on after this. */
static void machine_reset(MachineState *machine, ResetType type)
{
    Error *err = NULL;

    if (realm_phase_exists(realm_backend()->phase()) && !end_realm(&err)) {
        error_report_err(err);
        return;
    }
    qemu_devices_reset(type);
    if (runstate_is_running()) {
        start();
    }
}

/*
 * Where vCPUs cannot be reset QEMU ends the machine instead, if that is not
 * what the user wants anyway, and gives no reason that helps.
 */
static void say_why_it_ends(Notifier *notifier, void *data)
{
    ShutdownCause cause = *(ShutdownCause *)data;
    Error *err = NULL;

    if ((cause == SHUTDOWN_CAUSE_GUEST_RESET ||
         cause == SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET) &&
        reboot_action == REBOOT_ACTION_RESET && !cpus_are_resettable() &&
        !realm_backend()->reset(&err)) {
        error_report_err(err);
    }
}

void realm_run_init(void)
{
    static Notifier notifier = { .notify = say_why_it_ends };
    MachineClass *mc = MACHINE_GET_CLASS(current_machine);

    assert(!mc->reset);
    mc->reset = machine_reset;
    qemu_add_vm_change_state_handler(vm_state_changed, NULL);
    qemu_register_shutdown_notifier(&notifier);
}
