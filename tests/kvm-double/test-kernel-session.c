/*
 * The stand-in kernel in a migration, by ioctls only
 *
 * Purpose: test the double itself, a claim for each sentence of
 * docs/specs/kvm-arm-realm-migration.rst that needs two machines: memory that
 * goes, vCPUs and answers that come, bundles that are refused, dead VMs.  The
 * comments quote it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "target/arm/rmm/rmm-internal.h"
#include "kernel-host.h"

/* ---- Memory goes in a session: a row each of "Memory that the host takes
 * back" in docs/specs/kvm-arm-realm-migration.rst ---- */

typedef struct Blob {
    uint64_t size;
    uint8_t bytes[MIG_MAX_BUNDLE];
} Blob;

static struct {
    Blob nonce, offer, ready, start, receipt, any;
} wire;

static void swap_hosts(void)
{
    struct Host here = host;

    host = other;
    other = here;
    kvm_state = &host.state;
}

static struct kvm_cc_migrate last;      /* the argument of the last step */

static int step(uint32_t n, uint32_t part, Blob *blob, const Blob *peer)
{
    last = (struct kvm_cc_migrate) {
        .step = n, .part = part, .blob = blob ? (uintptr_t)blob->bytes : 0,
        .blob_size = blob ? blob->size : 0,
        .peer = peer ? (uintptr_t)peer->bytes : 0,
        .peer_size = peer ? peer->size : 0,
    };
    return vm_call(KVM_CC_MIGRATE, &last);
}

static int gives(uint32_t n, uint32_t part, Blob *blob, const Blob *peer)
{
    int ret;

    blob->size = sizeof(blob->bytes);
    ret = step(n, part, blob, peer);
    blob->size = ret ? 0 : last.blob_size;
    return ret;
}

/* What the source gives, the destination imports. */
static void brings(uint32_t n, uint32_t part, Blob *blob, const Blob *peer)
{
    g_assert_cmpint(gives(n, part, blob, peer), ==, 0);
    if (blob->size) {
        swap_hosts();
        g_assert_cmpint(step(KVM_CC_IMPORT, 0, blob, NULL), ==, 0);
        swap_hosts();
    }
}

static void bring_pages(void)
{
    uint64_t list[] = { BASE };
    struct kvm_cc_run runs[1];
    struct kvm_cc_owed owed = { .base = BASE, .size = RAM_SIZE,
                                .runs = (uintptr_t)runs,
                                .num_runs = ARRAY_SIZE(runs) };
    struct kvm_cc_pages args = {
        .list = (uintptr_t)list, .count = 1,
        .blob = (uintptr_t)wire.any.bytes,
        .blob_size = sizeof(wire.any.bytes),
    };
    struct kvm_cc_pages import = { .blob = args.blob };

    g_assert_cmpint(vm_call(KVM_CC_OWED_PAGES, &owed), ==, 0);
    g_assert_cmpuint(owed.num_runs, ==, 1);
    g_assert_cmphex(runs[0].base, ==, BASE);
    g_assert_cmpint(vm_call(KVM_CC_EXPORT_PAGES, &args), ==, 0);
    g_assert_cmpuint(args.pages, ==, 1);
    import.blob_size = args.blob_size;
    swap_hosts();
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &import), ==, 0);
    swap_hosts();
}

static void bring_state(void)
{
    uint32_t part = 0;

    do {
        brings(KVM_CC_STATE, part++, &wire.any, NULL);
    } while (wire.any.size);
}

static void enable_migration(void)
{
    struct kvm_enable_cap cap = { .cap = KVM_CAP_CC_MIGRATION };

    g_assert_cmpint(vm_call(KVM_ENABLE_CAP, &cap), ==, 0);
}

static void complete_vm(void)
{
    enable_migration();
    add_ram();
    add_vcpus(BIT(KVM_ARM_VCPU_PSCI_0_2));
    add_gic(true);
    g_assert_cmpint(set_private(BASE, RAM_SIZE, true), ==, 0);
}

typedef enum Stage {
    AT_OFFER, AT_ACCEPT, AT_BEGIN, AT_PAGES, AT_PAUSE, AT_READY, AT_START,
    AT_IMPORTED, AT_COMMIT, AT_FINISH,
} Stage;

