/*
 * A Realm's life on KVM, in all posted versions of the interface
 *
 * Purpose: run the KVM backend on the stand-in kernel.  A call that the
 * version's interface forbids fails the test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <linux/kvm-arm-cca.h>
#include <linux/kvm-cc-migration.h>
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "system/kvm_int.h"
#include "system/realm-kvm.h"
#include "accel/kvm/realm/realm-kvm.h"
#include "internal.h"

#define BASE    (1 * GiB)               /* of RAM */

static const char *const versions[] = {
    "v5", "v8", "v9", "v10", "v12", "v13", "v14", "v15", "v16"
};

static const size_t page_sizes[] = { 4 * KiB, 16 * KiB, 64 * KiB };

/* The images are adjacent, overlapping, out of order, or not whole pages. */
static DoubleMachineOptions machine_options(void)
{
    return (DoubleMachineOptions) {
        .config = double_default_config,
        .images = { { 0x200000, 0x10800 }, { 0, 0x3000 }, { 0x3000, 0x1234 },
                    { 0x2000, 0x1000 } },
    };
}

static DoubleMachineOptions the_options;

static void start(const char *version, size_t page_size)
{
    DoubleOptions options = { version, page_size };

    the_options = machine_options();
    double_start(&options);
}

static void create_and_run(void)
{
    g_assert_true(double_machine_create(&the_options, &error_abort));
    g_assert_true(double_machine_run(&error_abort));
}

static void end(void)
{
    double_machine_destroy();
    double_stop();
}

static void for_all(void (*test)(const char *version, size_t page_size))
{
    for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
        for (size_t p = 0; p < ARRAY_SIZE(page_sizes); p++) {
            test(versions[v], page_sizes[p]);
        }
    }
}

/* ---- The guest ---- */

static void writes(uint64_t ipa, uint64_t value)
{
    g_assert_cmpint(double_guest_write(0, ipa, &value, sizeof(value),
                                       &error_abort), ==, DOUBLE_DONE);
}

static uint64_t reads(uint64_t ipa)
{
    uint64_t value = 0;

    g_assert_cmpint(double_guest_read(0, ipa, &value, sizeof(value),
                                      &error_abort), ==, DOUBLE_DONE);
    return value;
}

static uint64_t alias(uint64_t ipa)
{
    return ipa | double_shared_bit();
}

static void check_image(uint64_t ipa, uint64_t size)
{
    g_autofree uint8_t *buf = g_malloc(size);

    g_assert_cmpint(double_guest_read(0, ipa, buf, size, &error_abort), ==,
                    DOUBLE_DONE);
    for (uint64_t i = 0; i < size; i++) {
        g_assert_cmphex(buf[i], ==, double_image_byte(ipa + i));
    }
}

static void sets_ripas(uint64_t ipa, uint64_t size, bool ram)
{
    g_assert_cmpint(double_guest_set_ripas(0, ipa, size, ram, &error_abort),
                    ==, DOUBLE_DONE);
}

/* ---- What is populated ---- */

typedef struct Populated {
    uint64_t base, top;
} Populated;

static GArray *populated;               /* the ranges, as the kernel got them */
static unsigned activations;

static void watch(DoubleCall *call, bool after, void *opaque)
{
    uint32_t request = call->request;
    Populated p = { 0 };

    if (after) {
        return;
    }
    if (request == (uint32_t)KVM_ARM_RMI_POPULATE ||
        request == (uint32_t)KVM_ARM_RMI_POPULATE_V12) {
        const struct kvm_arm_rmi_populate *a = call->arg;

        p = (Populated) { a->base, a->base + a->size };
    } else if (request == KVM_ENABLE_CAP) {
        const struct kvm_enable_cap *cap = call->arg;
        const struct kvm_arm_rme_populate *a = (void *)(uintptr_t)cap->args[1];

        activations += cap->args[0] == KVM_ARM_RME_ACTIVATE;
        if (cap->args[0] == KVM_ARM_RME_POPULATE) {
            p = (Populated) { a->base, a->base + a->size };
        }
    }
    if (p.top) {
        g_array_append_val(populated, p);
    }
}

