/*
 * What QEMU's migration asks a source (migration/realm/source.c)
 *
 * Purpose: a thread of multifd sets the state of a migration to failed while
 * the migration's own thread goes on.  Upstream ends QEMU then, or takes away
 * what that thread uses, so QEMU asks first.  A machine without a Realm is
 * upstream's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "migration/migration.h"
#include "migration/realm.h"
#include "fake-backend.h"
#include "fake-migration.h"

static const RealmConfig config = {
    .migration = true,
    .ram_size = FAKE_PAGES * REALM_PAGE_SIZE,
};

/* As multifd leaves it: failed, and the thread is there. */
static void fail_in_channel(void)
{
    fake_migration_state(MIGRATION_STATUS_FAILED, NULL);
    migrate_get_current()->migration_thread_running = true;
}

static void begin_with_realm(void)
{
    if (!realm_backend()) {
        realm_backend_set(&fake_backend, &config);
    }
    fail_in_channel();
}

/* The first test, since a Realm that is there stays. */
static void test_no_realm(void)
{
    g_assert_null(realm_backend());
    fail_in_channel();
    g_assert_false(realm_source_failed_before_switchover());
    g_assert_false(realm_source_is_busy(&error_abort));
}

static void test_failed(void)
{
    begin_with_realm();
    g_assert_true(realm_source_failed_before_switchover());
}

/* Whatever else the state is, the switchover is QEMU's. */
static void test_not_failed(const void *opaque)
{
    const int state = GPOINTER_TO_INT(opaque);

    begin_with_realm();
    fake_migration_state(state, NULL);
    g_assert_false(realm_source_failed_before_switchover());
}

static void test_busy(void)
{
    Error *err = NULL;

    begin_with_realm();
    g_assert_true(realm_source_is_busy(&err));
    g_assert_nonnull(strstr(error_get_pretty(err), "still being cleaned up; "
                            "try again"));
    error_free(err);
}

/* A migration that failed is no reason to refuse the next one. */
static void test_not_busy(void)
{
    begin_with_realm();
    migrate_get_current()->migration_thread_running = false;
    g_assert_false(realm_source_is_busy(&error_abort));
}

int main(int argc, char **argv)
{
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/realm/source-state/without-a-realm-qemu-decides",
                    test_no_realm);
    g_test_add_func("/realm/source-state/no-switchover-after-a-failure",
                    test_failed);
    for (int i = 0; i < MIGRATION_STATUS__MAX; i++) {
        g_autofree char *name =
            g_strdup_printf("/realm/source-state/a-switchover-if-%s",
                            MigrationStatus_str(i));

        if (i != MIGRATION_STATUS_FAILED) {
            g_test_add_data_func(name, GINT_TO_POINTER(i), test_not_failed);
        }
    }
    g_test_add_func("/realm/source-state/none-begins-beside-the-last-thread",
                    test_busy);
    g_test_add_func("/realm/source-state/one-begins-after-the-last-thread",
                    test_not_busy);
    return g_test_run();
}