/* Both sides, of which the source is the host, do one stage. */
static void do_stage(Stage stage)
{
    switch (stage) {
    case AT_OFFER:
        g_assert_cmpint(gives(KVM_CC_PREPARE, 0, &wire.nonce, NULL), ==, 0);
        swap_hosts();
        g_assert_cmpint(gives(KVM_CC_OFFER, 0, &wire.offer, &wire.nonce), ==,
                        0);
        swap_hosts();
        break;
    case AT_ACCEPT:
        g_assert_cmpint(step(KVM_CC_ACCEPT, 0, &wire.offer, NULL), ==, 0);
        break;
    case AT_BEGIN:
        brings(KVM_CC_BEGIN, 0, &wire.any, NULL);
        break;
    case AT_PAGES:
        bring_pages();
        brings(KVM_CC_EPOCH, 0, &wire.any, NULL);
        break;
    case AT_PAUSE:
        g_assert_cmpint(step(KVM_CC_PAUSE, 0, NULL, NULL), ==, 0);
        break;
    case AT_READY:
        bring_state();
        swap_hosts();
        do {
            g_assert_cmpint(gives(KVM_CC_READY, 0, &wire.ready, NULL), ==, 0);
        } while (last.flags & KVM_CC_MORE);
        swap_hosts();
        break;
    case AT_START:
        g_assert_cmpint(gives(KVM_CC_START, 0, &wire.start, &wire.ready), ==,
                        0);
        break;
    case AT_IMPORTED:
        swap_hosts();
        g_assert_cmpint(step(KVM_CC_IMPORT, 0, &wire.start, NULL), ==, 0);
        swap_hosts();
        break;
    case AT_COMMIT:
        swap_hosts();
        do {
            g_assert_cmpint(step(KVM_CC_COMMIT, 0, NULL, NULL), ==, 0);
        } while (last.flags & KVM_CC_MORE);
        g_assert_cmpint(gives(KVM_CC_RECEIPT, 0, &wire.receipt, NULL), ==, 0);
        swap_hosts();
        break;
    case AT_FINISH:
        g_assert_cmpint(step(KVM_CC_FINISH, 0, &wire.receipt, NULL), ==, 0);
        break;
    }
}

static void do_stages(Stage first, Stage end_stage)
{
    for (Stage s = first; s <= end_stage; s++) {
        do_stage(s);
    }
}

static void start_pair(Stage stage)
{
    start_kernel(NULL, 4096);
    add_vm(4096);
    complete_vm();
    swap_hosts();
    add_vm(4096);
    complete_vm();
    g_assert_cmpint(populate(BASE, 4096, host.source), ==, 0);
    g_assert_cmpint(run(0), ==, -EINTR);
    do_stages(AT_OFFER, stage);
}

static void end_pair(void)
{
    close_host();
    swap_hosts();
    close_host();
    double_stop();
    other = (struct Host) { 0 };
}

/* The host's guest_memfd goes, whoever holds it. */
static void lose_memory(void)
{
    close(host.gmem);
    munmap(host.ram, RAM_SIZE);
    host.gmem = -1;
    host.ram = NULL;
    check(0);                   /* the double notices at the next call */
    g_assert_cmpuint(vm()->gmems->len, ==, 0);
}

static void fails(int ret, int error, enum kvm_cc_cause cause)
{
    g_assert_cmpint(ret, ==, -error);
    g_assert_cmpuint(last.cause, ==, cause);
}

static void test_lost_in_exporting(void)
{
    static const Stage stages[] = { AT_ACCEPT, AT_BEGIN, AT_PAGES };

    for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
        start_pair(stages[i]);
        lose_memory();
        if (stages[i] < AT_BEGIN) {
            do_stage(AT_BEGIN);
        }
        if (stages[i] < AT_PAGES) {
            brings(KVM_CC_EPOCH, 0, &wire.any, NULL);
        }
        do_stages(AT_PAUSE, AT_FINISH);
        end_pair();
    }
}

static void test_lost_in_paused(void)
{
    GuestAction a;
    uint64_t value;

    start_pair(AT_PAUSE);
    lose_memory();
    fails(gives(KVM_CC_STATE, 0, &wire.any, NULL), EPROTO,
          KVM_CC_CAUSE_LOST);
    fails(gives(KVM_CC_EPOCH, 1, &wire.any, NULL), EPROTO,
          KVM_CC_CAUSE_LOST);
    g_assert_cmpint(step(KVM_CC_ABORT, 0, NULL, NULL), ==, 0);
    a = access_to(BASE, &value, false);
    faults(act(&a), BASE, 4096, true);
    end_pair();
}