/* Watch the calls, but not those that search for the interface. */
static void create_and_watch(void)
{
    g_assert_true(double_machine_create(&the_options, &error_abort));
    populated = g_array_new(false, false, sizeof(Populated));
    activations = 0;
    double_set_hook(watch, NULL);
    g_assert_true(double_machine_run(&error_abort));
}

/* ---- Tests ---- */

static void runs(const char *version, size_t page_size)
{
    uint64_t page = BASE + 0x100000;

    start(version, page_size);
    create_and_run();
    check_image(BASE, 0x4234);
    check_image(BASE + 0x200000, 0x10800);
    writes(page, 0x1234);
    g_assert_cmphex(reads(page), ==, 0x1234);
    g_assert_cmphex(reads(page + 8), ==, 0);
    end();
}

static void test_runs(void)
{
    for_all(runs);
}

/*
 * QEMU's memory has nothing private, and no longer the images.  In place, QEMU
 * may not touch what is private, and that is all of it.
 */
static void secret(const char *version, size_t page_size)
{
    start(version, page_size);
    create_and_run();
    writes(BASE + 0x100000, 0x1234);
    if (realm_kvm.abi.in_place) {
        g_assert_cmpuint(double_lent(BASE, 4 * MiB), ==, 0);
    } else {
        g_assert_true(buffer_is_zero(double_shared(BASE, 4 * MiB), 4 * MiB));
    }
    end();
}

static void test_secret(void)
{
    for_all(secret);
}

/* Memory moves to the other half and back, and loses its contents each time. */
static void converts(const char *version, size_t page_size)
{
    uint64_t page = BASE + 0x100000, size = 64 * KiB;
    uint64_t before;

    start(version, page_size);
    create_and_run();
    writes(page, 1);
    before = double_private_bytes();
    g_assert_cmpuint(double_lent(BASE, 4 * MiB), ==, 0);
    sets_ripas(page, size, false);
    g_assert_cmpuint(double_lent(BASE, 4 * MiB), ==, size / REALM_PAGE_SIZE);
    g_assert_cmpuint(double_lent(page, size), ==, size / REALM_PAGE_SIZE);
    if (!realm_kvm.abi.in_place) {
        g_assert_cmpuint(double_private_bytes(), <, before);
    }
    g_assert_cmpint(double_guest_read(0, page, &before, 8, &error_abort), ==,
                    DOUBLE_ABORT);
    g_assert_cmphex(reads(alias(page)), ==, 0);
    writes(alias(page), 2);
    g_assert_cmphex(*(uint64_t *)double_shared(page, 8), ==, 2);
    *(uint64_t *)double_shared(page + 64, 8) = 3;
    g_assert_cmphex(reads(alias(page + 64)), ==, 3);
    sets_ripas(page, size, true);
    g_assert_cmpuint(double_lent(BASE, 4 * MiB), ==, 0);
    g_assert_cmphex(reads(page), ==, 0);
    if (!realm_kvm.abi.in_place) {
        g_assert_cmphex(*(uint64_t *)double_shared(page, 8), ==, 0);
    }
    writes(page, 4);
    g_assert_cmphex(reads(page), ==, 4);
    end();
}

static void test_converts(void)
{
    for_all(converts);
}

/* A vCPU accesses a page by its address in the wrong half: it is converted. */
static void mismatch(const char *version, size_t page_size)
{
    uint64_t page = BASE + 0x100000;

    start(version, page_size);
    create_and_run();
    writes(alias(page), 5);
    g_assert_cmphex(*(uint64_t *)double_shared(page, 8), ==, 5);
    /* A kernel without the attribute maps it, and does not exit. */
    g_assert_cmpuint(double_lent(page, page_size), ==,
                     realm_kvm.abi.vm_attributes || realm_kvm.abi.in_place
                     ? page_size / REALM_PAGE_SIZE : 0);
    end();
}

static void test_mismatch(void)
{
    for_all(mismatch);
}

/*
 * A device cannot map the page: it stays private.  Where it has been shared for
 * that in place, the Realm's contents are gone, and it cannot go on.
 */
