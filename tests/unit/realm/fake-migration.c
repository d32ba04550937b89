/*
 * As much of QEMU's migration as the "realm" section calls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-realm.h"
#include "qemu/lockable.h"
#include "qemu/notify.h"
#include "qemu/yank.h"
#include "io/channel-buffer.h"
#include "hw/core/cpu.h"
#include "migration/blocker.h"
#include "migration/client-options.h"
#include "migration/migration.h"
#include "migration/misc.h"
#include "migration/options.h"
#include "migration/postcopy-ram.h"
#include "migration/realm.h"
#include "system/cpu-throttle.h"
#include "system/realm-backend.h"
#include "system/realm-events.h"
#include "system/realm-shared-ram.h"
#include "system/system.h"
#include "fake-migration.h"

#define FOOTER 0x7e

FakeMigration fake_migration;
static MigrationState the_migration;
static MigrationIncomingState the_incoming;
static MigrationLoadThread load_thread;

void fake_migration_state(int state, QEMUFile *f)
{
    the_migration.state = state;
    the_migration.to_dst_file = f;
    qemu_thread_get_self(&the_migration.thread);
}

bool runstate_needs_reset(void)
{
    return false;
}

RunState runstate_get(void)
{
    return RUN_STATE_RUNNING;
}

bool migration_is_running(void)
{
    return the_migration.state == MIGRATION_STATUS_ACTIVE;
}

MigrationState *migrate_get_current(void)
{
    return &the_migration;
}

void migration_cancel(void)
{
    the_migration.state = MIGRATION_STATUS_CANCELLING;
}

void migrate_set_error(MigrationState *s, const Error *error)
{
    if (!fake_migration.error) {
        fake_migration.error = g_strdup(error_get_pretty(error));
    }
}

bool migrate_has_error(MigrationState *s)
{
    if (fake_migration.meanwhile) {
        fake_migration.meanwhile();
    }
    return fake_migration.error;
}

MigrationIncomingState *migration_incoming_get_current(void)
{
    return &the_incoming;
}

/* As the thread of QEMU's return path. */
bool fake_migration_message(const void *bytes, size_t size)
{
    QIOChannelBuffer *buffer = qio_channel_buffer_new(size);
    QEMUFile *f = qemu_file_new_input(QIO_CHANNEL(buffer));
    Error *err = NULL;
    unsigned type, len;
    bool ours;

    memcpy(buffer->data, bytes, size);
    buffer->usage = size;
    type = qemu_get_be16(f);
    len = qemu_get_be16(f);
    ours = realm_reply_get(f, type, len);
    if (qemu_file_get_error_obj(f, &err)) {
        migrate_set_error(&the_migration, err);
        error_free(err);
        ours = false;
    }
    qemu_fclose(f);
    object_unref(OBJECT(buffer));
    return ours;
}

void migration_add_notifier(NotifierWithReturn *notify,
                            MigrationNotifyFunc func)
{
}

int register_savevm_live(const char *idstr, uint32_t instance_id,
                         int version_id, const SaveVMHandlers *ops,
                         void *opaque)
{
    assert(!fake_migration.handlers && g_str_equal(idstr, "realm"));
    fake_migration.handlers = ops;
    return 0;
}

/* As QEMU: by priority, and in the order of registration where it is equal. */
int vmstate_register_with_alias_id(VMStateIf *obj, uint32_t instance_id,
                                   const VMStateDescription *vmsd,
                                   void *base, int alias_id,
                                   int required_for_version, Error **errp)
{
    FakeDevice *devices = fake_migration.devices;
    unsigned i = fake_migration.num_devices++;

    assert(i < FAKE_MAX_DEVICES);
    for (; i && devices[i - 1].vmsd->priority < vmsd->priority; i--) {
        devices[i] = devices[i - 1];
    }
    devices[i] = (FakeDevice) { vmsd, base };
    return 0;
}

void vmstate_unregister(VMStateIf *obj, const VMStateDescription *vmsd,
                        void *opaque)
{
    FakeDevice *devices = fake_migration.devices;
    unsigned left = 0;

    for (unsigned i = 0; i < fake_migration.num_devices; i++) {
        if (devices[i].vmsd != vmsd || devices[i].opaque != opaque) {
            devices[left++] = devices[i];
        }
    }
    fake_migration.num_devices = left;
}

/* In QEMU a section's header says that it is there. */
static bool save_header(QEMUFile *f, const FakeDevice *device)
{
    bool there = vmstate_section_needed(device->vmsd, device->opaque);

    if (device->vmsd->needed) {
        qemu_put_byte(f, there);
    }
    return there;
}