static void test_lost_in_sealed(void)
{
    start_pair(AT_START);
    lose_memory();
    g_assert_cmpint(gives(KVM_CC_START, 0, &wire.any, NULL), ==, 0);
    g_assert_cmpmem(wire.any.bytes, wire.any.size, wire.start.bytes,
                    wire.start.size);
    do_stages(AT_IMPORTED, AT_FINISH);
    end_pair();
}

static void test_lost_in_gone(void)
{
    start_pair(AT_FINISH);
    lose_memory();
    g_assert_cmpint(step(KVM_CC_FINISH, 0, &wire.receipt, NULL), ==, 0);
    end_pair();
}

/* A page is missing; what the session can still do is to be given up. */
static void test_lost_in_importing(void)
{
    static const Stage stages[] = { AT_OFFER, AT_BEGIN, AT_PAGES };

    for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
        start_pair(stages[i]);
        swap_hosts();
        lose_memory();
        g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &wire.any, NULL), ==, 0);
        swap_hosts();
        end_pair();
    }
    start_pair(AT_PAUSE);
    bring_state();
    swap_hosts();
    lose_memory();
    fails(gives(KVM_CC_READY, 0, &wire.ready, NULL), EPROTO,
          KVM_CC_CAUSE_MISSING);
    swap_hosts();
    end_pair();
}

static void test_lost_in_imported(void)
{
    start_pair(AT_IMPORTED);
    swap_hosts();
    lose_memory();
    fails(step(KVM_CC_COMMIT, 0, NULL, NULL), EBADMSG, KVM_CC_CAUSE_LOST);
    g_assert_cmpint(run(0), ==, -EPERM);
    g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &wire.any, NULL), ==, 0);
    swap_hosts();
    g_assert_cmpint(step(KVM_CC_RESUME, 0, &wire.any, NULL), ==, 0);
    g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
    end_pair();
}

static void test_lost_after_commit(void)
{
    uint64_t value;
    GuestAction a = access_to(BASE, &value, false);

    start_pair(AT_COMMIT);
    swap_hosts();
    g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
    lose_memory();
    faults(act(&a), BASE, 4096, true);
    swap_hosts();
    end_pair();
}

/* "From BEGIN on KVM maps pages only, and folds no tables" */
static void test_no_blocks_in_a_session(void)
{
    start_pair(AT_ACCEPT);
    g_assert_cmphex(reads(BASE + BLOCK), ==, 0);
    g_assert_cmpint(level_of(BASE + BLOCK), ==, 2);
    end_pair();
    start_pair(AT_BEGIN);
    g_assert_cmphex(reads(BASE + BLOCK), ==, 0);
    g_assert_cmpint(level_of(BASE + BLOCK), ==, 3);
    g_assert_cmpint(level_of(BASE + BLOCK + 4096), ==, -1);
    g_assert_cmpint(step(KVM_CC_ABORT, 0, NULL, NULL), ==, 0);
    g_assert_cmphex(reads(BASE + BLOCK + 4096), ==, 0);
    g_assert_cmpint(level_of(BASE + BLOCK), ==, 2);
    end_pair();
}

static void owes_one_page(uint64_t base)
{
    struct kvm_cc_run runs[2];
    struct kvm_cc_owed owed = { .base = base, .size = BLOCK,
                                .runs = (uintptr_t)runs,
                                .num_runs = ARRAY_SIZE(runs) };

    g_assert_cmpint(vm_call(KVM_CC_OWED_PAGES, &owed), ==, 0);
    g_assert_cmpuint(owed.num_runs, ==, 1);
    g_assert_cmphex(runs[0].base, ==, base);
    g_assert_cmphex(runs[0].size, ==, 4096);
}

/* "Reads which private pages of [base, base + size) are owed": of any range */
static void test_owed_in_any_order(void)
{
    start_pair(AT_BEGIN);
    g_assert_cmphex(reads(BASE + BLOCK), ==, 0);
    /* Less than a table: the RMM comes to the upper one in pieces */
    the_double->rmm->mig_entries = 100;
    owes_one_page(BASE + BLOCK);
    owes_one_page(BASE);
    end_pair();
}