static void not_lent(const char *version, size_t page_size)
{
    uint64_t page = BASE + 0x100000;
    Error *err = NULL;

    start(version, page_size);
    create_and_run();
    writes(page, 6);
    double_refuse_to_lend();
    g_assert_false(realm_kvm_convert_range(page, page_size, false, &err));
    error_free_or_abort(&err);
    g_assert_cmpuint(double_lent(BASE, 4 * MiB), ==, 0);
    if (!realm_kvm.abi.in_place) {
        g_assert_cmphex(reads(page), ==, 6);
    }
    end();
}

static void test_not_lent(void)
{
    for_all(not_lent);
}

/* Whole pages, ascending, each once, none twice. */
static void in_order(const char *version, size_t page_size)
{
    uint64_t top = 0;

    start(version, page_size);
    create_and_watch();
    g_assert_cmpuint(populated->len, ==, 2);
    for (guint i = 0; i < populated->len; i++) {
        Populated *p = &g_array_index(populated, Populated, i);

        g_assert_cmphex((p->base | p->top) % page_size, ==, 0);
        g_assert_cmphex(p->base, >=, top);
        top = p->top;
    }
    g_array_unref(populated);
    end();
}

static void test_in_order(void)
{
    for_all(in_order);
}

static void once(const char *version, size_t page_size)
{
    unsigned before;

    start(version, page_size);
    create_and_watch();
    writes(BASE + 0x100000, 6);
    before = populated->len;
    for (unsigned i = 0; i < 3; i++) {
        double_machine_stop();
        g_assert_true(double_machine_run(&error_abort));
        g_assert_cmphex(reads(BASE + 0x100000), ==, 6);
    }
    g_assert_cmpuint(populated->len, ==, before);
    g_assert_cmpuint(activations, <=, 1);
    g_array_unref(populated);
    end();
}

static void test_once(void)
{
    for_all(once);
}

/* A kernel that populates page by page, and says so. */
static void partly(DoubleCall *call, bool after, void *opaque)
{
    call->partly = true;
}

static void populates_partly(const char *version, size_t page_size)
{
    start(version, page_size);
    double_set_hook(partly, NULL);
    create_and_run();
    check_image(BASE, 0x4234);
    check_image(BASE + 0x200000, 0x10800);
    end();
}

static void test_partly(void)
{
    for_all(populates_partly);
}

static void cpus_start(const char *version, size_t page_size)
{
    uint64_t value = 0;
    Error *err = NULL;

    start(version, page_size);
    create_and_run();
    g_assert_cmpint(double_guest_get_register(0, 0, &value, &error_abort), ==,
                    DOUBLE_DONE);
    g_assert_cmphex(value, ==, BASE + 0x2000);
    g_assert_cmpint(double_guest_get_register(1, 0, &value, &err), ==,
                    DOUBLE_EXIT);
    g_clear_pointer(&err, error_free);
    g_assert_cmpint(double_guest_cpu_on(0, 1, BASE, &error_abort), ==,
                    DOUBLE_DONE);
    g_assert_cmpint(double_guest_set_register(1, 7, 77, &error_abort), ==,
                    DOUBLE_DONE);
    end();
}

static void test_cpus_start(void)
{
    for_all(cpus_start);
}

/* ---- What cannot be ---- */

static void check_refused(const char *const words[])
{
    Error *err = NULL;

    g_assert_false(double_machine_create(&the_options, &err));
    g_test_message("%s", error_get_pretty(err));
    for (; *words; words++) {
        g_assert_nonnull(strstr(error_get_pretty(err), *words));
    }
    error_free(err);
    end();
}

#define REFUSED(...) check_refused((const char *const[]) { __VA_ARGS__, NULL })

static void test_no_realms(void)
{
    start("mainline", 4 * KiB);
    REFUSED("KVM_CREATE_VM", "cannot run a Realm", "kvm-arm.mode=rmm",
            "-accel tcg");
}

static void test_no_rme(void)
{
    start("no-rme", 4 * KiB);
    REFUSED("KVM_CREATE_VM", "no RME");
}

