/*
 * A kernel whose answers are invalid
 *
 * Purpose: replace each answer of an ioctl that the backend uses by an invalid
 * one: a count beyond the one asked for, no progress, ranges outside of RAM or
 * out of order, a size beyond the buffer's, an unknown flag, a
 * result that the ioctl does not have.  Each has to end the run with an error
 * that names the ioctl.  The sanitizers see that nothing was used before.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include <linux/kvm-cc-migration.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "runs.h"

#define ANY         -1
#define RETURNS     "the kernel's answer is wrong"

typedef struct InvalidAnswer {
    const char *name;           /* what the kernel says */
    const Run *run;
    unsigned long request;
    int64_t which;              /* step, or extension; or ANY */
    void (*falsify)(DoubleCall *call);
    const char *says;           /* beside the ioctl's name; NULL: RETURNS */
    void (*before)(DoubleCall *call);   /* or NULL */
} InvalidAnswer;

/* The rest of the arguments changes the answer, which is @type *a. */
#define FALSIFY(name, type, ...) \
    static void name(DoubleCall *call) \
    { \
        type *a = call->arg; \
        (void)a; \
        __VA_ARGS__; \
    }

/* ---- Any ioctl ---- */

FALSIFY(returns_1, void, call->ret = 1)
FALSIFY(returns_much, void, call->ret = INT_MAX)
FALSIFY(returns_little, void, call->ret = 8)
FALSIFY(returns_200, void, call->ret = 200)

/* ---- Populate ---- */

typedef struct kvm_arm_rmi_populate Populate;

FALSIFY(backwards, Populate, a->size += 0x100000; a->base -= 0x100000;
        a->source_uaddr -= 0x100000)
FALSIFY(size_only, Populate, a->base = 0)
FALSIFY(source_elsewhere, Populate, a->source_uaddr += 4096)
FALSIFY(half_a_page, Populate, a->size += 2048; a->base -= 2048;
        a->source_uaddr -= 2048)
FALSIFY(size_is_huge, Populate, a->size = UINT64_MAX)
FALSIFY(returns_0, void, call->ret = 0)

/* ---- Limits ---- */

typedef struct kvm_cc_mig_info Info;

FALSIFY(large_granule, Info, a->granule = 64 * KiB)
FALSIFY(no_pages, Info, a->max_pages = 0)
FALSIFY(no_streams, Info, a->max_streams = 0)
FALSIFY(many_streams, Info, a->max_streams = 4097)
FALSIFY(many_pages, Info, a->max_pages = UINT32_MAX)
FALSIFY(small_blob, Info, a->max_blob = 4096)
FALSIFY(huge_blob, Info, a->max_blob = UINT64_MAX)

/* ---- Steps ---- */

typedef struct kvm_cc_migrate Migrate;

FALSIFY(blob_is_empty, Migrate, a->blob_size = 0)
FALSIFY(blob_is_huge, Migrate, a->blob_size = UINT64_MAX)
FALSIFY(blob_is_over, Migrate, a->blob_size = 512 * 4 * KiB * 2)
FALSIFY(parts_for_ever, Migrate, a->blob_size = a->blob_size ?: 1)
/* There are fewer parts: this saves the kernel a buffer, 65000 times. */
FALSIFY(no_room_beyond, Migrate, if (a->part > 100) { a->blob_size = 1; })
FALSIFY(token_is_over, Migrate, a->blob_size = REALM_MAX_START_TOKEN + 1)
FALSIFY(reply_is_over, Migrate, a->blob_size = REALM_MAX_REPLY + 1)
FALSIFY(nonce_is_over, Migrate, a->blob_size = REALM_NONCE_SIZE + 1)
FALSIFY(nonce_is_short, Migrate, a->blob_size = REALM_NONCE_SIZE - 1)
FALSIFY(unknown_answer, Migrate, a->flags |= 1u << 31)
FALSIFY(is_not_over, Migrate, a->flags |= KVM_CC_MORE)

/* ---- The log ---- */

typedef struct kvm_cc_owed Log;

static struct kvm_cc_run *runs_of(Log *a)
{
    return (struct kvm_cc_run *)(uintptr_t)a->runs;
}