/* "GIVE_UP still works", "RESUME in a dead VM is EIO and changes nothing" */
static void test_dead_in_a_session(void)
{
    start_pair(AT_IMPORTED);
    swap_hosts();
    vm_kill(vm());
    g_assert_cmpint(step(KVM_CC_COMMIT, 0, NULL, NULL), ==, -EIO);
    g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &wire.any, NULL), ==, 0);
    swap_hosts();
    vm_kill(vm());
    g_assert_cmpint(step(KVM_CC_RESUME, 0, &wire.any, NULL), ==, -EIO);
    g_assert_cmpint(vm()->session, ==, SESSION_SEALED);
    end_pair();
}

/* "Every ioctl of a dead VM is EIO ... with one exception" */
static void test_dead_does_nothing_else(void)
{
    static const unsigned long of_vm[] = {
        KVM_CHECK_EXTENSION, KVM_ENABLE_CAP, KVM_CREATE_VCPU,
        KVM_CREATE_DEVICE, KVM_CREATE_GUEST_MEMFD, KVM_ARM_MTE_COPY_TAGS,
        KVM_SET_USER_MEMORY_REGION2, KVM_ARM_RMI_POPULATE, KVM_GET_DIRTY_LOG,
        KVM_CLEAR_DIRTY_LOG, KVM_CC_MIG_INFO, KVM_CC_OWED_PAGES,
        KVM_CC_EXPORT_PAGES, KVM_CC_IMPORT_PAGES,
    };
    static const unsigned long of_vcpu[] = {
        KVM_ARM_VCPU_INIT, KVM_SET_ONE_REG, KVM_GET_ONE_REG,
        KVM_SET_MP_STATE, KVM_RUN,
    };
    struct kvm_cc_pages again = {
        .list = (uintptr_t)wire.any.bytes, .count = 1,
        .blob = (uintptr_t)wire.any.bytes,
        .blob_size = sizeof(wire.any.bytes),
    };

    start_pair(AT_PAGES);
    vm_kill(vm());
    for (size_t i = 0; i < ARRAY_SIZE(of_vm); i++) {
        uint64_t arg[32] = { 0 };

        g_assert_cmpint(vm_call(of_vm[i], arg), ==, -EIO);
    }
    for (size_t i = 0; i < ARRAY_SIZE(of_vcpu); i++) {
        uint64_t arg[32] = { 0 };

        g_assert_cmpint(call(host.cpus[0], of_vcpu[i], arg), ==, -EIO);
    }
    for (uint32_t n = KVM_CC_PREPARE; n <= KVM_CC_RECEIPT; n++) {
        if (n <= KVM_CC_RESUME || n >= KVM_CC_OFFER) {
            g_assert_cmpint(step(n, 0, NULL, NULL), ==, -EIO);
        }
    }
    g_assert_cmpint(vm_call(KVM_CC_EXPORT_PAGES, &again), ==, -EIO);
    g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &wire.any, NULL), ==, -EPERM);
    g_assert_cmpint(vm()->session, ==, SESSION_EXPORTING);
    end_pair();
}

/* ---- vCPUs that come: "Which vCPUs are on the REC knows" ---- */

/* vCPU 1, which is in KVM_RUN, sleeps there. */
static void wait_until_off(void)
{
    bool off, is;

    do {
        g_thread_yield();
        qemu_mutex_lock(&vm()->lock);
        off = vcpu(1)->power_off;
        is = vcpu(1)->running;
        qemu_mutex_unlock(&vm()->lock);
    } while (is && !off);
    g_assert_true(off);
}

static void test_off_stays_off(void)
{
    GuestAction on = { GUEST_CPU_ON, .target = 1, .value = BASE };
    struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
    uint64_t value = 0x77;
    GuestAction a = access_to(BASE, &value, true);
    QemuThread thread;
    int ret;

    start_pair(AT_COMMIT);
    swap_hosts();
    g_assert_cmpint(call(host.cpus[1], KVM_SET_MP_STATE, &runnable), ==, 0);
    vcpu(1)->action = &a;
    thread = run_in_thread();
    wait_until_off();
    g_assert_false(a.over);
    does(&on);
    ret = GPOINTER_TO_INT(qemu_thread_join(&thread));
    while (ret == -EAGAIN) {    /* as in test_off_sleeps_until_cpu_on */
        ret = run(1);
    }
    g_assert_cmpint(ret, ==, -EINTR);
    g_assert_true(a.over);
    g_assert_cmphex(reads(BASE), ==, 0x77);
    swap_hosts();
    end_pair();
}