static void test_other_abi(void)
{
    start("v10", 4 * KiB);
    the_options.config.kvm_abi = RME_GUEST_KVM_ABI_RMI;
    REFUSED("kvm-abi=rmi", "use kvm-abi=auto");
    start("v14", 4 * KiB);
    the_options.config.kvm_abi = RME_GUEST_KVM_ABI_RME;
    REFUSED("kvm-abi=rme", "use kvm-abi=auto");
    start("v12", 4 * KiB);
    the_options.config.kvm_abi = RME_GUEST_KVM_ABI_RME;
    REFUSED("kvm-abi=rme", "use kvm-abi=auto");
}

static void test_asked_abi(void)
{
    start("v10", 4 * KiB);
    the_options.config.kvm_abi = RME_GUEST_KVM_ABI_RME;
    create_and_run();
    end();
    start("v13", 4 * KiB);
    the_options.config.kvm_abi = RME_GUEST_KVM_ABI_RMI;
    create_and_run();
    end();
}

/* Versions 12 to 15 have no way to set these properties. */
static void test_rmi_properties(void)
{
    for (size_t v = 4; v < 8; v++) {
        start(versions[v], 4 * KiB);
        the_options.config.has_rpv = true;
        REFUSED("personalization-value", "rmi");
        start(versions[v], 4 * KiB);
        the_options.config.has_measurement_algorithm = true;
        REFUSED("measurement-algorithm", "rmi");
    }
}

/* What came after version 15 measures with SHA-256, and takes no other. */
static void test_fixed_hash(void)
{
    start("v16", 4 * KiB);
    the_options.config.has_rpv = true;
    REFUSED("personalization-value", "rmi");
    start("v16", 4 * KiB);
    the_options.config.has_measurement_algorithm = true;
    the_options.config.measurement_algorithm =
        RME_GUEST_MEASUREMENT_ALGORITHM_SHA512;
    REFUSED("measurement-algorithm=sha512", "give sha256");
    start("v16", 4 * KiB);
    the_options.config.has_measurement_algorithm = true;
    the_options.config.measurement_algorithm =
        RME_GUEST_MEASUREMENT_ALGORITHM_SHA256;
    create_and_run();
    check_image(BASE, 0x4234);
    end();
}

static void test_rme_properties(void)
{
    for (size_t v = 0; v < 4; v++) {
        start(versions[v], 4 * KiB);
        the_options.config.has_rpv = true;
        the_options.config.has_measurement_algorithm = true;
        the_options.config.measurement_algorithm =
            RME_GUEST_MEASUREMENT_ALGORITHM_SHA512;
        create_and_run();
        end();
    }
}

/* ---- What the kernel answers to a trial ---- */

typedef struct Answer {
    unsigned number;            /* of the ioctl */
    int error;
    bool met;
} Answer;

static void answer(DoubleCall *call, bool after, void *opaque)
{
    Answer *a = opaque;

    if (call->number == a->number) {
        a->met = true;
        call->ret = -a->error;
    }
}

/*
 * Each ioctl of the search in turn fails for a reason that says nothing about
 * the interface: there is no Realm, and double_stop finds no descriptor.
 */
static void failing_trials(const char *version, size_t page_size)
{
    static const int errors[] = { ENOMEM, EIO, EMFILE, EBUSY };
    KVMState s = { 0 };
    Answer a = { .met = true };

    for (a.number = 1; a.met; a.number++) {
        DoubleOptions options = { version, page_size };
        Error *err = NULL;

        double_start(&options);
        double_probing(true);
        s.fd = double_open(DOUBLE_SYSTEM, NULL, NULL);
        a.error = errors[a.number % ARRAY_SIZE(errors)];
        a.met = false;
        double_set_hook(answer, &a);
        if (!realm_kvm_probe(&s, RME_GUEST_KVM_ABI_AUTO, &err)) {
            g_assert_true(a.met);
            g_assert_nonnull(strstr(error_get_pretty(err), "rme-guest"));
            error_free(err);
        } else {
            g_assert_false(a.met);
        }
        double_set_hook(NULL, NULL);
        realm_kvm.abi = (RealmKvmAbi) { 0 };
        close(s.fd);
        double_stop();
    }
}

static void test_failing_trials(void)
{
    for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
        failing_trials(versions[v], 4 * KiB);
    }
    failing_trials("v16", 64 * KiB);
}

