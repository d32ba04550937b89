/*
 * Pages that are exported and imported by several threads at once
 *
 * Purpose: both halves of a migration (runs.h) with threads that have streams
 * of their own, while the kernel answers EINTR, EAGAIN, ENOMEM or EBADMSG to
 * one of them, or cannot write its bundle.  The run has to succeed if it can;
 * else it says why, and the Realm is where the kernel says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-cc-migration.h>
#include "qapi/error.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "target/arm/rmm/mig-abi.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "runs.h"

#define THREADS 4
#define PATIENCE_MS 20000
#define PAGES_BASE  (1 * GiB + 0x100000)        /* where runs.c writes */

typedef struct kvm_cc_pages Pages;

/* What a hook does to calls for pages; each has a number, from 1 on. */
typedef struct Trouble {
    const char *claim;
    bool imports;               /* a destination's run; else a source's */
    void (*before)(struct Trouble *trouble, DoubleCall *call, unsigned number);
    const char *says;           /* NULL: the run succeeds */
    RealmPhase phase;           /* else: where it ended */
    size_t page_size;           /* 0: 4 KiB */
    /* Of the run */
    QemuMutex lock;
    QemuCond cond;
    unsigned calls, met;
    unsigned of_stream[MIG_MAX_STREAMS];        /* calls, where it is known */
    bool together;
    unsigned not_private;       /* calls that were refused for that */
} Trouble;

static bool is_for_pages(const DoubleCall *call)
{
    return call->request == (uint32_t)KVM_CC_EXPORT_PAGES ||
           call->request == (uint32_t)KVM_CC_IMPORT_PAGES;
}

static void make_trouble(DoubleCall *call, bool after, void *opaque)
{
    Trouble *trouble = opaque;

    if (after && call->ret == -EADDRNOTAVAIL) {
        qatomic_inc(&trouble->not_private);
    }
    if (!after && is_for_pages(call)) {
        trouble->before(trouble, call, qatomic_inc_fetch(&trouble->calls));
    }
}

/* The first call waits in the kernel until another one is there. */
static void meet(Trouble *trouble, DoubleCall *call, unsigned number)
{
    int64_t end = g_get_monotonic_time() + PATIENCE_MS * 1000;

    qemu_mutex_lock(&trouble->lock);
    trouble->met++;
    trouble->together |= number == 1 && trouble->met >= 2;
    qemu_cond_broadcast(&trouble->cond);
    while (number == 1 && trouble->met < 2 && g_get_monotonic_time() < end) {
        qemu_cond_timedwait(&trouble->cond, &trouble->lock, 100);
        trouble->together = trouble->met >= 2;
    }
    qemu_mutex_unlock(&trouble->lock);
}

static void interrupt(Trouble *trouble, DoubleCall *call, unsigned number)
{
    call->ret = number % 3 == 1 ? -EINTR : number % 3 == 2 ? -EAGAIN : 0;
}

/* Each bundle of each stream is lost once. */
static void lose_bundle(Trouble *trouble, DoubleCall *call, unsigned number)
{
    unsigned stream = ((Pages *)call->arg)->stream;

    g_assert_cmpuint(stream, <, MIG_MAX_STREAMS);
    call->fault = ++trouble->of_stream[stream] % 2;
}

static void lose_one_for_ever(Trouble *trouble, DoubleCall *call,
                              unsigned number)
{
    call->fault = ((Pages *)call->arg)->stream == 1;
}

static void no_memory_once(Trouble *trouble, DoubleCall *call,
                           unsigned number)
{
    call->ret = number == 2 ? -ENOMEM : 0;
}

static void no_memory(Trouble *trouble, DoubleCall *call, unsigned number)
{
    call->ret = number >= 2 ? -ENOMEM : 0;
}

/* What was sealed is its last byte, too. */
static void damage(Trouble *trouble, DoubleCall *call, unsigned number)
{
    const Pages *args = call->arg;
    uint8_t *blob = (uint8_t *)(uintptr_t)args->blob;

    if (number == 2) {
        blob[args->blob_size - 1] ^= 1;
    }
}

