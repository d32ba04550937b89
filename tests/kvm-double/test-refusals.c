/*
 * What a kernel refuses, in words
 *
 * Purpose: let each step of a migration fail with an errno that means something
 * there.  The message has to say what it means, and the phase has to follow:
 * the run's end (runs.c) compares it with the kernel's state, and the Realm
 * runs on, or its destination gives it back.  Time that passes is refused like
 * that, by the RMM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-cc-migration.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "target/arm/rmm/mig-abi.h"
#include "runs.h"

static const Run source = { "source", "v16", 4 * KiB, run_source };
static const Run destination = { "destination", "v16", 4 * KiB,
                                 run_destination };

typedef struct Refusal {
    const char *claim;
    const Run *run;
    uint32_t step;
    int error;                  /* 0: the kernel answers by itself... */
    unsigned seconds;           /* ...after this time */
    const char *says;           /* NULL: nothing, the run succeeds */
    RealmPhase phase;           /* after the refusal */
    bool for_ever;              /* else once */
    uint32_t cause;             /* what the monitor says, */
    uint64_t detail;            /* and by which number */
} Refusal;

#define STEP(name) KVM_CC_##name
#define PHASE(name) REALM_PHASE_##name
#define UNKNOWN(name) \
    "KVM_CC_MIGRATE(" #name "): this kernel does not know the step"

static const Refusal refusals[] = {
    { "no-prepare-in-an-old-kernel", &source, STEP(PREPARE), EINVAL, 0,
      UNKNOWN(PREPARE), PHASE(HERE) },
    { "no-ready-record-in-an-old-kernel", &source, STEP(START), EINVAL, 0,
      UNKNOWN(START), PHASE(PAUSED) },
    { "no-finish-in-an-old-kernel", &source, STEP(FINISH), EINVAL, 0,
      UNKNOWN(FINISH), PHASE(SEALED) },
    { "no-nonce-in-an-old-kernel", &destination, STEP(OFFER), EINVAL, 0,
      UNKNOWN(OFFER), PHASE(EMPTY) },
    { "no-ready-in-an-old-kernel", &destination, STEP(READY), EINVAL, 0,
      UNKNOWN(READY), PHASE(IMPORTING) },
    { "no-receipt-in-an-old-kernel", &destination, STEP(RECEIPT), EINVAL, 0,
      UNKNOWN(RECEIPT), PHASE(HERE) },
    { "a-large-offer", &source, STEP(ACCEPT), E2BIG, 0, "this is no offer",
      PHASE(HERE) },
    { "a-large-receipt", &source, STEP(FINISH), E2BIG, 0,
      "what the destination answered is no record", PHASE(SEALED) },
    { "a-vcpu-that-runs", &source, STEP(PAUSE), EBUSY, 0,
      "its migration: a vCPU is still running", PHASE(EXPORTING),
      .for_ever = true },
    { "a-vcpu-that-still-runs", &source, STEP(PAUSE), EBUSY, 0, NULL },
    { "no-memory-for-long", &source, STEP(ACCEPT), ENOMEM, 0,
      "KVM_CC_MIGRATE(ACCEPT): Cannot allocate memory", PHASE(HERE),
      .for_ever = true },
    { "a-dead-vm", &source, STEP(ACCEPT), EIO, 0,
      "the kernel has given up its VM, and it will never run again",
      PHASE(HERE), .for_ever = true },
    { "no-memory-once", &source, STEP(ACCEPT), ENOMEM, 0, NULL },
    { "no-memory-once-for-a-record", &destination, STEP(IMPORT), ENOMEM, 0,
      NULL },
    { "a-part-that-is-not-the-next", &source, STEP(STATE), EINVAL, 0,
      "its state is exported out of order", PHASE(PAUSED) },
    { "finish-out-of-order", &source, STEP(FINISH), EPERM, 0,
      "its state does not allow it", PHASE(SEALED) },
    { "a-receipt-of-nothing", &destination, STEP(RECEIPT), EPERM, 0,
      "its state does not allow it", PHASE(HERE) },
    { "ready-that-ends-the-session", &destination, STEP(READY), EBADMSG, 0,
      "Realm: cannot", PHASE(FAILED) },
    { "commit-that-ends-the-session", &destination, STEP(COMMIT), EBADMSG, 0,
      "Realm: cannot", PHASE(FAILED) },
    { "ready-that-may-be-repeated", &destination, STEP(READY), EPROTO, 0,
      "Realm: cannot", PHASE(IMPORTING) },
    { "commit-that-may-be-repeated", &destination, STEP(COMMIT), EPROTO, 0,
      "Realm: cannot", PHASE(IMPORTING) },

    { "a-cause-of-a-monitor-that-is-known", &source, STEP(ACCEPT), EPROTO, 0,
      "a platform that the Realm does not trust", PHASE(HERE),
      .cause = KVM_CC_CAUSE_PEER, .detail = MIG_CAUSE_PEER_SIGNATURE },
    { "a-cause-of-another-monitor", &source, STEP(ACCEPT), EPROTO, 0,
      "the Realm's policy does not let the other side take part "
      "(KVM_CC_MIGRATE(ACCEPT): cause 4, the monitor's 1000)", PHASE(HERE),
      .cause = KVM_CC_CAUSE_PEER, .detail = 1000 },
    { "a-number-that-means-something-else", &source, STEP(ACCEPT), EPROTO, 0,
      "the Realm's policy does not let the other side take part "
      "(KVM_CC_MIGRATE(ACCEPT): cause 4, the monitor's 3)", PHASE(HERE),
      .cause = KVM_CC_CAUSE_PEER, .detail = MIG_CAUSE_OFFER_FORMAT },
    { "a-cause-that-is-not-known", &source, STEP(ACCEPT), EPROTO, 0,
      "the monitor refused it "
      "(KVM_CC_MIGRATE(ACCEPT): cause 99, the monitor's 1000)", PHASE(HERE),
      .cause = 99, .detail = 1000 },
    { "what-the-host-took-at-the-destination", &destination, STEP(READY),
      EBADMSG, 0, "its host took memory or a vCPU away", PHASE(FAILED),
      .cause = KVM_CC_CAUSE_LOST, .detail = 1u << 31 },

    { "a-nonce-in-time", &source, STEP(ACCEPT), 0, 600, NULL },
    { "a-nonce-of-long-ago", &source, STEP(ACCEPT), 0, 601,
      "realm-migration-prepare was more than 10 minutes ago", PHASE(HERE) },
    { "an-offer-in-time", &destination, STEP(IMPORT), 0, 600, NULL },
    { "an-offer-of-long-ago", &destination, STEP(IMPORT), 0, 601,
      "the offer was made more than 10 minutes before", PHASE(FAILED) },
};

