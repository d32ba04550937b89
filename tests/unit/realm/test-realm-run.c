/*
 * When the machine of a Realm runs, and is reset (hw/arm/realm/realm-run.c)
 *
 * Purpose: a reset ends the Realm before anything of the machine is reset, or
 * nothing of it is; the machine that runs goes on with the next Realm, or
 * stops.  The backend and QEMU are fakes, which write down what they are told.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-realm.h"
#include "hw/boards.h"
#include "migration/realm.h"
#include "system/cpus.h"
#include "system/realm-backend.h"
#include "system/realm-events.h"
#include "system/realm-shared-ram.h"
#include "system/reset.h"
#include "system/runstate-action.h"
#include "system/runstate.h"
#include "hw/arm/realm/realm-run.h"

static RealmPhase phase;
static bool running, loading, refuses_reset, refuses_start;
static uint8_t rim;
static GString *done;           /* in order: a word each */
static char *stop_state;

MachineState *current_machine;
RebootAction reboot_action;
static bool resettable;
static VMChangeStateHandler *state_changed;
static Notifier *at_shutdown;

static void add(const char *word)
{
    g_string_append_printf(done, "%s%s", done->len ? " " : "", word);
}

/* ---- QEMU ---- */

VMChangeStateEntry *qemu_add_vm_change_state_handler(VMChangeStateHandler *cb,
                                                     void *opaque)
{
    state_changed = cb;
    return NULL;
}

void qemu_register_shutdown_notifier(Notifier *notifier)
{
    at_shutdown = notifier;
}

bool runstate_is_running(void)
{
    return running;
}

bool runstate_check(RunState state)
{
    return state == RUN_STATE_INMIGRATE && loading;
}

bool cpus_are_resettable(void)
{
    return resettable;
}

void qemu_devices_reset(ResetType type)
{
    add("devices");
}

void qemu_system_vmstop_request_prepare(void)
{
}

void qemu_system_vmstop_request(RunState state)
{
    add("vmstop");
    g_free(stop_state);
    stop_state = g_strdup(RunState_str(state));
}

void realm_migration_cancel(void)
{
    add("cancel");
}

void realm_shared_ram_begin(void)
{
}

void realm_end(RealmEndReason reason)
{
    g_assert_cmpint(reason, ==, REALM_END_REASON_RESET);
    add("end");
}

void realm_runs(void)
{
    add("runs");
}

void qapi_event_send_realm_migration_phase(RealmMigrationPhase qmp, bool holds)
{
}

/* ---- The backend ---- */

static bool start(Error **errp)
{
    add("start");
    if (refuses_start) {
        error_setg(errp, "no start");
        phase = REALM_PHASE_BROKEN;
        return false;
    }
    phase = REALM_PHASE_HERE;
    return true;
}

static bool reset(Error **errp)
{
    add("reset");
    if (refuses_reset) {
        error_setg(errp, "no reset");
        return false;
    }
    phase = REALM_PHASE_NEW;
    return true;
}

static void park(void)
{
    add("park");
}

static void stopped(void)
{
    add("stopped");
}

static RealmPhase get_phase(void)
{
    return phase;
}

static size_t measurement(uint8_t value[REALM_MEASUREMENT_SIZE])
{
    value[0] = rim;
    return 1;
}

const RealmBackendOps *realm_backend(void)
{
    static const RealmBackendOps ops = {
        .start = start,
        .park = park,
        .stopped = stopped,
        .reset = reset,
        .phase = get_phase,
        .measurement = measurement,
    };

    return &ops;
}

/* ---- Tests ---- */

static void begin(RealmPhase now, bool runs)
{
    phase = now;
    running = runs;
    refuses_reset = refuses_start = false;
    resettable = true;
    reboot_action = REBOOT_ACTION_RESET;
    g_string_truncate(done, 0);
}

static void machine_reset(void)
{
    MACHINE_GET_CLASS(current_machine)->reset(current_machine,
                                              RESET_TYPE_COLD);
}

static void check(const char *words)
{
    g_assert_cmpstr(done->str, ==, words);
}

/* In a process of its own, whose stderr is looked at. */
static void trap(const char *stderr_pattern)
{
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr(stderr_pattern);
}

static void test_no_realm_yet(void)
{
    begin(REALM_PHASE_NEW, false);
    machine_reset();
    check("devices");
    begin(REALM_PHASE_WAITING, false);
    machine_reset();
    check("devices");
}

static void test_stopped(void)
{
    begin(REALM_PHASE_HERE, false);
    machine_reset();
    check("cancel end reset devices");
    state_changed(NULL, true, RUN_STATE_RUNNING);
    check("cancel end reset devices start runs");
}

static void test_running(void)
{
    begin(REALM_PHASE_EXPORTING, true);
    machine_reset();
    check("cancel end reset devices start runs");
}

