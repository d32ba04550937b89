/*
 * The stand-in kernel forbids what the interface forbids
 *
 * Purpose: test the double itself.  It has to refuse calls out of order, and
 * arguments that no version allows: with double_probing by an errno, without it
 * by failing the test.  A migration goes on after each refusal, so the refused
 * call has changed nothing; and after each blob that is given again.  Numbers,
 * sizes and what each state accepts are compared with
 * docs/specs/kvm-arm-realm-migration.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/wait.h>
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/units.h"
#include "accel/kvm/realm/monitor-cause.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "internal.h"
#include "machine.h"
#include "runs.h"

#define BASE    (1 * GiB)

static void start(const char *version)
{
    DoubleOptions options = { version, .migration = true, .mte = true };
    DoubleMachineOptions m = {
        .config = double_default_config, .images = { { 0, 0x2000 } },
    };

    double_start(&options);
    g_assert_true(double_machine_create(&m, &error_abort));
}

static void end(void)
{
    double_machine_destroy();
    double_stop();
}

static int vm_call(unsigned long request, void *arg)
{
    return kvm_vm_ioctl(kvm_state, request, arg);
}

static void refused(int ret)
{
    g_assert_cmpint(ret, <, 0);
}

static int step(uint64_t n, const void *arg)
{
    struct kvm_enable_cap cap = {
        .cap = realm_kvm.abi.rme_cap, .args = { n, (uintptr_t)arg },
    };

    return vm_call(KVM_ENABLE_CAP, &cap);
}

/* Before, and after, the only state that a step has. */
static void test_order_of_rme(void)
{
    struct kvm_arm_rme_init_ripas ripas = { BASE, 0x1000 };
    struct kvm_arm_rme_populate image = { BASE, 0x1000 };
    struct kvm_arm_rme_config config = { .cfg = KVM_ARM_RME_CFG_HASH_ALGO };

    start("v10");
    double_probing(true);
    refused(step(KVM_ARM_RME_INIT_RIPAS, &ripas));
    refused(step(KVM_ARM_RME_POPULATE, &image));
    refused(step(KVM_ARM_RME_ACTIVATE, NULL));
    refused(step(KVM_ARM_RME_ACTIVATE + 1, NULL));
    refused(kvm_vcpu_ioctl(first_cpu, KVM_RUN, 0));
    double_probing(false);
    g_assert_true(double_machine_run(&error_abort));
    double_probing(true);
    refused(step(KVM_ARM_RME_CONFIG_REALM, &config));
    refused(step(KVM_ARM_RME_CREATE_REALM, NULL));
    refused(step(KVM_ARM_RME_INIT_RIPAS, &ripas));
    refused(step(KVM_ARM_RME_POPULATE, &image));
    refused(step(KVM_ARM_RME_ACTIVATE, NULL));
    refused(vm_call(KVM_CREATE_VCPU, (void *)2));
    end();
}

static void test_order_of_rmi(void)
{
    uint64_t page = BASE + 0x10000;
    g_autofree void *source = g_malloc(8192);
    struct kvm_arm_rmi_populate args = {
        page, 4096, QEMU_ALIGN_UP((uintptr_t)source, 4096),
    };

    start("v16");
    g_assert_true(double_machine_run(&error_abort));
    double_probing(true);
    args.reserved = 1;
    refused(vm_call(KVM_ARM_RMI_POPULATE, &args));
    args.reserved = 0;
    args.flags = 2;
    refused(vm_call(KVM_ARM_RMI_POPULATE, &args));
    args.flags = 0;
    refused(vm_call(KVM_ARM_RMI_POPULATE_V12, &args));
    args.base = BASE;
    refused(vm_call(KVM_ARM_RMI_POPULATE, &args));      /* twice */
    args.base = page;
    g_assert_cmpint(double_guest_write(0, page, "x", 1, &error_abort), ==,
                    DOUBLE_DONE);
    refused(vm_call(KVM_ARM_RMI_POPULATE, &args));      /* it has run */
    end();
}

static void test_memory(void)
{
    struct kvm_userspace_memory_region2 region = {
        .slot = 1, .flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES,
        .guest_phys_addr = 2 * GiB, .memory_size = 4096,
    };
    struct kvm_memory_attributes attributes = {
        .address = 3 * GiB, .size = 4096,
    };
    DoubleMachineOptions m = { .config = double_default_config };

    start("v15");
    double_probing(true);
    refused(vm_call(KVM_SET_MEMORY_ATTRIBUTES, &attributes));
    end();
    double_start(&(DoubleOptions) { "v15" });
    g_assert_true(double_machine_create(&m, &error_abort));
    region.guest_memfd = machine.gmem;
    double_probing(true);
    refused(vm_call(KVM_SET_USER_MEMORY_REGION2, &region));
    end();
    start("v14");
    double_probing(true);
    refused(vm_call(KVM_SET_MEMORY_ATTRIBUTES, &attributes));
    attributes = (struct kvm_memory_attributes) { .address = BASE + 1,
                                                  .size = 4096 };
    refused(vm_call(KVM_SET_MEMORY_ATTRIBUTES, &attributes));
    end();
}

/* ---- Migration: docs/specs/kvm-arm-realm-migration.rst ---- */

typedef union MigArgs {
    struct kvm_cc_migrate m;
    struct kvm_cc_owed o;
    struct kvm_cc_pages p;
    struct kvm_arm_copy_mte_tags t;
    struct kvm_enable_cap c;
    struct kvm_userspace_memory_region2 r;
    struct kvm_memory_attributes2 a;
    struct kvm_one_reg g;
} MigArgs;

/* A call in the middle of a migration, which mostly goes on as if without. */
typedef struct Strict {
    const char *claim;
    int error;                  /* 0: it is allowed */
    const Run *run;
    unsigned long moment;       /* before the first of these... */
    int step;                   /* ...with this step; or ANY_STEP */
    unsigned long request;
    MigArgs args;
    bool after;                 /* or just after that */
    bool running;               /* vCPU 0 is in KVM_RUN */
    bool same_peer;             /* the other side's part is that of @step */
    const char *says;           /* the migration then fails, and why */
} Strict;

#define ANY_STEP    -1
#define LOST        "its host took memory or a vCPU away meanwhile"
#define TOO_LARGE   (MIG_MAX_BUNDLE + 1)
#define SHARED_PAGE (BASE + 0x180000)   /* runs.c shares it */
#define SLOT_TOP    (BASE + 4 * MiB)
#define UPPER_HALF  (1ull << 32)

static uint8_t blob[TOO_LARGE];
static struct kvm_cc_run runs[8];
static const uint64_t unknown_flag = 8;
static const uint64_t image[] = { BASE, BASE + 4096 };
static const uint64_t hole[] = { SLOT_TOP };
static const uint64_t no_page[] = { BASE + 8 };
static const uint64_t upper[] = { BASE, UPPER_HALF };

static const Run source = { "source", "v16", 4 * KiB, run_source };
static const Run destination = { "destination", "v16", 4 * KiB,
                                 run_destination };

#define AT(moment)  KVM_CC_MIGRATE, KVM_CC_##moment
#define UINT(p)     ((uintptr_t)(p))