static bool load_header(QEMUFile *f, const FakeDevice *device)
{
    return !device->vmsd->needed || qemu_get_byte(f);
}

bool fake_migration_save(QEMUFile *f, bool setup)
{
    for (unsigned i = 0; i < fake_migration.num_devices; i++) {
        FakeDevice *device = &fake_migration.devices[i];

        if (device->vmsd->early_setup != setup || !save_header(f, device)) {
            continue;
        }
        if (vmstate_save_state(f, device->vmsd, device->opaque, NULL)) {
            return false;
        }
        if (fake_migration.footers) {
            qemu_put_byte(f, FOOTER);
        }
    }
    return true;
}

bool fake_migration_load(QEMUFile *f, bool setup, const char *until)
{
    for (unsigned i = 0; i < fake_migration.num_devices; i++) {
        FakeDevice *device = &fake_migration.devices[i];

        if (until && g_str_equal(device->vmsd->name, until)) {
            break;
        }
        if (device->vmsd->early_setup != setup || !load_header(f, device)) {
            continue;
        }
        if (vmstate_load_state(f, device->vmsd, device->opaque,
                               device->vmsd->version_id)) {
            return false;
        }
        if (fake_migration.footers && qemu_get_byte(f) != FOOTER) {
            return false;
        }
    }
    return true;
}

void qemu_loadvm_start_load_thread(MigrationLoadThread function, void *opaque)
{
    assert(!load_thread && !opaque);
    load_thread = function;
}

static QIOChannelBuffer *back;  /* where the return path leads, if to us */

static void open_return_path(void)
{
    qemu_mutex_init(&the_incoming.rp_mutex);
    the_incoming.to_src_file = fake_migration.back;
    if (!fake_migration.back && !fake_migration.no_return_path) {
        back = qio_channel_buffer_new(0);
        the_incoming.to_src_file = qemu_file_new_output(QIO_CHANNEL(back));
    }
    if (fake_migration.broken_return_path) {
        qemu_file_set_error(the_incoming.to_src_file, -EIO);
    }
}

static void close_return_path(void)
{
    if (back) {
        g_clear_pointer(&fake_migration.sent, g_byte_array_unref);
        fake_migration.sent = g_byte_array_new();
        g_byte_array_append(fake_migration.sent, back->data, back->usage);
        qemu_fclose(the_incoming.to_src_file);
        object_unref(OBJECT(back));
        back = NULL;
    }
    the_incoming.to_src_file = NULL;
    qemu_mutex_destroy(&the_incoming.rp_mutex);
}

void fake_migration_load_begin(QEMUFile *f)
{
    Error *err = NULL;

    open_return_path();
    fake_migration.loading = true;
    the_incoming.from_src_file = f;
    qemu_event_init(&the_incoming.main_thread_load_event, false);
    assert(!fake_migration.handlers->load_setup(f, NULL, &err));
}

/* The thread could run all the time: it waits for the event first. */
bool fake_migration_load_end(bool ok)
{
    bool should_quit = false;
    Error *err = NULL;

    if (!ok) {
        qemu_file_set_error(the_incoming.from_src_file, -EINVAL);
    }
    qemu_event_set(&the_incoming.main_thread_load_event);
    if (!load_thread(NULL, &should_quit, &err)) {
        migrate_set_error(&the_migration, err);
        error_free(err);
        ok = false;
    }
    load_thread = NULL;
    assert(!fake_migration.handlers->load_cleanup(NULL));
    qemu_event_destroy(&the_incoming.main_thread_load_event);
    close_return_path();
    the_incoming.from_src_file = NULL;
    fake_migration.loading = false;
    return ok;
}

/* The machine is as good as done. */
void qemu_add_machine_init_done_notifier(Notifier *notify)
{
    notify->notify(notify, NULL);
}

VMChangeStateEntry *qemu_add_vm_change_state_handler_prio(
    VMChangeStateHandler *cb, void *opaque, int priority)
{
    fake_migration.vm_changed = cb;
    return NULL;
}

void qapi_event_send_realm_migration_phase(RealmMigrationPhase phase,
                                           bool holds)
{
}

/* Not of a migration; but in one file with the event before, in QEMU. */
void qapi_event_send_realm_ripas_change(uint64_t private, uint64_t shared)
{
}

void qapi_event_send_realm_attestation(uint64_t requests)
{
}

void qapi_event_send_realm_migration_failed(const char *token)
{
    assert(!token || realm_backend()->phase() == REALM_PHASE_FAILED);
    fake_migration.failures += token != NULL;
}