static void test_on_stays_on(void)
{
    GuestAction on = { GUEST_CPU_ON, .target = 1, .value = BASE };
    struct kvm_mp_state stopped = { .mp_state = KVM_MP_STATE_STOPPED };

    start_pair(AT_OFFER);
    does(&on);
    do_stages(AT_ACCEPT, AT_COMMIT);
    swap_hosts();
    g_assert_cmpint(call(host.cpus[1], KVM_SET_MP_STATE, &stopped), ==, 0);
    g_assert_cmpint(run(1), ==, -EINTR);
    swap_hosts();
    end_pair();
}

/* ---- Answers that come: "Exits that wait for an answer" ---- */

static int answer_register(unsigned long request, unsigned n, uint64_t *value)
{
    struct kvm_one_reg reg = {
        .id = KVM_REG_ARM_REC_ANSWER_REG(n), .addr = (uintptr_t)value,
    };

    return call(host.cpus[0], request, &reg);
}

/* The source, which is paused, has @answer; the destination gets it. */
static void carry_answer(uint64_t answer[32])
{
    for (unsigned n = 0; n < 32; n++) {
        g_assert_cmpint(answer_register(KVM_GET_ONE_REG, n, &answer[n]), ==,
                        0);
    }
    swap_hosts();
    for (unsigned n = 32; n-- > 0; ) {
        g_assert_cmpint(answer_register(KVM_SET_ONE_REG, n, &answer[n]), ==,
                        0);
    }
    swap_hosts();
}

static void test_host_call_comes(void)
{
    const uint64_t untouched = 0x0101010101010101 * IMAGE_BYTE;
    GuestAction a = { GUEST_HOST_CALL, .ipa = BASE + 0x100,
                      .at_exit = double_kick };
    uint64_t answer[32];

    start_pair(AT_BEGIN);
    g_assert_cmpint(act(&a), ==, -EINTR);
    g_assert_false(a.over);
    do_stages(AT_PAGES, AT_PAUSE);
    carry_answer(answer);
    g_assert_cmphex(answer[0], ==, KVM_ARM_REC_ANSWER_HOST_CALL);
    g_assert_cmphex(answer[1], ==, UINT64_MAX);     /* SMCCC: NOT_SUPPORTED */
    g_assert_cmphex(answer[2], ==, 0);
    g_assert_cmphex(answer[31], ==, untouched);
    do_stages(AT_READY, AT_COMMIT);
    a.at_exit = NULL;
    swap_hosts();
    does(&a);
    g_assert_cmphex(reads(BASE + 0x100), ==, untouched);
    for (unsigned n = 1; n < 32; n++) {
        g_assert_cmphex(reads(BASE + 0x100 + 8 * n), ==, answer[n]);
    }
    swap_hosts();
    end_pair();
}

static void test_abort_comes(void)
{
    uint64_t value, answer[32];
    GuestAction a = access_to(NOWHERE | SHARED_BIT, &value, false);

    start_pair(AT_PAGES);
    g_assert_cmpint(act(&a), ==, 0);
    g_assert_cmpuint(run_of(0)->exit_reason, ==, KVM_EXIT_MMIO);
    vcpu(0)->mmio_pending = false;
    vcpu(0)->run->enter.flags = RMI_ENTER_INJECT_SEA;
    do_stage(AT_PAUSE);
    carry_answer(answer);
    g_assert_cmphex(answer[0], ==, KVM_ARM_REC_ANSWER_ABORT);
    do_stages(AT_READY, AT_COMMIT);
    swap_hosts();
    g_assert_cmpint(act(&a), ==, -EINTR);
    g_assert_true(a.over);
    g_assert_cmpint(a.outcome, ==, DOUBLE_ABORT);
    swap_hosts();
    end_pair();
}