FALSIFY(many_runs, Log, a->num_runs = UINT32_MAX)
FALSIFY(more_runs, Log, a->num_runs = 4097)
FALSIFY(log_stays, Log, a->base = 1 * GiB; a->size = 4 * MiB)
FALSIFY(log_grows, Log, a->size = UINT64_MAX)
FALSIFY(log_elsewhere, Log, a->base += 4096)
FALSIFY(run_of_nothing, Log, runs_of(a)[0].size = 0)
FALSIFY(run_misaligned, Log, runs_of(a)[0].base += 1)
FALSIFY(run_size_misaligned, Log, runs_of(a)[0].size += 8)
FALSIFY(run_below, Log, runs_of(a)[0].base = 0)
FALSIFY(run_above, Log, runs_of(a)[0].base = 2 * GiB)
FALSIFY(run_beyond, Log, runs_of(a)[0].size = 1 * GiB)
FALSIFY(run_wraps, Log, runs_of(a)[0].size = -4096ull)
FALSIFY(runs_overlap, Log, runs_of(a)[1] = runs_of(a)[0])
FALSIFY(runs_in_disorder, Log, runs_of(a)[0].base = runs_of(a)[1].base;
        runs_of(a)[1].base -= 8 * KiB)

/* ---- Bundles ---- */

typedef struct kvm_cc_pages Pages;

FALSIFY(more_pages, Pages, a->pages = a->count + 1)
FALSIFY(no_pages_in_a_blob, Pages, a->pages = 0)
FALSIFY(pages_in_no_blob, Pages, a->blob_size = 0)
FALSIFY(bundle_is_huge, Pages, a->blob_size = UINT64_MAX)
FALSIFY(bundle_is_over, Pages, a->blob_size = 512 * 4 * KiB * 2)
FALSIFY(imported_many, Pages, a->pages = UINT32_MAX)
FALSIFY(imported_more, Pages, a->pages = 513)

/* Pages that should be private, if the kernel is right */
#define BAD(name, from, bytes) \
    FALSIFY(name, Pages, call->ret = -EADDRNOTAVAIL; a->bad.base = from; \
            a->bad.size = bytes)
BAD(bad_nothing, 1 * GiB, 0)
BAD(bad_part_of_a_page, 1 * GiB + 8, 4096)
BAD(bad_size, 1 * GiB, 4097)
BAD(bad_below, 0, 4096)
BAD(bad_beyond, 1 * GiB, 8 * MiB)
BAD(bad_wraps, 1 * GiB, -4096ull)

/* ---- Tags ---- */

FALSIFY(half_a_page_of_tags, void, call->ret = 2048)

/* ---- What a REC waits for ---- */

FALSIFY(unknown_flag_of_an_answer, struct kvm_one_reg,
        *(uint64_t *)(uintptr_t)a->addr = 8)

/* ---- Which of them, where ---- */

static const Run life_v10 = { "life", "v10", 4 * KiB, run_life };
static const Run life_v12 = { "life", "v12", 4 * KiB, run_life };
static const Run life_v16 = { "life", "v16", 4 * KiB, run_life };
static const Run source_v10 = { "source", "v10", 4 * KiB, run_source };
static const Run source_v16 = { "source", "v16", 4 * KiB, run_source };
static const Run destination_v16 = { "destination", "v16", 4 * KiB,
                                     run_destination };

#define STEP(step) KVM_CC_MIGRATE, KVM_CC_##step