/* What each version is taken for. */
static void test_found(void)
{
    static const struct {
        const char *version;
        bool rme, vm_attributes, in_place;
    } expected[] = {
        { "v5", true, true }, { "v10", true, true }, { "v12", false, true },
        { "v13", false, true }, { "v14", false, true }, { "v15" },
        { "v16", .in_place = true },
    };

    for (size_t v = 0; v < ARRAY_SIZE(expected); v++) {
        DoubleOptions options = { expected[v].version };
        KVMState s = { 0 };

        double_start(&options);
        double_probing(true);
        s.fd = double_open(DOUBLE_SYSTEM, NULL, NULL);
        g_assert_true(realm_kvm_probe(&s, RME_GUEST_KVM_ABI_AUTO,
                                      &error_abort));
        close(s.fd);
        g_assert_cmpint(realm_kvm_is_rme(), ==, expected[v].rme);
        g_assert_cmpint(realm_kvm.abi.vm_attributes, ==,
                        expected[v].vm_attributes);
        g_assert_cmpint(realm_kvm.abi.in_place, ==, expected[v].in_place);
        realm_kvm.abi = (RealmKvmAbi) { 0 };
        double_stop();
    }
}

/* ---- EAGAIN ---- */

typedef struct Busy {
    gint64 until;
    int error;
    unsigned calls;
} Busy;

static void is_busy(DoubleCall *call, bool after, void *opaque)
{
    Busy *b = opaque;

    if (!after && call->request == KVM_SET_MP_STATE) {
        b->calls++;
        call->ret = g_get_monotonic_time() < b->until ? -b->error : 0;
    }
}

/* The kernel is busy for @seconds.  Returns whether the Realm was built. */
static bool builds(int error, unsigned seconds, unsigned *calls)
{
    Busy b = { .error = error };
    Error *err = NULL;
    bool built;

    start("v14", 4 * KiB);
    g_assert_true(double_machine_create(&the_options, &error_abort));
    b.until = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
    double_set_hook(is_busy, &b);
    built = double_machine_run(&err);
    double_set_hook(NULL, NULL);
    if (!built) {
        g_test_message("%s", error_get_pretty(err));
        g_assert_nonnull(strstr(error_get_pretty(err), strerror(error)));
        error_free(err);
    }
    end();
    *calls = b.calls;
    return built;
}

/* EAGAIN is waited for by time, some 10 s.  Other errors are final. */
static void test_busy(void)
{
    unsigned calls;

    g_assert_true(builds(EAGAIN, 9, &calls));
    g_assert_cmpuint(calls, >, 500);
    g_assert_false(builds(EAGAIN, 12, &calls));
    g_assert_cmpuint(calls, <, 2000);
    g_assert_false(builds(EBUSY, 1, &calls));
    g_assert_cmpuint(calls, ==, 1);
}

/* ---- Other refusals ---- */

static void test_irqchip(void)
{
    start("v14", 4 * KiB);
    the_options.userspace_irqchip = true;
    REFUSED("kernel-irqchip=off");
}

static void test_mte(void)
{
    start("v14", 4 * KiB);
    the_options.config.mte = true;
    REFUSED("KVM_CAP_ARM_MTE", "mte=on");
}

static void test_migration(void)
{
    start("v14", 4 * KiB);
    the_options.config.migration = true;
    REFUSED("KVM_CAP_CC_MIGRATION", "migration=on");
}

static void test_blocker(void)
{
    for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
        start(versions[v], 4 * KiB);
        create_and_run();
        g_assert_nonnull(double_blocker());
        g_assert_nonnull(strstr(error_get_pretty(double_blocker()),
                                "KVM_CAP_CC_MIGRATION"));
        end();
    }
}

/* A Realm without migration=on, on a kernel that can migrate Realms. */
static void test_not_migratable(void)
{
    DoubleOptions options = { "v14", .migration = true };
    uint8_t offer[8] = { 0 };
    Error *err = NULL;

    the_options = machine_options();
    double_start(&options);
    create_and_run();
    writes(BASE + 0x100000, 1);
    g_assert_null(double_blocker());
    g_assert_false(realm_kvm_backend()->accept(offer, sizeof(offer), &err));
    g_test_message("%s", error_get_pretty(err));
    g_assert_nonnull(strstr(error_get_pretty(err), "migration=off"));
    error_free(err);
    end();
}