/* "the first KVM_RUN of that vCPU fail with EINVAL, and is dropped" */
static void test_answer_is_not_taken(void)
{
    uint64_t flags[] = { KVM_ARM_REC_ANSWER_MMIO, KVM_ARM_REC_ANSWER_ABORT };

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        start_pair(AT_PAUSE);
        swap_hosts();
        g_assert_cmpint(answer_register(KVM_SET_ONE_REG, 0, &flags[i]), ==, 0);
        swap_hosts();
        do_stages(AT_READY, AT_COMMIT);
        swap_hosts();
        g_assert_cmpint(run(0), ==, -EINVAL);
        g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
        swap_hosts();
        end_pair();
    }
}

/* "They are in KVM_GET_REG_LIST of a vCPU whose VM has [it] enabled" */
static void test_answers_are_listed(void)
{
    g_autofree struct kvm_reg_list *list = g_malloc(33 * sizeof(uint64_t));

    build(4096);
    list->n = 32;
    g_assert_cmpint(call(host.cpus[0], KVM_GET_REG_LIST, list), ==, 0);
    g_assert_cmpuint(list->n, ==, 0);
    end_kernel();
    start_pair(AT_OFFER);
    list->n = 31;
    g_assert_cmpint(call(host.cpus[0], KVM_GET_REG_LIST, list), ==, -E2BIG);
    g_assert_cmpuint(list->n, ==, 32);
    g_assert_cmpint(call(host.cpus[0], KVM_GET_REG_LIST, list), ==, 0);
    for (unsigned n = 0; n < 32; n++) {
        g_assert_cmphex(list->reg[n], ==, 0x6030000000180000 + n);
    }
    end_pair();
}

/* ---- Bundles that are refused: "Importing", "KVM_CC_IMPORT_PAGES" ---- */

/* What KVM reads of a bundle; there is nothing else in it. */
static struct kvm_cc_pages forge(unsigned stream, const uint64_t *ipas,
                                 uint32_t n)
{
    uint8_t *b = wire.any.bytes;

    memset(b, 0, MIG_MAX_BUNDLE);
    b[6] = MIG_TYPE_MEMORY;
    stw_le_p(b + 0x0c, stream);
    stl_le_p(b + 0x24, n);
    for (uint32_t i = 0; i < n; i++) {
        stq_le_p(b + 0x30 + 8 * i, ipas[i]);
    }
    return (struct kvm_cc_pages) {
        .blob = (uintptr_t)b, .blob_size = 0x30 + n * (8 + 4096) + 16,
    };
}

static unsigned long delegated(void)
{
    const DoubleGmem *gmem = g_ptr_array_index(vm()->gmems, 0);

    return bitmap_count_one(gmem->delegated, RAM_SIZE / 4096);
}

/* "If it refuses, take back what was delegated in this step" */
static void test_refused_import_takes_back(void)
{
    const uint64_t ipas[] = { BASE + 0x5000, BASE + 0x6000 };
    struct kvm_cc_pages args;
    unsigned long before;

    start_pair(AT_IMPORTED);
    swap_hosts();
    before = delegated();
    args = forge(0, ipas, 2);
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EPROTO);
    g_assert_cmpuint(args.cause, ==, KVM_CC_CAUSE_OTHER);
    g_assert_cmpuint(delegated(), ==, before);
    swap_hosts();
    do_stages(AT_COMMIT, AT_FINISH);
    end_pair();
}

static void test_bad_bundle_is_the_end(void)
{
    static Blob again;
    const uint64_t ipas[] = { BASE + 0x5000, BASE + 0x6000 };
    struct kvm_cc_pages args;

    start_pair(AT_BEGIN);
    swap_hosts();
    args = forge(0, ipas, 2);
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EBADMSG);
    g_assert_cmpuint(args.cause, ==, KVM_CC_CAUSE_FORMAT);
    g_assert_cmpuint(args.bad.size, ==, 0);
    g_assert_cmpuint(delegated(), ==, 0);
    g_assert_cmpint(vm()->session, ==, SESSION_FAILED);
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EPERM);
    g_assert_cmpint(step(KVM_CC_COMMIT, 0, NULL, NULL), ==, -EPERM);
    g_assert_cmpint(run(0), ==, -EPERM);
    g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &wire.any, NULL), ==, 0);
    g_assert_cmpint(gives(KVM_CC_GIVE_UP, 0, &again, NULL), ==, 0);
    g_assert_cmpmem(wire.any.bytes, wire.any.size, again.bytes, again.size);
    swap_hosts();
    end_pair();
}

