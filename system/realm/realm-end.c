/*
 * The end of a Realm, and its reason (see system/realm-events.h)
 *
 * Purpose: what QEMU does with the machine says why the Realm in it has ended,
 * whatever the accelerator.
 *
 * Lock rule: BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-events-realm.h"
#include "system/realm-backend.h"
#include "system/realm-events.h"
#include "system/runstate.h"

static bool ended;
static RealmEndReason the_reason;

bool realm_has_ended(RealmEndReason *reason)
{
    *reason = the_reason;
    return ended;
}

/* There is a Realm whose end can be seen here. */
static bool is_here(RealmPhase phase)
{
    return realm_phase_exists(phase) &&
           (realm_phase_holds(phase) || phase == REALM_PHASE_SEALED ||
            phase == REALM_PHASE_GONE);
}

void realm_end(RealmEndReason reason)
{
    if (!ended && is_here(realm_backend()->phase())) {
        ended = true;
        the_reason = reason;
        qapi_event_send_realm_end(reason);
    }
}

static RealmEndReason reason_of(ShutdownCause cause)
{
    switch (cause) {
    case SHUTDOWN_CAUSE_GUEST_SHUTDOWN:
        return REALM_END_REASON_SYSTEM_OFF;
    case SHUTDOWN_CAUSE_GUEST_RESET:
    case SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET:
    case SHUTDOWN_CAUSE_SUBSYSTEM_RESET:
        return REALM_END_REASON_RESET;
    case SHUTDOWN_CAUSE_HOST_ERROR:
    case SHUTDOWN_CAUSE_GUEST_PANIC:
        return REALM_END_REASON_ERROR;
    default:
        return REALM_END_REASON_HOST;
    }
}

static void machine_shuts_down(Notifier *notifier, void *cause)
{
    realm_end(reason_of(*(ShutdownCause *)cause));
}

void realm_runs(void)
{
    ended = false;
}

static void vm_state_changed(void *opaque, bool running, RunState state)
{
    if (state == RUN_STATE_INTERNAL_ERROR) {
        realm_end(REALM_END_REASON_ERROR);
    }
}

void realm_end_init(void)
{
    static Notifier notifier = { .notify = machine_shuts_down };

    qemu_register_shutdown_notifier(&notifier);
    qemu_add_vm_change_state_handler(vm_state_changed, NULL);
}