void qemu_add_exit_notifier(Notifier *notify)
{
}

void postcopy_add_notifier(NotifierWithReturn *notify)
{
    fake_migration.postcopy = notify;
}

uint64_t migrate_downtime_limit(void)
{
    return fake_migration.downtime_limit;
}

bool migrate_return_path(void)
{
    return !fake_migration.no_return_path;
}

MigMode migrate_mode(void)
{
    return g_strcmp0(fake_migration.unsupported, "cpr-reboot") ?
        MIG_MODE_NORMAL : MIG_MODE_CPR_REBOOT;
}

bool migrate_multifd(void)
{
    return fake_migration.channels;
}

bool migrate_rdma(void)
{
    return g_strcmp0(fake_migration.unsupported, "rdma") == 0;
}

void fake_migration_capability(MigrationCapability capability, bool on)
{
    the_migration.capabilities[capability] = on;
}

void fake_migration_no_capability(void)
{
    memset(the_migration.capabilities, 0, sizeof(the_migration.capabilities));
}

MigrationParameters *fake_migration_parameters(void)
{
    return &the_migration.parameters;
}

bool migrate_auto_converge(void)
{
    return the_migration.capabilities[MIGRATION_CAPABILITY_AUTO_CONVERGE];
}

uint8_t migrate_throttle_trigger_threshold(void)
{
    return the_migration.parameters.throttle_trigger_threshold;
}

uint8_t migrate_cpu_throttle_initial(void)
{
    return the_migration.parameters.cpu_throttle_initial;
}

uint8_t migrate_cpu_throttle_increment(void)
{
    return the_migration.parameters.cpu_throttle_increment;
}

bool migrate_cpu_throttle_tailslow(void)
{
    return the_migration.parameters.cpu_throttle_tailslow;
}

uint8_t migrate_max_cpu_throttle(void)
{
    return the_migration.parameters.max_cpu_throttle;
}

/* No vCPU, but those of a test; the stand-in for KVM has its own. */
CPUTailQ cpus_queue __attribute__((weak)) =
    QTAILQ_HEAD_INITIALIZER(cpus_queue);

int cpu_throttle_get_percentage(void)
{
    return fake_migration.throttle;
}

void cpu_throttle_set(int percentage)
{
    assert(percentage >= 1 && percentage <= 99);
    fake_migration.throttle = percentage;
}

static QemuMutex channels_lock;
static QemuCond channels_yanked;

/* As what multifd registers for each of its channels. */
static void yank(void *opaque)
{
    QEMU_LOCK_GUARD(&channels_lock);
    fake_migration.yanks++;
    qemu_cond_broadcast(&channels_yanked);
}

static void init_channels(void)
{
    qemu_mutex_init(&channels_lock);
    qemu_cond_init(&channels_yanked);
    yank_register_instance(MIGRATION_YANK_INSTANCE, &error_abort);
    yank_register_function(MIGRATION_YANK_INSTANCE, yank, NULL);
}

void fake_migration_channels(unsigned channels)
{
    if (!fake_migration.packets) {
        init_channels();
    }
    fake_migration.channels = channels;
    fake_migration.yanks = 0;
    fake_migration.broken = 0;
    fake_migration.stuck = false;
    g_clear_pointer(&fake_migration.packets, g_ptr_array_unref);
    fake_migration.packets =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
}

bool multifd_device_state_supported(void)
{
    return fake_migration.channels;
}

int migrate_multifd_channels(void)
{
    return fake_migration.channels;
}

bool multifd_queue_device_state(char *idstr, uint32_t instance_id, char *data,
                                size_t len)
{
    GByteArray *packet;

    assert(g_str_equal(idstr, "realm") && instance_id == 0);
    QEMU_LOCK_GUARD(&channels_lock);
    while (fake_migration.stuck && !fake_migration.yanks) {
        qemu_cond_wait(&channels_yanked, &channels_lock);
    }
    if (fake_migration.stuck ||
        (fake_migration.broken &&
         fake_migration.packets->len + 1 >= fake_migration.broken)) {
        return false;
    }
    packet = g_byte_array_sized_new(len);
    g_byte_array_append(packet, (uint8_t *)data, len);
    g_ptr_array_add(fake_migration.packets, packet);
    return true;
}

void realm_end(RealmEndReason reason)
{
    g_assert_cmpint(reason, ==, REALM_END_REASON_MIGRATED);
}

void realm_shared_ram_watch(void)
{
}