/* "``bad`` is the first run of them in the order of the bundle" */
static void test_bad_pages(void)
{
    const uint64_t shared[] = { BASE, BASE + 0x4000, BASE + 0x5000,
                                BASE + 0x3000 };
    const uint64_t nowhere[] = { BASE + 0x3000, NOWHERE, NOWHERE + 0x1000,
                                 BASE + 0x6000, NOWHERE + 0x2000 };
    struct kvm_cc_pages args;

    start_pair(AT_BEGIN);
    swap_hosts();
    g_assert_cmpint(set_private(BASE + 0x3000, 0x3000, false), ==, 0);
    args = forge(0, shared, ARRAY_SIZE(shared));
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EADDRNOTAVAIL);
    g_assert_cmphex(args.bad.base, ==, BASE + 0x4000);
    g_assert_cmphex(args.bad.size, ==, 0x2000);
    args = forge(0, nowhere, ARRAY_SIZE(nowhere));
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EFAULT);
    g_assert_cmphex(args.bad.base, ==, NOWHERE);
    g_assert_cmphex(args.bad.size, ==, 0x2000);
    g_assert_cmpuint(delegated(), ==, 0);
    swap_hosts();
    do_stages(AT_PAGES, AT_FINISH);
    end_pair();
}

/* KVM has no mutex for such a stream: the monitor says what it is. */
static void test_unknown_stream(void)
{
    const uint64_t ipas[] = { NOWHERE };
    struct kvm_cc_pages args;

    start_pair(AT_BEGIN);
    swap_hosts();
    args = forge(MIG_MAX_STREAMS - 1, ipas, 1);
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EFAULT);
    args = forge(MIG_MAX_STREAMS, ipas, 1);
    g_assert_cmpint(vm_call(KVM_CC_IMPORT_PAGES, &args), ==, -EBADMSG);
    swap_hosts();
    end_pair();
}

/* ---- Exports of one number: "KVM serialises calls on the same stream" ---- */

static void *export_block(void *opaque)
{
    Blob *blob = opaque;
    uint64_t list[MIG_MAX_PAGES];
    struct kvm_cc_pages args = {
        .list = (uintptr_t)list, .count = MIG_MAX_PAGES,
        .blob = (uintptr_t)blob->bytes, .blob_size = sizeof(blob->bytes),
    };

    for (size_t i = 0; i < MIG_MAX_PAGES; i++) {
        list[i] = BASE + BLOCK + i * 4096;
    }
    g_assert_cmpint(vm_call(KVM_CC_EXPORT_PAGES, &args), ==, 0);
    g_assert_cmpuint(args.pages, ==, MIG_MAX_PAGES);
    blob->size = args.blob_size;
    return NULL;
}

static void test_one_number_twice(void)
{
    static Blob blobs[2];
    QemuThread threads[2];
    struct kvm_cc_run runs[1];
    struct kvm_cc_owed owed = { .base = BASE + BLOCK, .size = BLOCK,
                                .runs = (uintptr_t)runs, .num_runs = 1 };

    start_pair(AT_ACCEPT);
    reads(BASE + BLOCK);
    do_stage(AT_BEGIN);
    g_assert_cmpint(vm_call(KVM_CC_OWED_PAGES, &owed), ==, 0);
    g_assert_cmphex(runs[0].size, ==, BLOCK);
    for (size_t i = 0; i < 2; i++) {
        qemu_thread_create(&threads[i], "export", export_block, &blobs[i],
                           QEMU_THREAD_JOINABLE);
    }
    for (size_t i = 0; i < 2; i++) {
        qemu_thread_join(&threads[i]);
    }
    g_assert_cmpmem(blobs[0].bytes, blobs[0].size, blobs[1].bytes,
                    blobs[1].size);
    g_assert_cmpuint(vm()->next_number[0], ==, 1);
    end_pair();
}

/* ---- The ends of a session ---- */

static void test_abort(void)
{
    static const Stage stages[] = { AT_ACCEPT, AT_BEGIN, AT_PAGES, AT_PAUSE };

    for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
        start_pair(stages[i]);
        g_assert_cmpint(step(KVM_CC_ABORT, 0, NULL, NULL), ==, 0);
        g_assert_cmpuint(last.flags, ==, 0);
        g_assert_cmpint(vm()->session, ==, SESSION_NONE);
        g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
        g_assert_cmpint(gives(KVM_CC_PREPARE, 0, &wire.any, NULL), ==, 0);
        end_pair();
    }
}