/* The Realm has come, and QEMU is about to run it. */
static void test_loading(void)
{
    if (!g_test_subprocess()) {
        trap("*its migration to here*");
        return;
    }
    begin(REALM_PHASE_HERE, false);
    loading = true;
    machine_reset();
    check("");
    loading = false;
    machine_reset();
    check("cancel end reset devices");
}

/* Of these no Realm may be made. */
static void test_not_here(void)
{
    static const RealmPhase phases[] = {
        REALM_PHASE_SEALED, REALM_PHASE_GONE, REALM_PHASE_EMPTY,
        REALM_PHASE_OFFERED, REALM_PHASE_IMPORTING, REALM_PHASE_FAILED,
        REALM_PHASE_BROKEN,
    };

    if (!g_test_subprocess()) {
        return trap("*cannot be reset: it has left for the destination*"
                    "realm-migration-resume*"
                    "cannot be reset: it runs on the destination*");
    }
    for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
        begin(phases[i], false);
        machine_reset();
        check("");
        g_assert_cmpint(phase, ==, phases[i]);
    }
}

static void test_refused(void)
{
    if (!g_test_subprocess()) {
        return trap("*no reset*");
    }
    begin(REALM_PHASE_HERE, true);
    refuses_reset = true;
    machine_reset();
    check("cancel end reset");
}

static void test_cannot_be_built(void)
{
    if (!g_test_subprocess()) {
        return trap("*no start*");
    }
    begin(REALM_PHASE_HERE, true);
    refuses_start = true;
    machine_reset();
    check("cancel end reset devices start park vmstop");
    g_assert_cmpstr(stop_state, ==, "internal-error");
}

/* A machine that stops for this has to be able to go on. */
static void test_may_run_later(void)
{
    if (!g_test_subprocess()) {
        return trap("*no start*");
    }
    begin(REALM_PHASE_SEALED, false);
    refuses_start = true;
    state_changed(NULL, true, RUN_STATE_RUNNING);
    check("start park vmstop");
    g_assert_cmpstr(stop_state, ==, "paused");
}

static void test_same_measurement(void)
{
    if (!g_test_subprocess()) {
        trap("");
        return;
    }
    begin(REALM_PHASE_HERE, true);
    machine_reset();
}

static void test_other_measurement(void)
{
    if (!g_test_subprocess()) {
        return trap("*another initial measurement*-kernel*");
    }
    begin(REALM_PHASE_HERE, false);
    machine_reset();
    rim++;
    state_changed(NULL, true, RUN_STATE_RUNNING);
}

static void shut_down(ShutdownCause cause, RebootAction action)
{
    begin(REALM_PHASE_HERE, true);
    refuses_reset = true;
    resettable = false;
    reboot_action = action;
    at_shutdown->notify(at_shutdown, &cause);
}

/* QEMU does this where vCPUs cannot be reset: with KVM. */
static void test_why_it_ends(void)
{
    if (!g_test_subprocess()) {
        return trap("*no reset*no reset*");
    }
    shut_down(SHUTDOWN_CAUSE_GUEST_RESET, REBOOT_ACTION_RESET);
    check("reset");
    shut_down(SHUTDOWN_CAUSE_HOST_QMP_SYSTEM_RESET, REBOOT_ACTION_RESET);
    check("reset");
}

static void test_that_it_ends_is_wanted(void)
{
    shut_down(SHUTDOWN_CAUSE_GUEST_RESET, REBOOT_ACTION_SHUTDOWN);
    check("");
    shut_down(SHUTDOWN_CAUSE_GUEST_SHUTDOWN, REBOOT_ACTION_RESET);
    check("");
}

int main(int argc, char **argv)
{
    static const TypeInfo machine = {
        .name = TYPE_MACHINE,
        .parent = TYPE_OBJECT,
        .instance_size = sizeof(MachineState),
        .class_size = sizeof(MachineClass),
    };

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    type_register_static(&machine);
    current_machine = MACHINE(object_new(TYPE_MACHINE));
    done = g_string_new(NULL);
    realm_run_init();
#define TEST(name, function) g_test_add_func("/realm/run/" name, function)
    TEST("a-reset-before-the-realm-is-one-of-devices", test_no_realm_yet);
    TEST("a-machine-that-stands-still-stays-so", test_stopped);
    TEST("a-machine-that-runs-goes-on", test_running);
    TEST("nothing-is-reset-while-the-stream-ends", test_loading);
    TEST("nothing-is-reset-where-the-realm-is-not", test_not_here);
    TEST("nothing-is-reset-where-the-backend-refuses", test_refused);
    TEST("a-realm-that-cannot-be-built-ends-in-an-error",
         test_cannot_be_built);
    TEST("a-realm-that-may-run-later-pauses", test_may_run_later);
    TEST("the-same-measurement-is-no-news", test_same_measurement);
    TEST("another-measurement-is-told", test_other_measurement);
    TEST("a-machine-that-ends-instead-says-why", test_why_it_ends);
    TEST("and-not-if-the-user-wants-that", test_that_it_ends_is_wanted);
#undef TEST
    return g_test_run();
}