static const InvalidAnswer answers[] = {
    { "realms-have-200-bits", &life_v10, KVM_CHECK_EXTENSION,
      KVM_CAP_ARM_VM_IPA_SIZE, returns_200, "addresses of 200 bits" },
    { "realms-have-8-bits", &life_v16, KVM_CHECK_EXTENSION,
      KVM_CAP_ARM_VM_IPA_SIZE, returns_little, "addresses of 8 bits" },
    { "a-step-returns-1", &life_v10, KVM_ENABLE_CAP, KVM_ARM_RME_ACTIVATE,
      returns_1 },
    { "ripas-returns-much", &life_v10, KVM_ENABLE_CAP, KVM_ARM_RME_INIT_RIPAS,
      returns_much },
    { "a-register-returns-1", &life_v16, KVM_SET_ONE_REG, ANY, returns_1 },
    { "a-rec-returns-1", &life_v10, KVM_ARM_VCPU_FINALIZE, ANY, returns_1 },

    { "v12-populates-too-much", &life_v12, KVM_ARM_RMI_POPULATE_V12, ANY,
      returns_much },
    { "v12-populates-a-bit", &life_v12, KVM_ARM_RMI_POPULATE_V12, ANY,
      returns_little },
    { "v12-populates-nothing", &life_v12, KVM_ARM_RMI_POPULATE_V12, ANY,
      returns_0 },
    { "populate-returns-1", &life_v16, KVM_ARM_RMI_POPULATE, ANY, returns_1 },
    { "populate-goes-backwards", &life_v16, KVM_ARM_RMI_POPULATE, ANY,
      backwards },
    { "populate-moves-the-size-only", &life_v16, KVM_ARM_RMI_POPULATE, ANY,
      size_only },
    { "populate-moves-the-source-elsewhere", &life_v16, KVM_ARM_RMI_POPULATE,
      ANY, source_elsewhere },
    { "populate-does-half-a-page", &life_v16, KVM_ARM_RMI_POPULATE, ANY,
      half_a_page },
    { "populate-leaves-a-huge-size", &life_v16, KVM_ARM_RMI_POPULATE, ANY,
      size_is_huge },

    { "attributes-return-1", &life_v12, KVM_SET_MEMORY_ATTRIBUTES, ANY,
      returns_1 },
    { "attributes-of-a-file-return-1", &life_v16, KVM_SET_MEMORY_ATTRIBUTES2,
      ANY, returns_1 },

    { "info-returns-1", &source_v10, KVM_CC_MIG_INFO, ANY, returns_1 },
    { "pages-of-another-size", &source_v10, KVM_CC_MIG_INFO, ANY,
      large_granule },
    { "no-pages-in-a-blob", &source_v10, KVM_CC_MIG_INFO, ANY,
      no_pages },
    { "many-pages-in-a-blob", &source_v10, KVM_CC_MIG_INFO, ANY,
      many_pages },
    { "a-blob-too-small-for-its-pages", &source_v10, KVM_CC_MIG_INFO,
      ANY, small_blob },
    { "no-streams", &source_v10, KVM_CC_MIG_INFO, ANY, no_streams },
    { "many-streams", &source_v10, KVM_CC_MIG_INFO, ANY,
      many_streams },
    { "a-huge-blob", &source_v10, KVM_CC_MIG_INFO, ANY, huge_blob },
    { "the-migration-returns-1", &source_v10, KVM_ENABLE_CAP, 0, returns_1 },

    { "prepare-returns-1", &source_v16, STEP(PREPARE), returns_1 },
    { "prepare-is-empty", &source_v16, STEP(PREPARE), blob_is_empty },
    { "prepare-is-short", &source_v16, STEP(PREPARE), nonce_is_short },
    { "prepare-is-over", &source_v16, STEP(PREPARE), nonce_is_over },
    { "prepare-is-not-over", &source_v16, STEP(PREPARE), is_not_over },
    { "accept-returns-1", &source_v16, STEP(ACCEPT), returns_1 },
    { "accept-grows-the-offer", &source_v16, STEP(ACCEPT), blob_is_huge },
    { "begin-returns-1", &source_v16, STEP(BEGIN), returns_1 },
    { "begin-is-empty", &source_v16, STEP(BEGIN), blob_is_empty },
    { "begin-is-huge", &source_v16, STEP(BEGIN), blob_is_huge },
    { "begin-is-over", &source_v16, STEP(BEGIN), blob_is_over },
    { "epoch-is-empty", &source_v16, STEP(EPOCH), blob_is_empty },
    { "epoch-is-over", &source_v16, STEP(EPOCH), blob_is_over },
    { "pause-returns-1", &source_v16, STEP(PAUSE), returns_1 },
    { "abort-returns-1", &source_v16, STEP(ABORT), returns_1 },
    { "abort-has-a-blob", &source_v16, STEP(ABORT), blob_is_huge },
    { "pause-has-a-blob", &source_v16, STEP(PAUSE), blob_is_huge },
    { "state-returns-much", &source_v16, STEP(STATE), returns_much },
    { "state-is-over", &source_v16, STEP(STATE), blob_is_over },
    { "state-for-ever", &source_v16, STEP(STATE), parts_for_ever,
      .before = no_room_beyond },
    /* The kernel has handed over: runs.c checks that QEMU takes it so. */
    { "start-returns-1", &source_v16, STEP(START), returns_1 },
    { "start-is-empty", &source_v16, STEP(START), blob_is_empty },
    { "start-is-over", &source_v16, STEP(START), token_is_over },
    { "start-is-not-over", &source_v16, STEP(START), is_not_over },
    { "finish-returns-1", &source_v16, STEP(FINISH), returns_1 },
    { "finish-answers-what-is-unknown", &source_v16, STEP(FINISH),
      unknown_answer },
    { "finish-for-ever", &source_v16, STEP(FINISH), is_not_over },

    { "the-log-returns-1", &source_v10, KVM_CC_OWED_PAGES, ANY,
      returns_1 },
    { "the-log-has-many-runs", &source_v10, KVM_CC_OWED_PAGES, ANY,
      many_runs },
    { "the-log-has-a-run-too-many", &source_v10, KVM_CC_OWED_PAGES, ANY,
      more_runs },
    { "the-log-stays", &source_v10, KVM_CC_OWED_PAGES, ANY, log_stays },
    { "the-log-grows", &source_v10, KVM_CC_OWED_PAGES, ANY, log_grows },
    { "the-log-goes-elsewhere", &source_v10, KVM_CC_OWED_PAGES, ANY,
      log_elsewhere },
    { "a-run-of-nothing", &source_v10, KVM_CC_OWED_PAGES, ANY,
      run_of_nothing },
    { "a-run-of-no-page", &source_v10, KVM_CC_OWED_PAGES, ANY,
      run_misaligned },
    { "a-run-of-part-of-a-page", &source_v10, KVM_CC_OWED_PAGES, ANY,
      run_size_misaligned },
    { "a-run-below", &source_v10, KVM_CC_OWED_PAGES, ANY, run_below },
    { "a-run-above", &source_v10, KVM_CC_OWED_PAGES, ANY, run_above },
    { "a-run-beyond", &source_v10, KVM_CC_OWED_PAGES, ANY, run_beyond },
    { "a-run-that-wraps", &source_v10, KVM_CC_OWED_PAGES, ANY,
      run_wraps },
    { "a-run-twice", &source_v10, KVM_CC_OWED_PAGES, ANY,
      runs_overlap },
    { "runs-in-disorder", &source_v10, KVM_CC_OWED_PAGES, ANY,
      runs_in_disorder },

    { "an-export-returns-1", &source_v16, KVM_CC_EXPORT_PAGES, ANY,
      returns_1 },
    { "more-pages-than-asked-for", &source_v16, KVM_CC_EXPORT_PAGES,
      ANY, more_pages },
    { "a-bundle-without-pages", &source_v16, KVM_CC_EXPORT_PAGES, ANY,
      no_pages_in_a_blob },
    { "pages-without-a-bundle", &source_v16, KVM_CC_EXPORT_PAGES, ANY,
      pages_in_no_blob },
    { "a-huge-bundle", &source_v16, KVM_CC_EXPORT_PAGES, ANY,
      bundle_is_huge },
    { "a-bundle-over-the-room", &source_v16, KVM_CC_EXPORT_PAGES, ANY,
      bundle_is_over },

    { "tags-return-1", &source_v16, KVM_ARM_MTE_COPY_TAGS, ANY, returns_1 },
    { "tags-return-0", &source_v16, KVM_ARM_MTE_COPY_TAGS, ANY, returns_0 },
    { "tags-of-half-a-page", &source_v16, KVM_ARM_MTE_COPY_TAGS, ANY,
      half_a_page_of_tags },
    { "tags-of-much", &source_v16, KVM_ARM_MTE_COPY_TAGS, ANY, returns_much },

    { "an-answer-returns-1", &source_v16, KVM_GET_ONE_REG, ANY, returns_1 },
    { "an-answer-with-an-unknown-flag", &source_v16, KVM_GET_ONE_REG, ANY,
      unknown_flag_of_an_answer },

    { "offer-returns-1", &destination_v16, STEP(OFFER), returns_1 },
    { "offer-is-empty", &destination_v16, STEP(OFFER), blob_is_empty },
    { "offer-is-huge", &destination_v16, STEP(OFFER), blob_is_huge },
    { "import-returns-1", &destination_v16, STEP(IMPORT), returns_1 },
    { "import-grows-the-record", &destination_v16, STEP(IMPORT),
      blob_is_huge },
    { "import-is-not-over", &destination_v16, STEP(IMPORT), is_not_over },
    { "ready-returns-1", &destination_v16, STEP(READY), returns_1 },
    { "ready-is-empty", &destination_v16, STEP(READY), blob_is_empty },
    { "ready-is-over", &destination_v16, STEP(READY), reply_is_over },
    { "ready-for-ever", &destination_v16, STEP(READY), is_not_over },
    { "commit-returns-1", &destination_v16, STEP(COMMIT), returns_1 },
    { "commit-answers-what-is-unknown", &destination_v16, STEP(COMMIT),
      unknown_answer },
    { "receipt-returns-1", &destination_v16, STEP(RECEIPT), returns_1 },
    { "receipt-is-empty", &destination_v16, STEP(RECEIPT), blob_is_empty },
    { "receipt-is-over", &destination_v16, STEP(RECEIPT), reply_is_over },
    { "an-import-returns-1", &destination_v16, KVM_CC_IMPORT_PAGES,
      ANY, returns_1 },
#define BAD_ROW(claim, function) \
    { "pages-that-should-be-private-" claim, &destination_v16, \
      KVM_CC_IMPORT_PAGES, ANY, function }
    BAD_ROW("none", bad_nothing),
    BAD_ROW("part-of-one", bad_part_of_a_page),
    BAD_ROW("and-a-byte", bad_size),
    BAD_ROW("below", bad_below),
    BAD_ROW("beyond", bad_beyond),
    BAD_ROW("that-wrap", bad_wraps),
#undef BAD_ROW
    { "an-import-of-many", &destination_v16, KVM_CC_IMPORT_PAGES, ANY,
      imported_many },
    { "an-import-of-a-page-too-many", &destination_v16,
      KVM_CC_IMPORT_PAGES, ANY, imported_more },
};