/*
 * A kernel could name these bad ranges in KVM_EXIT_MEMORY_FAULT.  Where no RAM
 * is, it is right that the range becomes shared.
 */
static void test_bad_ranges(void)
{
    static const struct {
        uint64_t base, size;
        bool no_ram;
    } ranges[] = {
        { BASE + 1, 4 * KiB }, { BASE, 100 }, { 0, 4 * KiB, true },
        { BASE - 4 * KiB + 1, 8 * KiB }, { BASE + 4 * MiB, 4 * KiB, true },
        { BASE + 4 * MiB - 4 * KiB, 8 * KiB + 1 },
        { BASE, -4096ull }, { -4096ull, 4 * KiB, true },
    };

    start("v14", 4 * KiB);
    create_and_run();
    writes(BASE + 4 * MiB - 8, 9);
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        Error *err = NULL;

        g_assert_false(realm_kvm_convert_range(ranges[i].base, ranges[i].size,
                                               true, &err));
        g_assert_nonnull(strstr(error_get_pretty(err),
                                "KVM_EXIT_MEMORY_FAULT"));
        g_clear_pointer(&err, error_free);
        g_assert_cmpint(realm_kvm_convert_range(ranges[i].base, ranges[i].size,
                                                false, &err), ==,
                        ranges[i].no_ram);
        error_free(err);
    }
    check_image(BASE, 0x4234);
    g_assert_cmphex(reads(BASE + 4 * MiB - 8), ==, 9);
    end();
}

/* A range with RAM in a part of it becomes shared there, and never private. */
static void part_is_ram(const char *version, size_t page_size)
{
    const struct {
        uint64_t base, size, page;
    } ranges[] = {
        { BASE - page_size, 2 * page_size, BASE },
        { BASE + 4 * MiB - page_size, 1 * GiB, BASE + 4 * MiB - page_size },
    };

    const uint64_t pages = page_size / REALM_PAGE_SIZE;

    start(version, page_size);
    create_and_run();
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        Error *err = NULL;

        g_assert_false(realm_kvm_convert_range(ranges[i].base, ranges[i].size,
                                               true, &err));
        error_free_or_abort(&err);
        g_assert_cmpuint(double_lent(BASE, 4 * MiB), ==, i * pages);
        g_assert_true(realm_kvm_convert_range(ranges[i].base, ranges[i].size,
                                              false, &error_abort));
        g_assert_cmpuint(double_lent(ranges[i].page, page_size), ==, pages);
    }
    g_assert_cmpuint(double_lent(BASE, 4 * MiB), ==, 2 * pages);
    end();
}

static void test_part_is_ram(void)
{
    for_all(part_is_ram);
}

/* The range is a page of the Realm, which is smaller than the host's. */
static void test_small_range(void)
{
    Error *err = NULL;

    start("v14", 64 * KiB);
    create_and_run();
    g_assert_cmpint(double_guest_set_ripas(0, BASE + 0x101000, 4 * KiB, false,
                                           &err), ==, DOUBLE_EXIT);
    g_assert_nonnull(strstr(error_get_pretty(err), "65536"));
    error_free(err);
    end();
}

static void check_capabilities(bool rme, bool newest, bool migration)
{
    RealmCapabilities *caps = realm_kvm_backend()->capabilities(&error_abort);

    g_assert_cmpstr(caps->backend, ==, "kvm");
    g_assert_true(caps->has_kvm_abi);
    g_assert_cmpint(caps->kvm_abi, ==, rme ? RME_GUEST_KVM_ABI_RME
                                           : RME_GUEST_KVM_ABI_RMI);
    g_assert_cmpint(caps->personalization_value, ==, rme);
    g_assert_cmpint(!!caps->measurement_algorithms, ==, rme || newest);
    if (caps->measurement_algorithms) {
        g_assert_cmpint(caps->measurement_algorithms->value, ==,
                        RME_GUEST_MEASUREMENT_ALGORITHM_SHA256);
        g_assert_cmpint(!!caps->measurement_algorithms->next, ==, rme);
    }
    if (rme) {
        g_assert_cmpint(caps->measurement_algorithms->next->value, ==,
                        RME_GUEST_MEASUREMENT_ALGORITHM_SHA512);
    }
    g_assert_cmpint(caps->migration, ==, migration);
    g_assert_false(caps->measurement_log || caps->mte || caps->sve ||
                   caps->pmu);
    g_assert_cmpint(caps->max_ipa_width, ==, 48);
    g_assert_cmpint(caps->max_cpus, ==, DOUBLE_MAX_CPUS);
    qapi_free_RealmCapabilities(caps);
}