typedef struct Trial {
    const Refusal *what;
    bool refused;
    RealmPhase phase;           /* where the run failed */
} Trial;

static void refuse(DoubleCall *call, bool after, void *opaque)
{
    Trial *trial = opaque;
    struct kvm_cc_migrate *args = call->arg;

    if (after || (trial->refused && !trial->what->for_ever) ||
        call->request != (uint32_t)KVM_CC_MIGRATE ||
        args->step != trial->what->step) {
        return;
    }
    trial->refused = true;
    call->ret = -trial->what->error;
    if (trial->what->error) {
        args->cause = trial->what->cause;
        args->detail = trial->what->detail;
    }
    double_pass(trial->what->seconds);
}

static void test_refusal(const void *opaque)
{
    Trial trial = { .what = opaque };
    Run run = *trial.what->run;
    Error *err = NULL;
    bool ok;

    run.hook = refuse;
    run.opaque = &trial;
    run.phase = &trial.phase;
    ok = run_counted(&run, false, &err);
    g_assert_true(trial.refused);
    g_assert_cmpint(ok, ==, !trial.what->says);
    if (!ok) {
        g_test_message("%s", error_get_pretty(err));
        g_assert_nonnull(strstr(error_get_pretty(err), trial.what->says));
        g_assert_cmpstr(realm_phase_name(trial.phase), ==,
                        realm_phase_name(trial.what->phase));
    }
    error_free(err);
}

/* Bits that this program does not know are another one's. */
static void add_features(DoubleCall *call, bool after, void *added)
{
    struct kvm_cc_mig_info *info = call->arg;

    if (!after) {
        return;
    }
    if (call->request == (uint32_t)KVM_CC_MIG_INFO) {
        info->features |= 1ull << 63;
        *(unsigned *)added |= 1;
    } else if (call->request == KVM_CHECK_EXTENSION &&
               (uintptr_t)call->arg == KVM_CAP_CC_MIGRATION) {
        call->ret |= 1 << 30;
        *(unsigned *)added |= 2;
    }
}

static void test_unknown_features(void)
{
    unsigned added = 0;
    Run run = source;

    run.hook = add_features;
    run.opaque = &added;
    g_assert_true(run_counted(&run, false, &error_abort));
    g_assert_cmpuint(added, ==, 3);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    runs_init();
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        g_autofree char *name = g_strdup_printf(
            "/kvm-double/refusals/%s-%s", refusals[i].says ? "say" : "allow",
            refusals[i].claim);

        g_test_add_data_func(name, &refusals[i], test_refusal);
    }
    g_test_add_func("/kvm-double/refusals/allow-features-that-are-not-known",
                    test_unknown_features);
    ret = g_test_run();
    runs_end();
    return ret;
}