typedef struct Falsifier {
    const InvalidAnswer *answer;
    const char *name;           /* of the ioctl; NULL: it was not called */
} Falsifier;

static int64_t which_of(const DoubleCall *call)
{
    switch (call->request) {
    case KVM_CHECK_EXTENSION:
        return (uintptr_t)call->arg;
    case KVM_CC_MIGRATE:
        return ((Migrate *)call->arg)->step;
    case KVM_ENABLE_CAP: {
        const struct kvm_enable_cap *cap = call->arg;

        /* KVM_CAP_ARM_RME's operations are numbers; migration's has none. */
        return cap->cap == KVM_CAP_ARM_MTE ? ANY :
               cap->cap == KVM_CAP_CC_MIGRATION ? 0 : cap->args[0] ?:
               ANY;
    }
    default:
        return ANY;
    }
}

/* Successful answers only: a trial of probe.c may fail as it should. */
static void falsify(DoubleCall *call, bool after, void *opaque)
{
    Falsifier *f = opaque;
    const InvalidAnswer *answer = f->answer;
    bool asked = call->request == (uint32_t)answer->request &&
                 which_of(call) == answer->which && call->ret >= 0;

    if (!after && asked && answer->before) {
        answer->before(call);
    }
    if (after && asked) {
        answer->falsify(call);
        f->name = call->name;
    }
}

static void test_answer(const void *opaque)
{
    Falsifier f = { .answer = opaque };
    Run run = *f.answer->run;
    Error *err = NULL;

    run.hook = falsify;
    run.opaque = &f;
    g_assert_false(run_counted(&run, false, &err));
    g_assert_nonnull(f.name);
    g_test_message("%s", error_get_pretty(err));
    g_assert_nonnull(strstr(error_get_pretty(err), f.name));
    g_assert_nonnull(strstr(error_get_pretty(err),
                            f.answer->says ?: RETURNS));
    error_free(err);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    runs_init();
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        g_autofree char *name = g_strdup_printf(
            "/kvm-double/invalid-answers/refuse-%s", answers[i].name);

        g_test_add_data_func(name, &answers[i], test_answer);
    }
    ret = g_test_run();
    runs_end();
    return ret;
}