/* The same answer without a Realm, to which the question does nothing. */
static void test_capabilities(void)
{
    for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
        DoubleOptions options = { versions[v], .migration = v % 2 };
        RealmKvmAbi abi;

        the_options = machine_options();
        double_start(&options);
        create_and_run();
        check_capabilities(v < 4, v == 8, v % 2);
        abi = realm_kvm.abi;
        realm_kvm.abi = (RealmKvmAbi) { 0 };
        double_probing(true);
        check_capabilities(v < 4, v == 8, v % 2);
        double_probing(false);
        g_assert_cmpint(realm_kvm.abi.generation, ==, RME_GUEST_KVM_ABI_AUTO);
        realm_kvm.abi = abi;
        check_image(BASE, 0x4234);
        end();
    }
}

static void test_no_capabilities(void)
{
    Error *err = NULL;

    start("no-rme", 4 * KiB);
    g_assert_false(double_machine_create(&the_options, NULL));
    g_assert_null(realm_kvm_backend()->capabilities(&err));
    g_assert_nonnull(strstr(error_get_pretty(err), "no RME or no RMM"));
    g_assert_nonnull(strstr(error_get_pretty(err), "-accel tcg"));
    error_free(err);
    end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) \
    g_test_add_func("/kvm-double/life/" name, function)
    TEST("a_realm_runs_its_images", test_runs);
    TEST("what_is_private_is_not_in_qemus_memory", test_secret);
    TEST("memory_is_shared_and_private_again", test_converts);
    TEST("a_page_of_the_other_half_is_converted", test_mismatch);
    TEST("a_page_that_cannot_be_lent_stays_private", test_not_lent);
    TEST("images_are_populated_in_order_and_once", test_in_order);
    TEST("stop_and_cont_repeat_nothing", test_once);
    TEST("a_kernel_may_populate_page_by_page", test_partly);
    TEST("vcpus_start_as_the_machine_says", test_cpus_start);
    TEST("refuse_a_kernel_without_realms", test_no_realms);
    TEST("refuse_a_machine_without_rme", test_no_rme);
    TEST("refuse_a_generation_that_is_not_there", test_other_abi);
    TEST("the_generation_that_was_asked_for", test_asked_abi);
    TEST("capabilities_with_and_without_a_realm", test_capabilities);
    TEST("no_capabilities_without_rme", test_no_capabilities);
    TEST("refuse_properties_that_rmi_cannot_set", test_rmi_properties);
    TEST("the_newest_kernels_measure_with_sha256", test_fixed_hash);
    TEST("properties_of_rme", test_rme_properties);
    TEST("no_trial_leaves_a_vm_behind", test_failing_trials);
    TEST("each_version_is_recognised", test_found);
    TEST("a_busy_kernel_is_waited_for_by_time", test_busy);
    TEST("refuse_another_irqchip", test_irqchip);
    TEST("refuse_tags_that_the_kernel_has_not", test_mte);
    TEST("refuse_migration_that_the_kernel_has_not", test_migration);
    TEST("a_blocker_where_the_kernel_cannot_migrate", test_blocker);
    TEST("refuse_an_offer_without_migration", test_not_migratable);
    TEST("refuse_faults_outside_of_ram", test_bad_ranges);
    TEST("a_fault_with_ram_in_a_part_shares_that", test_part_is_ram);
    TEST("refuse_a_part_of_a_host_page", test_small_range);
#undef TEST
    return g_test_run();
}