#define STEP(number, ...) \
    KVM_CC_MIGRATE, { .m = { .step = number, ##__VA_ARGS__ } }
#define BLOB(name, size, ...) \
    STEP(KVM_CC_##name, .blob = UINT(blob), .blob_size = size, \
         ##__VA_ARGS__)
#define BARE(name, ...) STEP(KVM_CC_##name, ##__VA_ARGS__)
/* Of the other side's, in steps that need it; these are zeros. */
#define PEER(size) .peer = UINT(blob), .peer_size = size
#define NONCE PEER(KVM_CC_NONCE_SIZE)
#define READY PEER(KVM_CC_READY_SIZE)
#define OWED(from, bytes, room, ...) \
    KVM_CC_OWED_PAGES, { .o = { .base = from, .size = bytes, \
        .runs = UINT(runs), .num_runs = room, ##__VA_ARGS__ } }
#define EXPORT(pages, n, room, ...) \
    KVM_CC_EXPORT_PAGES, { .p = { .list = UINT(pages), .count = n, \
        .blob = UINT(blob), .blob_size = room, ##__VA_ARGS__ } }
#define IMPORT(bytes, ...) \
    KVM_CC_IMPORT_PAGES, { .p = { .blob = UINT(blob), \
        .blob_size = bytes, ##__VA_ARGS__ } }
#define TAGS(page, bytes, which, ...) \
    KVM_ARM_MTE_COPY_TAGS, { .t = { .guest_ipa = page, .length = bytes, \
        .addr = blob, .flags = KVM_ARM_TAGS_##which##_GUEST, ##__VA_ARGS__ } }
#define SET_SHARED(page) \
    KVM_SET_MEMORY_ATTRIBUTES2, { .a = { .offset = page - BASE, .size = 4096 } }
#define SPARE (BASE + 0x12000)          /* populated, and nobody reads it */

static const Strict migration[] = {
    /* NONE, at the source */
    { "step-10", EINVAL, &source, AT(ACCEPT), STEP(10) },
    { "step-22", EINVAL, &source, AT(ACCEPT), STEP(22) },
    { "a-huge-step", EINVAL, &source, AT(ACCEPT), STEP(UINT32_MAX) },
    { "flags-of-a-step", EINVAL, &source, AT(ACCEPT), BARE(ABORT, .flags = 1) },
    { "what-is-reserved-of-a-step", EINVAL, &source, AT(ACCEPT),
      BARE(ABORT, .reserved = 1) },
    { "a-part-of-pause", EINVAL, &source, AT(ACCEPT), BARE(PAUSE, .part = 1) },
    { "a-blob-for-pause", EINVAL, &source, AT(ACCEPT), BLOB(PAUSE, 1) },
    { "begin-without-room", EINVAL, &source, AT(ACCEPT), BARE(BEGIN) },
    { "prepare-with-too-little-room", ENOSPC, &source, AT(ACCEPT),
      BLOB(PREPARE, 31) },
    { "prepare-for-a-nonce", EINVAL, &source, AT(ACCEPT),
      BLOB(PREPARE, 32, NONCE) },
    { "accept-with-something-beside-the-offer", EINVAL, &source, AT(ACCEPT),
      BLOB(ACCEPT, 80, NONCE) },
    { "begin-without-an-offer", EPERM, &source, AT(ACCEPT), BLOB(BEGIN, 9) },
    { "epoch-without-a-session", EPERM, &source, AT(ACCEPT), BLOB(EPOCH, 9) },
    { "pause-without-a-session", EPERM, &source, AT(ACCEPT), BARE(PAUSE) },
    { "state-without-a-session", EPERM, &source, AT(ACCEPT), BLOB(STATE, 9) },
    { "start-without-a-session", EPERM, &source, AT(ACCEPT),
      BLOB(START, 9, READY) },
    { "finish-what-is-here", EPERM, &source, AT(ACCEPT), BLOB(FINISH, 64) },
    { "abort-without-a-session", EPERM, &source, AT(ACCEPT), BARE(ABORT) },
    { "resume-of-what-is-here", EPERM, &source, AT(ACCEPT), BLOB(RESUME, 80) },
    { "offer-of-what-has-contents", EPERM, &source, AT(ACCEPT),
      BLOB(OFFER, MIG_MAX_BUNDLE, NONCE) },
    { "ready-at-the-source", EPERM, &source, AT(ACCEPT), BLOB(READY, 256) },
    { "a-receipt-of-what-was-made-here", EPERM, &source, AT(ACCEPT),
      BLOB(RECEIPT, 256) },
    { "import-at-the-source", EPERM, &source, AT(ACCEPT), BLOB(IMPORT, 80) },
    { "commit-at-the-source", EPERM, &source, AT(ACCEPT), BARE(COMMIT) },
    { "give-up-at-the-source", EPERM, &source, AT(ACCEPT), BLOB(GIVE_UP, 9) },
    { "what-is-owed-without-a-session", EPERM, &source, AT(ACCEPT),
      OWED(BASE, 4096, 1) },
    { "export-without-a-session", EPERM, &source, AT(ACCEPT),
      EXPORT(image, 1, MIG_MAX_BUNDLE) },
    { "import-of-pages-at-the-source", EPERM, &source, AT(ACCEPT),
      IMPORT(80) },
    { "an-offer-over-max-blob", E2BIG, &source, AT(ACCEPT),
      BLOB(ACCEPT, TOO_LARGE) },
    { "what-is-no-offer", EPROTO, &source, AT(ACCEPT), BLOB(ACCEPT, 80) },
    { "the-capability-twice", EBUSY, &source, AT(ACCEPT), KVM_ENABLE_CAP,
      { .c = { .cap = KVM_CAP_CC_MIGRATION } } },
    { "more-arguments-of-the-capability", EINVAL, &source, AT(ACCEPT),
      KVM_ENABLE_CAP,
      { .c = { .cap = KVM_CAP_CC_MIGRATION, .args = { 0, 0, 1 } } } },

    /* ACCEPTED */
    { "a-second-offer", EPERM, &source, AT(BEGIN), BLOB(ACCEPT, 80) },
    { "another-nonce-for-what-accepted-an-offer", EPERM, &source, AT(BEGIN),
      BLOB(PREPARE, 32) },
    { "pause-before-begin", EPERM, &source, AT(BEGIN), BARE(PAUSE) },
    { "what-is-owed-before-begin", EPERM, &source, AT(BEGIN),
      OWED(BASE, 4096, 1) },
    { "begin-with-too-little-room", ENOSPC, &source, AT(BEGIN),
      BLOB(BEGIN, 100) },

    /* EXPORTING, pages are on their way */
    { "what-is-owed-inside-of-an-epoch", EPERM, &source, AT(EPOCH),
      OWED(BASE, 4096, 1) },
    { "an-epoch-that-is-not-the-next", EINVAL, &source, AT(EPOCH),
      BLOB(EPOCH, MIG_MAX_BUNDLE, .part = 1) },
    { "an-epoch-that-is-neither-last-nor-next", EINVAL, &source, AT(EPOCH),
      BLOB(EPOCH, MIG_MAX_BUNDLE, .part = 2), .after = true },
    { "begin-again-after-another-blob", EPERM, &source, AT(EPOCH),
      BLOB(BEGIN, MIG_MAX_BUNDLE), .after = true },
    { "tags-to-the-guest-while-a-log-is-on", EBUSY, &source, AT(EPOCH),
      TAGS(SHARED_PAGE, 4096, TO) },
    { "to-take-a-page-of-what-runs", 0, &source, AT(EPOCH),
      SET_SHARED(SPARE) },
    { "epoch-with-too-little-room", ENOSPC, &source, AT(EPOCH),
      BLOB(EPOCH, 10) },
    { "start-before-pause", EPERM, &source, AT(EPOCH),
      BLOB(START, 256, READY) },

    /* EXPORTING */
    { "state-before-pause", EPERM, &source, AT(PAUSE), BLOB(STATE, 4096) },
    { "pause-while-a-vcpu-runs", EBUSY, &source, AT(PAUSE), BARE(PAUSE),
      .running = true },
    { "flags-of-what-is-owed", EINVAL, &source, AT(PAUSE),
      OWED(BASE, 4096, 1, .flags = 1) },
    { "what-is-owed-of-nothing", EINVAL, &source, AT(PAUSE),
      OWED(BASE, 0, 1) },
    { "what-is-owed-without-room", EINVAL, &source, AT(PAUSE),
      OWED(BASE, 4096, 0) },
    { "what-is-owed-of-half-a-page", EINVAL, &source, AT(PAUSE),
      OWED(BASE + 2048, 2048, 1) },
    { "what-is-owed-of-the-upper-half", EINVAL, &source, AT(PAUSE),
      OWED(UPPER_HALF, 4096, 1) },
    { "what-is-owed-of-both-halves", EINVAL, &source, AT(PAUSE),
      OWED(UPPER_HALF - 4096, 8192, 1) },
    { "a-range-that-wraps", EINVAL, &source, AT(PAUSE),
      OWED(BASE, -4096ull, 1) },
    { "what-is-reserved-of-what-is-owed", EINVAL, &source, AT(PAUSE),
      OWED(BASE, 4096, 1, .reserved = { 1 }) },
    { "what-is-owed-over-holes", 0, &source, AT(PAUSE),
      OWED(BASE - 1 * MiB, 16 * MiB, 8) },
    { "export-of-nothing", EINVAL, &source, AT(PAUSE),
      EXPORT(image, 0, MIG_MAX_BUNDLE) },
    { "export-of-too-many", E2BIG, &source, AT(PAUSE),
      EXPORT(image, MIG_MAX_PAGES + 1, MIG_MAX_BUNDLE) },
    { "export-on-no-stream", EINVAL, &source, AT(PAUSE),
      EXPORT(image, 1, MIG_MAX_BUNDLE, .stream = MIG_MAX_STREAMS) },
    { "export-of-a-bundle-that-is-not-the-next", EINVAL, &source, AT(PAUSE),
      EXPORT(image, 1, MIG_MAX_BUNDLE, .number = 1) },
    { "flags-of-an-export", EINVAL, &source, AT(PAUSE),
      EXPORT(image, 1, MIG_MAX_BUNDLE, .flags = 1) },
    { "export-of-no-page", EINVAL, &source, AT(PAUSE),
      EXPORT(no_page, 1, MIG_MAX_BUNDLE) },
    { "export-of-the-upper-half", EINVAL, &source, AT(PAUSE),
      EXPORT(upper, 2, MIG_MAX_BUNDLE) },
    { "export-with-too-little-room", ENOSPC, &source, AT(PAUSE),
      EXPORT(image, 2, 8192) },
    { "tags-of-a-private-page", EPERM, &source, AT(PAUSE),
      TAGS(BASE, 8192, FROM) },
    { "tags-of-a-shared-page", 0, &source, AT(PAUSE),
      TAGS(SHARED_PAGE, 4096, FROM) },
    { "tags-of-no-memory", EFAULT, &source, AT(PAUSE),
      TAGS(SLOT_TOP, 4096, FROM) },
    { "tags-of-no-page", EINVAL, &source, AT(PAUSE),
      TAGS(BASE + 8, 4096, FROM) },
    { "what-is-reserved-of-tags", EINVAL, &source, AT(PAUSE),
      TAGS(SHARED_PAGE, 4096, FROM, .reserved = { 1 }) },

    /* PAUSED */
    { "a-part-that-is-not-the-first", EINVAL, &source, AT(STATE),
      BLOB(STATE, MIG_MAX_BUNDLE, .part = 1) },
    { "state-with-too-little-room", ENOSPC, &source, AT(STATE),
      BLOB(STATE, 100) },
    { "start-without-the-state", EPROTO, &source, AT(STATE),
      BLOB(START, 256, READY) },
    { "run-what-is-paused", EPERM, &source, AT(STATE), KVM_RUN },
    { "to-take-a-page-of-what-is-paused", 0, &source, AT(STATE),
      SET_SHARED(SPARE), .says = LOST },
    { "the-first-part-twice", EINVAL, &source, AT(START),
      BLOB(STATE, MIG_MAX_BUNDLE) },
    { "a-part-beyond-all", 0, &source, AT(START),
      BLOB(STATE, MIG_MAX_BUNDLE, .part = 99) },
    { "start-with-too-little-room", ENOSPC, &source, AT(START),
      BLOB(START, 16), .same_peer = true },
    { "start-without-a-ready-record", EINVAL, &source, AT(START),
      BLOB(START, 256) },
    { "start-with-a-part-of-a-ready-record", EINVAL, &source, AT(START),
      BLOB(START, 256, PEER(KVM_CC_READY_SIZE - 1)) },
    { "start-with-more-than-a-ready-record", EINVAL, &source, AT(START),
      BLOB(START, 256, PEER(KVM_CC_READY_SIZE + 1)) },
    { "what-is-no-ready-record", EPROTO, &source, AT(START),
      BLOB(START, 256, READY) },
    { "finish-before-start", EPERM, &source, AT(START), BLOB(FINISH, 64) },

    /* SEALED */
    { "abort-after-start", EPERM, &source, AT(START), BARE(ABORT),
      .after = true },
    { "start-again", 0, &source, AT(START), BLOB(START, 256),
      .after = true },
    { "start-again-with-any-ready-record", 0, &source, AT(START),
      BLOB(START, 256, READY), .after = true },
    { "start-again-with-a-part-of-one", EINVAL, &source, AT(START),
      BLOB(START, 256, PEER(1)), .after = true },
    { "start-again-with-too-little-room", ENOSPC, &source, AT(START),
      BLOB(START, 16), .after = true },
    { "prepare-what-has-left", EPERM, &source, AT(START), BLOB(PREPARE, 32),
      .after = true },
    { "what-is-no-receipt", EPROTO, &source, AT(FINISH), BLOB(FINISH, 64) },
    { "a-part-of-a-receipt", EPROTO, &source, AT(FINISH), BLOB(FINISH, 63) },
    { "finish-without-a-receipt", EINVAL, &source, AT(FINISH), BARE(FINISH) },
    { "a-receipt-over-max-blob", E2BIG, &source, AT(FINISH),
      BLOB(FINISH, TOO_LARGE) },
    { "export-after-start", EPERM, &source, AT(START),
      EXPORT(image, 1, MIG_MAX_BUNDLE), .after = true },
    { "what-is-owed-after-start", EPERM, &source, AT(START),
      OWED(BASE, 4096, 1), .after = true },
    { "to-take-a-page-of-what-has-left", 0, &source, AT(START),
      SET_SHARED(SPARE), .after = true },
    { "run-what-has-left", EPERM, &source, AT(START), KVM_RUN,
      .after = true },
    { "what-is-no-abort-token", EPROTO, &source, AT(START), BLOB(RESUME, 80),
      .after = true },
    { "an-abort-token-over-max-blob", E2BIG, &source, AT(START),
      BLOB(RESUME, TOO_LARGE), .after = true },

    /* GONE */
    { "finish-again-with-any-receipt", 0, &source, AT(FINISH),
      BLOB(FINISH, 64), .after = true },
    { "take-back-what-is-gone", EPERM, &source, AT(FINISH), BLOB(RESUME, 80),
      .after = true },
    { "start-what-is-gone", EPERM, &source, AT(FINISH),
      BLOB(START, 256, READY), .after = true },
    { "run-what-is-gone", EPERM, &source, AT(FINISH), KVM_RUN,
      .after = true },
    { "to-take-a-page-of-what-is-gone", 0, &source, AT(FINISH),
      SET_SHARED(SPARE), .after = true },

    /* NONE, at the destination */
    { "prepare-before-it-runs", EPERM, &destination, AT(OFFER),
      BLOB(PREPARE, 32) },
    { "accept-before-it-runs", EPERM, &destination, AT(OFFER),
      BLOB(ACCEPT, 80) },
    { "import-without-an-offer", EPERM, &destination, AT(OFFER),
      BLOB(IMPORT, 80) },
    { "import-of-pages-without-an-offer", EPERM, &destination, AT(OFFER),
      IMPORT(80) },
    { "commit-without-an-offer", EPERM, &destination, AT(OFFER),
      BARE(COMMIT) },
    { "give-up-without-an-offer", EPERM, &destination, AT(OFFER),
      BLOB(GIVE_UP, 80) },
    { "ready-without-an-offer", EPERM, &destination, AT(OFFER),
      BLOB(READY, 256) },
    { "a-receipt-without-an-offer", EPERM, &destination, AT(OFFER),
      BLOB(RECEIPT, 256) },
    { "offer-with-too-little-room", ENOSPC, &destination, AT(OFFER),
      BLOB(OFFER, 100, NONCE) },
    { "offer-without-a-nonce", EINVAL, &destination, AT(OFFER),
      BLOB(OFFER, MIG_MAX_BUNDLE) },
    { "offer-for-a-part-of-a-nonce", EINVAL, &destination, AT(OFFER),
      BLOB(OFFER, MIG_MAX_BUNDLE, PEER(31)) },
    { "offer-for-more-than-a-nonce", EINVAL, &destination, AT(OFFER),
      BLOB(OFFER, MIG_MAX_BUNDLE, PEER(33)) },
    { "offer-for-a-nonce-that-is-nowhere", EINVAL, &destination, AT(OFFER),
      BLOB(OFFER, MIG_MAX_BUNDLE, .peer_size = 32) },

    /* OFFERED */
    { "an-offer-again-for-a-part-of-a-nonce", EINVAL, &destination,
      AT(IMPORT), BLOB(OFFER, MIG_MAX_BUNDLE, PEER(31)) },
    { "ready-before-the-session", EPERM, &destination, AT(IMPORT),
      BLOB(READY, 256) },
    { "pages-before-the-session", EPERM, &destination, AT(IMPORT),
      IMPORT(80) },
    { "commit-before-the-session", EPERM, &destination, AT(IMPORT),
      BARE(COMMIT) },
    { "a-record-over-max-blob", E2BIG, &destination, AT(IMPORT),
      BLOB(IMPORT, TOO_LARGE) },
    { "give-up-with-too-little-room", ENOSPC, &destination, AT(IMPORT),
      BLOB(GIVE_UP, 10) },
    { "run-what-has-not-come", EPERM, &destination, AT(IMPORT), KVM_RUN },
    { "a-vcpu-after-the-offer", EBUSY, &destination, AT(IMPORT),
      KVM_CREATE_VCPU },
    { "to-share-a-page-after-the-offer", 0, &destination, AT(IMPORT),
      SET_SHARED(BASE) },
    { "to-write-an-answer-of-no-kind", EINVAL, &destination, AT(IMPORT),
      KVM_SET_ONE_REG, { .g = { .id = KVM_REG_ARM_REC_ANSWER_REG(0),
                                .addr = UINT(&unknown_flag) } } },
    { "tags-of-a-page-that-may-come", 0, &destination, AT(IMPORT),
      TAGS(BASE, 4096, TO) },

    /* IMPORTING */
    { "commit-before-the-start-token", EPROTO, &destination,
      KVM_CC_IMPORT_PAGES, ANY_STEP, BARE(COMMIT) },
    { "ready-before-all-has-come", EPROTO, &destination,
      KVM_CC_IMPORT_PAGES, ANY_STEP, BLOB(READY, 256) },
    { "a-receipt-before-commit", EPERM, &destination,
      KVM_CC_IMPORT_PAGES, ANY_STEP, BLOB(RECEIPT, 256) },
    { "ready-with-too-little-room", ENOSPC, &destination, AT(READY),
      BLOB(READY, 16) },
    { "commit-after-ready", EPROTO, &destination, AT(READY), BARE(COMMIT),
      .after = true },
    { "to-take-a-page-of-what-is-coming", 0, &destination, AT(READY),
      SET_SHARED(SPARE), .says = "a page never came" },
    { "a-list-of-an-import", EINVAL, &destination,
      KVM_CC_IMPORT_PAGES, ANY_STEP, IMPORT(80, .count = 1) },
    { "a-bundle-over-max-blob", E2BIG, &destination,
      KVM_CC_IMPORT_PAGES, ANY_STEP, IMPORT(TOO_LARGE) },
    { "what-is-owed-at-the-destination", EPERM, &destination,
      KVM_CC_IMPORT_PAGES, ANY_STEP, OWED(BASE, 4096, 1) },
    { "an-offer-again-after-what-came", EPERM, &destination,
      KVM_CC_IMPORT_PAGES, ANY_STEP, BLOB(OFFER, MIG_MAX_BUNDLE, NONCE) },
    { "a-number-of-an-import", EINVAL, &destination,
      KVM_CC_IMPORT_PAGES, ANY_STEP, IMPORT(80, .number = 1) },

    /* IMPORTED */
    { "to-take-a-page-of-what-came", 0, &destination, AT(COMMIT),
      SET_SHARED(SPARE), .says = LOST },
    { "a-record-after-the-start-token", EPROTO, &destination, AT(COMMIT),
      BLOB(IMPORT, 80) },
    { "pages-after-the-start-token", EPROTO, &destination, AT(COMMIT),
      IMPORT(80) },
    { "tags-of-a-page-that-came", EPERM, &destination, AT(COMMIT),
      TAGS(BASE, 4096, TO) },
    { "ready-after-the-start-token", EPROTO, &destination, AT(COMMIT),
      BLOB(READY, 256) },

    /* NONE again */
    { "give-up-after-commit", EPERM, &destination, AT(COMMIT),
      BLOB(GIVE_UP, 80), .after = true },
    { "ready-after-commit", EPERM, &destination, AT(COMMIT),
      BLOB(READY, 256), .after = true },
    { "commit-twice", EPERM, &destination, AT(COMMIT), BARE(COMMIT),
      .after = true },
    { "receipt-with-too-little-room", ENOSPC, &destination, AT(COMMIT),
      BLOB(RECEIPT, 16), .after = true },
    { "to-read-an-answer-of-what-runs", EPERM, &destination, AT(COMMIT),
      KVM_GET_ONE_REG, { .g = { .id = KVM_REG_ARM_REC_ANSWER_REG(0),
                                .addr = UINT(blob) } }, .after = true },
    { "finish-what-has-come", EPERM, &destination, AT(COMMIT),
      BLOB(FINISH, 64), .after = true },
};

typedef struct Trial {
    const Strict *what;
    bool over;
} Trial;

static bool is_moment(const Strict *what, const DoubleCall *call, bool after)
{
    const struct kvm_cc_migrate *args = call->arg;

    return after == what->after && call->request == (uint32_t)what->moment &&
           (what->step == ANY_STEP || args->step == what->step);
}

static int make_call(const Strict *what, const DoubleCall *call)
{
    MigArgs args = what->args;

    if (what->same_peer) {
        const struct kvm_cc_migrate *asked = call->arg;

        args.m.peer = asked->peer;
        args.m.peer_size = asked->peer_size;
    }

    switch (what->request) {
    case KVM_RUN:
        return kvm_vcpu_ioctl(first_cpu, KVM_RUN, NULL);
    case KVM_GET_ONE_REG:
    case KVM_SET_ONE_REG:
        return kvm_vcpu_ioctl(first_cpu, what->request, &args);
    case KVM_CREATE_VCPU:
        return vm_call(KVM_CREATE_VCPU, (void *)2);
    case KVM_SET_MEMORY_ATTRIBUTES2:
        return kvm_device_ioctl(machine.gmem, what->request, &args);
    case KVM_ARM_MTE_COPY_TAGS:
        return MIN(vm_call(what->request, &args), 0);
    default:
        return vm_call(what->request, &args);
    }
}

static void try_it(DoubleCall *call, bool after, void *opaque)
{
    Trial *trial = opaque;
    const Strict *what = trial->what;
    DoubleVcpu *vcpu;

    if (trial->over || !is_moment(what, call, after)) {
        return;
    }
    trial->over = true;
    vcpu = double_file(first_cpu->kvm_fd)->object;
    double_probing(true);
    vcpu->running = what->running;
    g_assert_cmpint(make_call(what, call), ==, -what->error);
    vcpu->running = false;
    double_probing(false);
}

static void test_migration(const void *opaque)
{
    Trial trial = { .what = opaque };
    Run run = *trial.what->run;

    run.hook = try_it;
    run.opaque = &trial;
    if (trial.what->says) {
        Error *err = NULL;

        g_assert_false(run_counted(&run, false, &err));
        g_test_message("%s", error_get_pretty(err));
        g_assert_nonnull(strstr(error_get_pretty(err), trial.what->says));
        error_free(err);
    } else {
        g_assert_true(run_counted(&run, false, &error_abort));
    }
    g_assert_true(trial.over);
}

static void add_migration(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(migration); i++) {
        g_autofree char *name = g_strdup_printf(
            "/kvm-double/strict/%s-%s", migration[i].error ? "refuse" : "allow",
            migration[i].claim);

        g_test_add_data_func(name, &migration[i], test_migration);
    }
}

/* ---- Blobs that are given again ---- */

/*
 * A blob that the caller lost: it had no memory for it (EFAULT), or has it no
 * more.  The step was taken; the same call gives the same bytes again, and
 * changes nothing, so the run goes on.
 */
typedef struct Again {
    const char *claim;
    const Run *run;
    unsigned long moment;
    int step;
    const char *session;        /* KVM's state then */
    bool anew;                  /* other bytes, which serve as well */
    struct {
        int error;
        unsigned long request;  /* 0: nothing */
        MigArgs args;
    } meanwhile[3];
} Again;

static const Again again[] = {
    { "session-header", &source, AT(BEGIN), "exporting", false,
      { { ENOSPC, BLOB(BEGIN, 100) },
        { 0, EXPORT(hole, 1, MIG_MAX_BUNDLE, .stream = 1) } } },
    { "bundle", &source, KVM_CC_EXPORT_PAGES, ANY_STEP, "exporting", false,
      { { ENOSPC, EXPORT(image, 1, 4096) },
        { EINVAL, EXPORT(image, 1, MIG_MAX_BUNDLE, .number = 2) },
        { 0, EXPORT(hole, 1, MIG_MAX_BUNDLE, .stream = 1) } } },
    { "bundle-without-a-look-at-the-list", &source, KVM_CC_EXPORT_PAGES,
      ANY_STEP, "exporting", false,
      { { 0, EXPORT(no_page, 1, MIG_MAX_BUNDLE) } } },
    { "epoch-token", &source, AT(EPOCH), "exporting", false,
      { { ENOSPC, BLOB(EPOCH, 10) } } },
    { "part-of-the-state", &source, AT(STATE), "paused", false,
      { { ENOSPC, BLOB(STATE, 100) } } },
    { "start-token", &source, AT(START), "sealed", false,
      { { EPERM, BARE(ABORT) }, { EPROTO, BLOB(RESUME, 80) },
        { ENOSPC, BLOB(START, 16) } } },
    { "offer", &destination, AT(OFFER), "offered", false,
      { { EPERM, BARE(COMMIT) }, { ENOSPC, BLOB(OFFER, 100, NONCE) },
        { EINVAL, BLOB(OFFER, MIG_MAX_BUNDLE) } } },
    { "receipt", &destination, AT(RECEIPT), "none", false,
      { { EPERM, BLOB(GIVE_UP, 80) }, { ENOSPC, BLOB(RECEIPT, 16) } } },
    { "ready-record", &destination, AT(READY), "importing", true,
      { { EPROTO, BARE(COMMIT) }, { ENOSPC, BLOB(READY, 16) } } },
};

typedef struct AgainTrial {
    const Again *what;
    bool fault;                 /* the first call has no memory for it */
    unsigned number;            /* of the first call */
    GBytes *blob;               /* that it gave, or would have */
    bool over;
} AgainTrial;

/* The blob of a call that has succeeded; @args: its arguments. */
static GBytes *blob_of(unsigned long request, const MigArgs *args)
{
    return request == (uint32_t)KVM_CC_EXPORT_PAGES
        ? g_bytes_new((void *)(uintptr_t)args->p.blob, args->p.blob_size)
        : g_bytes_new((void *)(uintptr_t)args->m.blob, args->m.blob_size);
}

static MigArgs args_of(const DoubleCall *call)
{
    MigArgs args = { 0 };

    if (call->request == (uint32_t)KVM_CC_EXPORT_PAGES) {
        args.p = *(struct kvm_cc_pages *)call->arg;
    } else {
        args.m = *(struct kvm_cc_migrate *)call->arg;
    }
    return args;
}

static void check_same(AgainTrial *trial, GBytes *found)
{
    if (!trial->blob) {
        trial->blob = g_bytes_ref(found);
    } else if (!trial->what->anew) {
        g_assert_true(g_bytes_equal(trial->blob, found));
    }
    g_bytes_unref(found);
}

/* The call is made again, with memory of its own for the blob. */
static void call_again(AgainTrial *trial, DoubleCall *call)
{
    MigArgs args = args_of(call);

    if (call->request == (uint32_t)KVM_CC_EXPORT_PAGES) {
        args.p.blob = UINT(blob);
        args.p.blob_size = MIG_MAX_BUNDLE;
    } else {
        args.m.blob = UINT(blob);
        args.m.blob_size = MIG_MAX_BUNDLE;
        args.m.flags = 0;
    }
    g_assert_cmpint(vm_call(call->request, &args), ==, 0);
    check_same(trial, blob_of(call->request, &args));
}

static void try_meanwhile(const Again *what)
{
    for (size_t i = 0; i < ARRAY_SIZE(what->meanwhile); i++) {
        MigArgs args = what->meanwhile[i].args;

        g_assert_cmpstr(double_session(), ==, what->session);
        if (what->meanwhile[i].request) {
            g_assert_cmpint(vm_call(what->meanwhile[i].request, &args), ==,
                            -what->meanwhile[i].error);
        }
    }
}

static void lose_blob(DoubleCall *call, bool after, void *opaque)
{
    AgainTrial *trial = opaque;
    const Strict moment = { .moment = trial->what->moment,
                            .step = trial->what->step, .after = after };

    if (trial->over || !is_moment(&moment, call, after)) {
        return;
    }
    if (!trial->number) {
        trial->number = call->number;
        call->fault = trial->fault;
    }
    if (!after || call->number != trial->number) {
        return;
    }
    trial->over = true;
    g_assert_cmpint(call->ret, ==, trial->fault ? -EFAULT : 0);
    if (!trial->fault) {
        MigArgs args = args_of(call);

        check_same(trial, blob_of(call->request, &args));
    }
    double_probing(true);
    try_meanwhile(trial->what);
    call_again(trial, call);
    call_again(trial, call);
    double_probing(false);
}

static void test_again(const Again *what, bool fault)
{
    AgainTrial trial = { .what = what, .fault = fault };
    Run run = *what->run;

    run.hook = lose_blob;
    run.opaque = &trial;
    g_assert_true(run_counted(&run, false, &error_abort));
    g_assert_true(trial.over);
    g_bytes_unref(trial.blob);
}

static void test_not_written(const void *opaque)
{
    test_again(opaque, true);
}

static void test_lost(const void *opaque)
{
    test_again(opaque, false);
}

static void lose_memory(DoubleCall *call, bool after, void *opaque)
{
    call->fault = *(bool *)opaque;
}

/* What was kept for longer would be given in any state. */
static void test_kept_no_longer(void)
{
    const Strict offer = { "", 0, NULL, 0, 0,
                           BLOB(OFFER, MIG_MAX_BUNDLE, NONCE) };
    const Strict give_up = { "", 0, NULL, 0, 0, BLOB(GIVE_UP, 80) };
    DoubleMachineOptions m = {
        .config = double_default_config, .incoming = true,
    };
    bool fault = true;

    m.config.migration = true;
    double_start(&(DoubleOptions) { "v16", .migration = true });
    g_assert_true(double_machine_create(&m, &error_abort));
    double_set_hook(lose_memory, &fault);
    g_assert_cmpint(make_call(&offer, NULL), ==, -EFAULT);
    g_assert_cmpint(make_call(&offer, NULL), ==, -EFAULT);
    g_assert_cmpstr(double_session(), ==, "offered");
    g_assert_cmpint(make_call(&give_up, NULL), ==, -EFAULT);
    g_assert_cmpstr(double_session(), ==, "failed");
    fault = false;
    g_assert_cmpint(make_call(&offer, NULL), ==, -EPERM);
    g_assert_cmpint(make_call(&give_up, NULL), ==, 0);
    double_set_hook(NULL, NULL);
    end();
}

static void add_again(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(again); i++) {
        g_autofree char *lost = g_strdup_printf(
            "/kvm-double/strict/give-again-what-was-lost/%s", again[i].claim);
        g_autofree char *fault = g_strdup_printf(
            "/kvm-double/strict/give-again-what-was-not-written/%s",
            again[i].claim);

        g_test_add_data_func(lost, &again[i], test_lost);
        g_test_add_data_func(fault, &again[i], test_not_written);
    }
}

/* ---- The text of the specification ---- */

/*
 * These tests read from the document what KVM answers without the RMM: the
 * numbers and sizes of ioctls, and what each state accepts.
 */
static char *specification(void)
{
    const char *path = g_getenv("REALM_KVM_SPEC");
    char *text;

    g_assert_nonnull(path);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void test_numbers_in_the_text(void)
{
#define CALL(name, type) { #name, #type, name, sizeof(struct type) }
    static const struct {
        const char *name, *type;
        unsigned long request;
        size_t size;
    } calls[] = {
        CALL(KVM_CC_MIG_INFO, kvm_cc_mig_info),
        CALL(KVM_CC_MIGRATE, kvm_cc_migrate),
        CALL(KVM_CC_OWED_PAGES, kvm_cc_owed),
        CALL(KVM_CC_EXPORT_PAGES, kvm_cc_pages),
        CALL(KVM_CC_IMPORT_PAGES, kvm_cc_pages),
    };
#undef CALL
    g_autofree char *text = specification();

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        unsigned long request = calls[i].request;
        g_autofree char *row = g_strdup_printf(
            "\n%s +0x%02lx +_IO%s%s +struct %s\n", calls[i].name,
            _IOC_NR(request), _IOC_DIR(request) & _IOC_WRITE ? "W" : "",
            _IOC_DIR(request) & _IOC_READ ? "R" : "", calls[i].type);
        g_autofree char *size = g_strdup_printf(
            "  struct %s \\{[^}]*\\}[^}]*Its size is 0x%zx\\.",
            calls[i].type, calls[i].size);

        g_test_message("%s", row);
        g_assert_cmpuint(_IOC_SIZE(request), ==, calls[i].size);
        g_assert_true(g_regex_match_simple(row, text, 0, 0));
        g_assert_true(g_regex_match_simple(size, text, 0, 0));
    }
}

/* Rows of a table that begin with a number and a name */
static void test_rows_in_the_text(void)
{
#define STEP_ROW(name) { KVM_CC_##name, #name }
#define CAUSE_ROW(name) { KVM_CC_CAUSE_##name, #name }
    static const struct {
        unsigned number;
        const char *name;
    } rows[] = {
        STEP_ROW(PREPARE), STEP_ROW(ACCEPT), STEP_ROW(BEGIN), STEP_ROW(EPOCH),
        STEP_ROW(PAUSE), STEP_ROW(STATE), STEP_ROW(START), STEP_ROW(FINISH),
        STEP_ROW(ABORT), STEP_ROW(RESUME), STEP_ROW(OFFER), STEP_ROW(IMPORT),
        STEP_ROW(READY), STEP_ROW(COMMIT), STEP_ROW(RECEIPT),
        STEP_ROW(GIVE_UP),
        CAUSE_ROW(OTHER), CAUSE_ROW(FORMAT), CAUSE_ROW(SEAL),
        CAUSE_ROW(VERSION), CAUSE_ROW(PEER), CAUSE_ROW(EXPIRED),
        CAUSE_ROW(DIFFERENT), CAUSE_ROW(OWED), CAUSE_ROW(MISSING),
        CAUSE_ROW(OTHER_SESSION), CAUSE_ROW(LOST), CAUSE_ROW(KEY),
        CAUSE_ROW(LIMIT),
    };
#undef STEP_ROW
#undef CAUSE_ROW
    g_autofree char *text = specification();

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        g_autofree char *row = g_strdup_printf("\n%u +%s +[^ \n]",
                                               rows[i].number, rows[i].name);

        g_test_message("%s", row);
        g_assert_true(g_regex_match_simple(row, text, 0, 0));
    }
    g_assert_cmpint(KVM_CC_CAUSES, ==, KVM_CC_CAUSE_LIMIT + 1);
}

/* "How the model's causes (MigCause) become KVM's", one row. */
static void read_causes(const char *numbers, uint32_t cause,
                        uint32_t (*expected)[2])
{
    g_auto(GStrv) items = g_strsplit_set(numbers, ",;", -1);

    for (size_t i = 0; items[i]; i++) {
        g_autofree char *item = g_strdup(items[i]);
        unsigned first, last, second;
        bool source = strstr(item, "at the source");
        bool destination = strstr(item, "at the destination");
        int n;

        if (sscanf(item, " %u and above", &first) == 1 &&
            strstr(item, "above")) {
            last = MIG_CAUSE_DIFFERENT_POLICY + 1;
        } else {
            n = sscanf(item, " %u to %u", &first, &last);
            g_assert_cmpint(n, >=, 1);
            last = n == 2 ? last : first;
            if (sscanf(item, " %u and %u at", &first, &second) == 2) {
                last = second;
            }
        }
        for (unsigned detail = first; detail <= last; detail++) {
            for (int import = 0; import < 2; import++) {
                if (import ? !source : !destination) {
                    g_assert_cmpuint(expected[detail][import], ==, 0);
                    expected[detail][import] = cause;
                }
            }
        }
    }
}

static void test_causes_in_the_text(void)
{
    static const char *const names[KVM_CC_CAUSES] = {
        NULL, "FORMAT", "SEAL", "VERSION", "PEER", "EXPIRED", "DIFFERENT",
        "OWED", "MISSING", "OTHER_SESSION", "LOST", "KEY", "LIMIT",
    };
    uint32_t expected[MIG_CAUSE_DIFFERENT_POLICY + 2][2] = { 0 };
    g_autofree char *text = specification();
    const char *table = strstr(text, "\nHow the model's causes");

    g_assert_nonnull(table);
    for (uint32_t cause = 1; cause < KVM_CC_CAUSES; cause++) {
        g_autofree char *row = g_strdup_printf("\n%s +(\\d[^\n]*)\n",
                                               names[cause]);
        g_autoptr(GRegex) form = g_regex_new(row, 0, 0, NULL);
        g_autoptr(GMatchInfo) match = NULL;
        g_autofree char *numbers = NULL;

        g_assert_true(g_regex_match(form, table, 0, &match));
        numbers = g_match_info_fetch(match, 1);
        read_causes(numbers, cause, expected);
    }
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        g_test_message("the model's %zu", i);
        g_assert_cmpuint(monitor_cause(i, false), ==, expected[i][false]);
        g_assert_cmpuint(monitor_cause(i, true), ==, expected[i][true]);
    }
}

typedef struct State {
    const char *name;           /* in the text */
    const char *other;          /* that KVM cannot tell from it, or NULL */
    const char *never;          /* not accepted on this side, or NULL */
    const Run *run;
    unsigned long moment;
    int step;
    bool after;
    const char *kept;           /* whose blob is given again, or NULL */
} State;

static const State states[] = {
    { "NONE", NULL, "OFFER RECEIPT", &source, AT(ACCEPT) },
    { "ACCEPTED", NULL, NULL, &source, AT(BEGIN) },
    { "EXPORTING", NULL, NULL, &source, AT(PAUSE), .kept = "BEGIN" },
    { "PAUSED", NULL, NULL, &source, AT(PAUSE), true },
    { "SEALED", NULL, NULL, &source, AT(START), true },
    { "GONE", NULL, NULL, &source, AT(FINISH), true },
    { "NONE", NULL, "PREPARE ACCEPT RECEIPT", &destination, AT(OFFER) },
    { "OFFERED", NULL, NULL, &destination, AT(IMPORT) },
    { "IMPORTING", "IMPORTED", NULL, &destination, KVM_CC_IMPORT_PAGES,
      ANY_STEP },
    { "IMPORTED", "IMPORTING", NULL, &destination, AT(COMMIT) },
    { "NONE", NULL, "OFFER", &destination, AT(COMMIT), true },
};

/*
 * A call in two forms.  The usual one is for the states that refuse it.  The
 * other does nothing, has this error (in some states a second one), and is for
 * the states that accept the call (NO_SUCH: there is none).
 */
#define NO_SUCH INT_MAX

static const struct {
    const char *name;
    Strict refused, accepted;
    int second;
} all_calls[] = {
    { "PREPARE", { "", EPERM, NULL, 0, 0, BLOB(PREPARE, 32) },
      { "", ENOSPC, NULL, 0, 0, BLOB(PREPARE, 31) } },
    { "ACCEPT", { "", EPERM, NULL, 0, 0, BLOB(ACCEPT, 80) },
      { "", EPROTO, NULL, 0, 0, BLOB(ACCEPT, 80) } },
    { "BEGIN", { "", EPERM, NULL, 0, 0, BLOB(BEGIN, MIG_MAX_BUNDLE) },
      { "", ENOSPC, NULL, 0, 0, BLOB(BEGIN, 100) } },
    { "EPOCH", { "", EPERM, NULL, 0, 0, BLOB(EPOCH, MIG_MAX_BUNDLE) },
      { "", ENOSPC, NULL, 0, 0, BLOB(EPOCH, 10) },
      EINVAL },                                         /* not the next one */
    { "PAUSE", { "", EPERM, NULL, 0, 0, BARE(PAUSE) },
      { "", EBUSY, NULL, 0, 0, BARE(PAUSE), .running = true } },
    { "STATE", { "", EPERM, NULL, 0, 0, BLOB(STATE, MIG_MAX_BUNDLE) },
      { "", ENOSPC, NULL, 0, 0, BLOB(STATE, 100) } },
    { "START", { "", EPERM, NULL, 0, 0, BLOB(START, 256, READY) },
      { "", EPROTO, NULL, 0, 0, BLOB(START, 16, READY) },   /* no state yet */
      ENOSPC },                                         /* it is asked again */
    { "ABORT", { "", EPERM, NULL, 0, 0, BARE(ABORT) }, { "", NO_SUCH } },
    { "RESUME", { "", EPERM, NULL, 0, 0, BLOB(RESUME, 80) },
      { "", EPROTO, NULL, 0, 0, BLOB(RESUME, 80) } },
    { "FINISH", { "", EPERM, NULL, 0, 0, BLOB(FINISH, 64) },
      { "", E2BIG, NULL, 0, 0, BLOB(FINISH, TOO_LARGE) } },
    { "OFFER", { "", EPERM, NULL, 0, 0, BLOB(OFFER, MIG_MAX_BUNDLE, NONCE) },
      { "", ENOSPC, NULL, 0, 0, BLOB(OFFER, 100, NONCE) } },
    { "IMPORT", { "", EPERM, NULL, 0, 0, BLOB(IMPORT, 80) },
      { "", E2BIG, NULL, 0, 0, BLOB(IMPORT, TOO_LARGE) } },
    { "READY", { "", EPERM, NULL, 0, 0, BLOB(READY, 256) },
      { "", ENOSPC, NULL, 0, 0, BLOB(READY, 16) },
      EPROTO },                                         /* it is too late */
    { "COMMIT", { "", EPERM, NULL, 0, 0, BARE(COMMIT) }, { "", NO_SUCH } },
    { "RECEIPT", { "", EPERM, NULL, 0, 0, BLOB(RECEIPT, 256) },
      { "", ENOSPC, NULL, 0, 0, BLOB(RECEIPT, 16) } },
    { "GIVE_UP", { "", EPERM, NULL, 0, 0, BLOB(GIVE_UP, 80) },
      { "", ENOSPC, NULL, 0, 0, BLOB(GIVE_UP, 10) } },
    { "OWED_PAGES", { "", EPERM, NULL, 0, 0, OWED(BASE, 4096, 1) },
      { "", 0, NULL, 0, 0, OWED(BASE, 4096, 1) } },
    { "EXPORT_PAGES",
      { "", EPERM, NULL, 0, 0, EXPORT(image, 1, MIG_MAX_BUNDLE) },
      { "", ENOSPC, NULL, 0, 0, EXPORT(image, 2, 8192) },
      EINVAL },                                         /* not the next one */
    { "IMPORT_PAGES", { "", EPERM, NULL, 0, 0, IMPORT(80) },
      { "", E2BIG, NULL, 0, 0, IMPORT(TOO_LARGE) } },
};

/* The row of @state in the table "States", without text in brackets. */
static char *row_of(const char *text, const char *state)
{
    g_autofree char *form = g_strdup_printf(
        "\n%s +(yes|EPERM) +([^\n]*(\n {10,}[^\n]*)*)", state);
    g_autoptr(GRegex) row = g_regex_new(form, 0, 0, NULL);
    g_autoptr(GRegex) brackets = g_regex_new("\\([^)]*\\)", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *found = NULL;

    g_assert_true(g_regex_match(row, text, 0, &match));
    found = g_match_info_fetch(match, 2);
    return g_regex_replace_literal(brackets, found, -1, 0, "", 0, NULL);
}

static bool accepts(const State *state, const char *name)
{
    g_autofree char *text = specification();
    g_autofree char *word = g_strdup_printf("\\b%s\\b", name);
    g_autofree char *row = row_of(text, state->name);
    g_autofree char *other = state->other ? row_of(text, state->other) : NULL;

    if (state->kept && g_str_equal(state->kept, name)) {
        return true;
    }
    return !(state->never &&
             g_regex_match_simple(word, state->never, 0, 0)) &&
           (g_regex_match_simple(word, row, 0, 0) ||
            (other && g_regex_match_simple(word, other, 0, 0)));
}

typedef struct StateTrial {
    const State *state;
    bool over;
} StateTrial;

/* "What is refused when": the Realm's vCPUs and first contents are made. */
static void try_builders(void)
{
    struct kvm_vcpu_init init = { .target = KVM_ARM_TARGET_GENERIC_V8 };
    struct kvm_arm_rmi_populate populate = {
        SPARE, 4096, QEMU_ALIGN_UP(UINT(blob), 4096),
    };

    g_assert_cmpint(vm_call(KVM_CREATE_VCPU, (void *)2), ==, -EBUSY);
    g_assert_cmpint(kvm_vcpu_ioctl(first_cpu, KVM_ARM_VCPU_INIT, &init), ==,
                    -EBUSY);
    g_assert_cmpint(vm_call(KVM_ARM_RMI_POPULATE, &populate), ==, -EBUSY);
}

static void try_calls(const State *state, const DoubleCall *call)
{
    DoubleVcpu *vcpu = double_file(first_cpu->kvm_fd)->object;

    double_probing(true);
    for (size_t i = 0; i < ARRAY_SIZE(all_calls); i++) {
        bool accepted = accepts(state, all_calls[i].name);
        const Strict *what = accepted ? &all_calls[i].accepted
                                      : &all_calls[i].refused;
        int second = accepted ? all_calls[i].second : 0;
        int ret;

        if (what->error == NO_SUCH) {
            continue;
        }
        vcpu->running = what->running;
        ret = make_call(what, call);
        vcpu->running = false;
        g_test_message("%s: %s: %d", state->name, all_calls[i].name, ret);
        g_assert_true(ret == -what->error || (second && ret == -second));
    }
    if (!g_str_equal(state->name, "NONE")) {
        try_builders();
    }
    double_probing(false);
}

static void try_all(DoubleCall *call, bool after, void *opaque)
{
    StateTrial *trial = opaque;
    const State *state = trial->state;
    Strict moment = { .moment = state->moment, .step = state->step,
                      .after = state->after };

    if (!trial->over && is_moment(&moment, call, after)) {
        trial->over = true;
        try_calls(state, call);
    }
}

static void test_state_in_the_text(const void *opaque)
{
    StateTrial trial = { .state = opaque };
    Run run = *trial.state->run;

    run.hook = try_all;
    run.opaque = &trial;
    g_assert_true(run_counted(&run, false, &error_abort));
    g_assert_true(trial.over);
}

static void add_states(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        g_autofree char *name = g_strdup_printf(
            "/kvm-double/strict/as-the-text-says/%s-%s%s", states[i].run->name,
            states[i].name, states[i].after ? "-afterwards" : "");

        g_test_add_data_func(name, &states[i], test_state_in_the_text);
    }
}

static int mig_step(uint32_t step)
{
    bool offer = step == KVM_CC_OFFER;
    struct kvm_cc_migrate args = {
        .step = step, .blob = UINT(blob), .blob_size = MIG_MAX_BUNDLE,
        .peer = offer ? UINT(blob) : 0,
        .peer_size = offer ? KVM_CC_NONCE_SIZE : 0,
    };

    return vm_call(KVM_CC_MIGRATE, &args);
}

/* A Realm without the capability, which cannot be enabled later. */
static void test_not_enabled(void)
{
    struct kvm_enable_cap cap = { .cap = KVM_CAP_CC_MIGRATION };
    struct kvm_cc_owed owed = {
        .base = BASE, .size = 4096, .runs = UINT(runs), .num_runs = 1,
    };
    struct kvm_cc_mig_info info;

    start("v16");
    g_assert_true(double_machine_run(&error_abort));
    g_assert_cmpint(double_guest_write(0, BASE, "x", 1, &error_abort), ==,
                    DOUBLE_DONE);
    double_probing(true);
    g_assert_cmpint(mig_step(KVM_CC_OFFER), ==, -EOPNOTSUPP);
    g_assert_cmpint(mig_step(KVM_CC_ACCEPT), ==, -EOPNOTSUPP);
    g_assert_cmpint(vm_call(KVM_CC_OWED_PAGES, &owed), ==, -EOPNOTSUPP);
    g_assert_cmpint(vm_call(KVM_ENABLE_CAP, &cap), ==, -EBUSY);
    g_assert_cmpint(vm_call(KVM_CC_MIG_INFO, &info), ==, 0);
    end();
}

static int enable(const void *policy, uint64_t size)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_CC_MIGRATION, .args = { UINT(policy), size },
    };

    return vm_call(KVM_ENABLE_CAP, &cap);
}

/* KVM knows the size of a policy, and nothing else of it. */
static void test_policies(void)
{
    static const uint8_t policy[KVM_CC_MAX_POLICY + 1];

    start("v16");
    double_probing(true);
    g_assert_cmpint(enable(policy, 0), ==, -EINVAL);
    g_assert_cmpint(enable(NULL, 1), ==, -EINVAL);
    g_assert_cmpint(enable(policy, sizeof(policy)), ==, -EINVAL);
    g_assert_cmpint(enable(policy, sizeof(policy) - 1), ==, 0);
    g_assert_cmpint(enable(policy, 8), ==, -EBUSY);
    end();
}

/* ---- Offers ---- */

typedef struct kvm_cc_migrate Step;

static Step step_of(uint32_t step, void *buf, uint64_t size)
{
    return (Step) { .step = step, .blob = UINT(buf), .blob_size = size };
}

/* A machine that has made its offer */
static void offered(void)
{
    DoubleMachineOptions m = {
        .config = double_default_config, .incoming = true,
    };
    Step offer = step_of(KVM_CC_OFFER, blob, MIG_MAX_BUNDLE);

    m.config.migration = true;
    double_start(&(DoubleOptions) { "v16", .migration = true });
    g_assert_true(double_machine_create(&m, &error_abort));
    offer.peer = UINT(blob);
    offer.peer_size = KVM_CC_NONCE_SIZE;
    g_assert_cmpint(vm_call(KVM_CC_MIGRATE, &offer), ==, 0);
}

/* After OFFER, everything that the row FAILED does not have is refused. */
static void test_failed(void)
{
    const State failed = { "FAILED" };
    Step give_up = step_of(KVM_CC_GIVE_UP, blob, MIG_MAX_BUNDLE);

    offered();
    g_assert_cmpint(vm_call(KVM_CC_MIGRATE, &give_up), ==, 0);
    try_calls(&failed, NULL);
    end();
}

/* What is taken from an empty Realm was never there; the session goes on. */
static void test_slot_after_offer(void)
{
    struct kvm_userspace_memory_region2 none = { 0 };
    Step give_up = step_of(KVM_CC_GIVE_UP, blob, MIG_MAX_BUNDLE);

    offered();
    g_assert_cmpint(vm_call(KVM_SET_USER_MEMORY_REGION2, &none), ==, 0);
    g_assert_cmpstr(double_session(), ==, "offered");
    g_assert_cmpint(vm_call(KVM_CC_MIGRATE, &give_up), ==, 0);
    end();
}

/* A dead VM gives its source the way back, and does nothing else. */
static void test_dead(void)
{
    Step give_up = step_of(KVM_CC_GIVE_UP, blob, MIG_MAX_BUNDLE);
    Step import = step_of(KVM_CC_IMPORT, blob, 80);
    Step resume = step_of(KVM_CC_RESUME, blob, 80);
    DoubleVm *vm;

    offered();
    vm = double_file(kvm_state->vmfd)->vm;
    WITH_QEMU_LOCK_GUARD(&vm->lock) {
        vm_kill(vm);
    }
    g_assert_cmpint(vm_call(KVM_CC_MIGRATE, &import), ==, -EIO);
    g_assert_cmpint(vm_call(KVM_CC_MIGRATE, &resume), ==, -EIO);
    g_assert_cmpstr(double_session(), ==, "offered");
    g_assert_cmpint(vm_call(KVM_CC_MIGRATE, &give_up), ==, 0);
    g_assert_cmpstr(double_session(), ==, "failed");
    end();
}

/* ---- The dirty log of shared pages ---- */

#define PAGE_64K    (64 * KiB)

static int get_log(unsigned long *bits)
{
    struct kvm_dirty_log log = { .dirty_bitmap = bits };

    return vm_call(KVM_GET_DIRTY_LOG, &log);
}

static void start_log(size_t page_size)
{
    DoubleMachineOptions m = { .config = double_default_config };
    uint64_t x = 1;

    double_start(&(DoubleOptions) { "v16", page_size, .migration = true });
    g_assert_true(double_machine_create(&m, &error_abort));
    g_assert_true(double_machine_run(&error_abort));
    g_assert_cmpint(double_guest_set_ripas(0, BASE, 2 * PAGE_64K, false,
                                           &error_abort), ==, DOUBLE_DONE);
    g_assert_cmpint(double_guest_write(0, BASE | double_shared_bit(), &x, 8,
                                       &error_abort), ==, DOUBLE_DONE);
    g_assert_true(double_log_shared(true, &error_abort));
}

/* vCPUs' writes and KVM's own, in host pages; to private pages, none. */
static void test_log(void)
{
    unsigned long bits[1] = { 0 };
    uint64_t x = 1;

    start_log(PAGE_64K);
    g_assert_cmpint(get_log(bits), ==, 0);
    g_assert_cmphex(bits[0], ==, 0);
    g_assert_cmpint(double_guest_write(0, (BASE + 4096) | double_shared_bit(),
                                       &x, 8, &error_abort), ==, DOUBLE_DONE);
    g_assert_cmpint(double_guest_write(0, BASE + 4 * PAGE_64K, &x, 8,
                                       &error_abort), ==, DOUBLE_DONE);
    g_assert_cmpint(get_log(bits), ==, 0);
    g_assert_cmphex(bits[0], ==, 1);
    double_kvm_writes(BASE + PAGE_64K + 8, &x, 8);
    g_assert_cmpint(get_log(bits), ==, 0);
    g_assert_cmphex(bits[0], ==, 2);
    g_assert_cmpint(get_log(bits), ==, 0);
    g_assert_cmphex(bits[0], ==, 0);
    g_assert_true(double_log_shared(false, &error_abort));
    double_probing(true);
    g_assert_cmpint(get_log(bits), ==, -ENOENT);
    end();
}

static void test_log_by_hand(void)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
        .args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
    };
    unsigned long bits[16] = { 0 };
    struct kvm_clear_dirty_log clear = {
        .num_pages = 64, .dirty_bitmap = bits,
    };
    uint64_t x = 1;

    start_log(4 * KiB);
    g_assert_cmpint(vm_call(KVM_ENABLE_CAP, &cap), ==, 0);
    g_assert_cmpint(double_guest_write(0, (BASE + 4096) | double_shared_bit(),
                                       &x, 8, &error_abort), ==, DOUBLE_DONE);
    g_assert_cmpint(get_log(bits), ==, 0);
    g_assert_cmpint(get_log(bits), ==, 0);
    g_assert_cmphex(bits[0], ==, 2);
    double_probing(true);
    clear.first_page = 1;
    g_assert_cmpint(vm_call(KVM_CLEAR_DIRTY_LOG, &clear), ==, -EINVAL);
    double_probing(false);
    clear.first_page = 0;
    g_assert_cmpint(vm_call(KVM_CLEAR_DIRTY_LOG, &clear), ==, 0);
    g_assert_cmpint(get_log(bits), ==, 0);
    g_assert_cmphex(bits[0], ==, 0);
    end();
}

static void test_other_vms(void)
{
    struct kvm_cc_mig_info info;
    int realm, other;

    start("v16");
    realm = kvm_state->vmfd;
    other = kvm_ioctl(kvm_state, KVM_CREATE_VM, 40);
    g_assert_cmpint(other, >=, 0);
    kvm_state->vmfd = other;
    g_assert_cmpint(vm_call(KVM_CC_MIG_INFO, &info), ==, -ENOTTY);
    g_assert_cmpint(mig_step(KVM_CC_OFFER), ==, -ENOTTY);
    kvm_state->vmfd = realm;
    close(other);
    end();
}

static void test_fails_the_test(void)
{
    int status;
    pid_t pid;

    start("v16");
    pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        vm_call(KVM_ARM_RMI_POPULATE_V12, NULL);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    end();
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    runs_init();
#define TEST(name, function) \
    g_test_add_func("/kvm-double/strict/" name, function)
    TEST("steps_of_rme_out_of_order", test_order_of_rme);
    TEST("populate_of_rmi", test_order_of_rmi);
    TEST("slots_and_attributes", test_memory);
    TEST("no_migration_without_the_capability", test_not_enabled);
    TEST("policies_that_make_no_sense", test_policies);
    TEST("no_migration_of_other_vms", test_other_vms);
    TEST("a_forbidden_call_fails_the_test", test_fails_the_test);
    TEST("a-blob-is-kept-no-longer-than-its-session", test_kept_no_longer);
    TEST("a-slot-goes-after-the-offer", test_slot_after_offer);
    TEST("a-dead-vm-can-give-up", test_dead);
    TEST("the-log-has-writes-to-shared-host-pages", test_log);
    TEST("the-log-is-cleared-by-hand", test_log_by_hand);
    TEST("as-the-text-says/numbers", test_numbers_in_the_text);
    TEST("as-the-text-says/steps-and-causes", test_rows_in_the_text);
    TEST("as-the-text-says/the-model's-causes", test_causes_in_the_text);
    TEST("as-the-text-says/destination-FAILED", test_failed);
#undef TEST
    add_states();
    add_migration();
    add_again();
    ret = g_test_run();
    runs_end();
    return ret;
}