/* The host at the destination has shared them since it made its offer. */
static void share_first(Trouble *trouble, DoubleCall *call, unsigned number)
{
    if (number == 1) {
        g_assert_true(realm_kvm_convert_range(PAGES_BASE, 256 * KiB, false,
                                              &error_abort));
    }
}

/* The kernel wants a page converted, and says so again and again. */
static void want_always(Trouble *trouble, DoubleCall *call, unsigned number)
{
    Pages *args = call->arg;

    args->bad = (struct kvm_cc_run) { PAGES_BASE, 4 * KiB };
    call->ret = -EADDRNOTAVAIL;
}

#define EXPORTS "KVM_CC_EXPORT_PAGES"
#define IMPORTS "KVM_CC_IMPORT_PAGES"

static Trouble troubles[] = {
    { "exports_are_in_the_kernel_side_by_side", false, meet },
    { "imports_are_in_the_kernel_side_by_side", true, meet },
    { "exports_of_a_host_with_large_pages", false, meet,
      .page_size = 64 * KiB },
    { "imports_of_a_host_with_large_pages", true, meet,
      .page_size = 64 * KiB },
    { "exports_that_are_interrupted_are_repeated", false, interrupt },
    { "imports_that_are_interrupted_are_repeated", true, interrupt },
    { "bundles_that_are_lost_are_had_again", false, lose_bundle },
    { "a_bundle_that_cannot_be_had_ends_the_session", false,
      lose_one_for_ever, EXPORTS, REALM_PHASE_EXPORTING },
    { "an_export_without_memory_is_repeated", false, no_memory_once },
    { "an_import_without_memory_is_repeated", true, no_memory_once },
    { "an_export_that_fails_ends_the_session", false, no_memory, EXPORTS,
      REALM_PHASE_EXPORTING },
    { "an_import_that_fails_is_final", true, no_memory, IMPORTS,
      REALM_PHASE_FAILED },
    { "imports_of_shared_pages_have_them_converted", true, share_first },
    { "an_import_that_gets_no_further_is_final", true, want_always,
      IMPORTS ": Cannot assign requested address", REALM_PHASE_FAILED },
    { "a_bundle_that_is_not_authentic_is_final", true, damage,
      "the record is not what the source sealed", REALM_PHASE_FAILED },
};

static void test_trouble(const void *opaque)
{
    Trouble *trouble = (Trouble *)opaque;
    RealmPhase phase = REALM_PHASE_NEW;
    Run run = {
        "threads", "v16", trouble->page_size ?: 4 * KiB,
        trouble->imports ? run_destination : run_source,
        make_trouble, trouble, &phase, THREADS,
    };
    Error *err = NULL;
    bool ok;

    qemu_mutex_init(&trouble->lock);
    qemu_cond_init(&trouble->cond);
    ok = run_counted(&run, false, &err);
    g_assert_cmpint(qatomic_read(&trouble->calls), >=, 2);
    if (trouble->says) {
        g_assert_false(ok);
        g_test_message("%s", error_get_pretty(err));
        g_assert_nonnull(strstr(error_get_pretty(err), trouble->says));
        g_assert_cmpstr(realm_phase_name(phase), ==,
                        realm_phase_name(trouble->phase));
        error_free(err);
    } else if (!ok) {
        g_error("%s", error_get_pretty(err));
    }
    if (trouble->before == share_first) {
        g_assert_cmpuint(trouble->not_private, >, 0);
    }
    if (trouble->before == meet) {
        g_assert_true(trouble->together);
    }
    qemu_cond_destroy(&trouble->cond);
    qemu_mutex_destroy(&trouble->lock);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    runs_init();
    for (size_t i = 0; i < ARRAY_SIZE(troubles); i++) {
        g_autofree char *name = g_strdup_printf("/kvm-double/threads/%s",
                                                troubles[i].claim);

        g_test_add_data_func(name, &troubles[i], test_trouble);
    }
    ret = g_test_run();
    runs_end();
    return ret;
}