static void test_commit(void)
{
    start_pair(AT_IMPORTED);
    swap_hosts();
    g_assert_cmpint(run(0), ==, -EPERM);
    g_assert_cmpint(step(KVM_CC_COMMIT, 0, NULL, NULL), ==, 0);
    g_assert_cmpuint(last.flags, ==, 0);
    g_assert_cmpint(vm()->session, ==, SESSION_NONE);
    g_assert_cmphex(reads(BASE), ==, 0x0101010101010101 * IMAGE_BYTE);
    swap_hosts();
    end_pair();
}

/* "ACCEPT and OFFER fail with EOPNOTSUPP for such a guest" */
static void test_tags_that_cannot_come(void)
{
    DoubleOptions options = { .migration = true, .mte = true,
                              .no_tags = true };
    struct kvm_enable_cap mte = { .cap = KVM_CAP_ARM_MTE };

    double_start(&options);
    double_probing(true);
    add_vm(4096);
    g_assert_cmpint(check(KVM_CAP_CC_MIGRATION), ==, KVM_CC_MIG_PRECOPY);
    g_assert_cmpint(vm_call(KVM_ENABLE_CAP, &mte), ==, 0);
    complete_vm();
    wire.nonce.size = KVM_CC_NONCE_SIZE;
    g_assert_cmpint(gives(KVM_CC_OFFER, 0, &wire.offer, &wire.nonce), ==,
                    -EOPNOTSUPP);
    g_assert_cmpint(vm()->state, ==, VM_NONE);
    g_assert_cmpint(run(0), ==, -EINTR);
    wire.any.size = 80;
    g_assert_cmpint(step(KVM_CC_ACCEPT, 0, &wire.any, NULL), ==, -EOPNOTSUPP);
    g_assert_cmpint(vm()->session, ==, SESSION_NONE);
    end_kernel();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(claim, test) g_test_add_func("/double/session/" claim, test)
    TEST("memory_that_goes_before_pause_ends_no_session",
         test_lost_in_exporting);
    TEST("memory_that_goes_in_paused_ends_the_session", test_lost_in_paused);
    TEST("memory_that_goes_in_sealed_changes_nothing", test_lost_in_sealed);
    TEST("memory_that_goes_in_gone_changes_nothing", test_lost_in_gone);
    TEST("memory_that_goes_while_importing_is_missing",
         test_lost_in_importing);
    TEST("memory_that_goes_when_all_is_imported_is_lost",
         test_lost_in_imported);
    TEST("memory_that_goes_after_commit_is_the_guests_loss",
         test_lost_after_commit);
    TEST("a_session_has_no_blocks", test_no_blocks_in_a_session);
    TEST("ranges_are_read_in_any_order", test_owed_in_any_order);
    TEST("a_vcpu_that_was_off_stays_off", test_off_stays_off);
    TEST("a_vcpu_that_was_on_stays_on", test_on_stays_on);
    TEST("the_answer_to_a_host_call_comes", test_host_call_comes);
    TEST("an_abort_comes", test_abort_comes);
    TEST("an_answer_that_nobody_waits_for_is_dropped",
         test_answer_is_not_taken);
    TEST("registers_of_answers_are_listed", test_answers_are_listed);
    TEST("a_refused_import_takes_back_what_it_delegated",
         test_refused_import_takes_back);
    TEST("a_bundle_that_is_none_is_the_end", test_bad_bundle_is_the_end);
    TEST("the_first_bad_pages_of_a_bundle", test_bad_pages);
    TEST("a_bundle_of_no_stream_goes_to_the_rmm", test_unknown_stream);
    TEST("two_exports_of_one_number", test_one_number_twice);
    TEST("abort_in_all_its_states", test_abort);
    TEST("commit", test_commit);
    TEST("no_migration_without_tags", test_tags_that_cannot_come);
    TEST("the_session_of_a_dead_vm_can_be_given_up", test_dead_in_a_session);
    TEST("a_dead_vm_does_nothing_else", test_dead_does_nothing_else);
#undef TEST
    return g_test_run();
}
