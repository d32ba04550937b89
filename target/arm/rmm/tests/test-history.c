/*
 * Where a Realm has been: what it can ask, and what travels
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "bundle.h"
#include "mig-oracle.h"
#include "mig-steps.h"
#include "rmm-internal.h"
#include "session.h"

/* The answer in words, from the registers that the text names */
typedef struct Past {
    uint8_t instance_id[32];    /* X1 to X4 */
    uint64_t migrations;        /* X5 */
    uint64_t lifecycle;         /* X6 */
    uint8_t implementation[32]; /* X7 to X10 */
} Past;

#define HISTORY_FID  0xc3000180
#define FEATURES_FID 0xc4000191

/* What the model says that it is, padded with zeros */
static const char model[32] = "QEMU RMM model, not hardware";

static void enter_rec(Machine *m, RmmPe *pe)
{
    memset(machine_ns(m, NS_LIST(0)), 0, sizeof(RmiRecRun));
    *pe = (RmmPe) { .x = { RMI_REC_ENTER, m->recs[0], NS_LIST(0) } };
    rmm_call(m->rmm, pe);
    g_assert(pe->world == RMM_WORLD_REALM);
}

/* The Realm calls, with @x1; all of its other registers hold something. */
static RmmPe realm_calls(Machine *m, uint64_t fid, uint64_t x1)
{
    RmmPe pe, after;

    enter_rec(m, &pe);
    for (int i = 2; i < 31; i++) {
        pe.x[i] = 0x1111 * i;
    }
    pe.x[0] = fid;
    pe.x[1] = x1;
    rmm_call(m->rmm, &pe);
    g_assert(pe.world == RMM_WORLD_REALM);
    after = pe;
    take_interrupt(m->rmm, &pe);
    return after;
}

static Past ask(Machine *m)
{
    RmmPe pe = realm_calls(m, HISTORY_FID, 0);
    Past past;

    g_assert_cmphex(pe.x[0], ==, RSI_SUCCESS);
    memcpy(past.instance_id, &pe.x[1], 32);
    past.migrations = pe.x[5];
    past.lifecycle = pe.x[6];
    memcpy(past.implementation, &pe.x[7], 32);
    for (int i = 11; i < 31; i++) {
        g_assert_cmphex(pe.x[i], ==, i <= 16 ? 0 : 0x1111 * i);
    }
    return past;
}

static void check_past(Machine *m, const Past *began, uint64_t migrations,
                       uint16_t lifecycle)
{
    Past past = ask(m);

    g_assert_cmpmem(past.instance_id, 32, began->instance_id, 32);
    g_assert_cmpuint(past.migrations, ==, migrations);
    g_assert_cmphex(past.lifecycle, ==, lifecycle);
    g_assert_cmpmem(past.implementation, 32, model, 32);
}

/* Any may go to any: the tests are about what is said of it. */
static MachineParams any_params(void)
{
    MachineParams params = machine_defaults;

    params.policy.version = MIG_POLICY_VERSION;
    params.policy.flags = MIG_POLICY_ANY_LIFE_CYCLE;
    return params;
}

/* A platform with a Realm in NEW */
static Machine *platform(const MachineParams *params, uint16_t lifecycle)
{
    Machine *m = machine_new(params);

    m->rmm->platform.lifecycle = lifecycle;
    return m;
}

static Machine *begins_on(const MachineParams *params, uint16_t lifecycle)
{
    Machine *m = platform(params, lifecycle);

    machine_add_page(m, 0);
    machine_activate(m);
    return m;
}

/* The Realm goes to a new machine, and its old one is no more. */
static Machine *move(Machine *src, uint16_t lifecycle)
{
    Machine *dst = platform(&src->params, lifecycle);

    step_connect(src, dst);
    step_round(src, dst, 1, 5);
    step_finish(src, dst);
    machine_free(src);
    return dst;
}

/* ---- the beginning ---- */

typedef struct Drawn {
    uint8_t bytes[32];
    unsigned count;
} Drawn;

static void note_drawn(void *opaque, const void *buf, size_t len)
{
    Drawn *d = opaque;

    g_assert_cmpuint(len, ==, sizeof(d->bytes));
    memcpy(d->bytes, buf, len);
    d->count++;
}

static void test_an_instance_id_is_drawn_when_a_realm_is_activated(void)
{
    Machine *m = machine_new(&machine_defaults);
    Drawn d = { .count = 0 };
    Past past;

    m->drawn = note_drawn;
    m->drawn_opaque = &d;
    machine_add_page(m, 0);
    g_assert_cmpuint(d.count, ==, 0);
    machine_activate(m);
    g_assert_cmpuint(d.count, ==, 1);
    past = ask(m);
    g_assert_cmpmem(past.instance_id, 32, d.bytes, 32);
    check_past(m, &past, 0, 0);         /* again the same */
    g_assert_cmpuint(d.count, ==, 1);
    machine_free(m);
}

static void test_a_realm_begins_on_its_own_platform(void)
{
    static const uint16_t lifecycles[] = { 0, 0x1000, 0x3000, 0x30ff, 0xffff };
    const MachineParams params = any_params();

    for (size_t i = 0; i < G_N_ELEMENTS(lifecycles); i++) {
        Machine *m = begins_on(&params, lifecycles[i]);
        Past past = ask(m);

        check_past(m, &past, 0, lifecycles[i]);
        machine_free(m);
    }
}

static void test_a_realm_that_may_not_migrate_can_ask(void)
{
    MachineParams params = machine_defaults;
    Machine *m, *other;
    Past past, another;

    params.ext_flags = 0;
    m = begins_on(&params, 0x3000);
    other = begins_on(&params, 0x3000);
    past = ask(m);
    another = ask(other);
    check_past(m, &past, 0, 0x3000);
    g_assert_cmpint(memcmp(past.instance_id, another.instance_id, 32), !=, 0);
    machine_free(m);
    machine_free(other);
}

/* RMM 1.0, and a platform without the extension, do not know the call. */
static void test_without_the_extension_there_is_no_such_call(void)
{
    MachineParams params = machine_defaults;
    Machine *m;
    RmmPe pe;

    params.ext_flags = 0;
    m = begins_on(&params, 0);
    m->rmm->platform.migration = false;
    pe = realm_calls(m, HISTORY_FID, 0x2222);
    g_assert_cmphex(pe.x[0], ==, SMCCC_NOT_SUPPORTED);
    for (int i = 2; i < 31; i++) {
        g_assert_cmphex(pe.x[i], ==, 0x1111 * i);
    }
    machine_free(m);
}

/* The numbers beside it are nobody's, with the SVE hint or without. */
static void test_the_call_has_one_number(void)
{
    static const uint64_t others[] = {
        0xc300017f, 0xc3000181, 0xc3000100, 0x83000180, 0xc4000180
    };
    Machine *m = begins_on(&machine_defaults, 0);
    RmmPe pe;

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        pe = realm_calls(m, others[i], 0x2222);
        g_assert_cmphex(pe.x[0], ==, SMCCC_NOT_SUPPORTED);
    }
    pe = realm_calls(m, HISTORY_FID | 1 << 16, 0x2222);
    g_assert_cmphex(pe.x[0], ==, RSI_SUCCESS);
    pe = realm_calls(m, HISTORY_FID | 1ull << 32, 0x2222);      /* W0 counts */
    g_assert_cmphex(pe.x[0], ==, RSI_SUCCESS);
    machine_free(m);
}

/* A host that makes the call is refused like any other. */
static void test_it_is_no_call_of_the_host(void)
{
    Machine *m = begins_on(&machine_defaults, 0);

    REFUSES(m, SMC(m, HISTORY_FID, m->rd), SMCCC_NOT_SUPPORTED);
    machine_free(m);
}

static void test_features_are_those_that_the_realm_was_created_with(void)
{
    for (uint64_t flags = 0; flags < 4; flags++) {
        MachineParams params = machine_defaults;
        Machine *m;
        RmmPe pe;

        params.ext_flags = flags;
        m = begins_on(&params, 0);
        pe = realm_calls(m, FEATURES_FID, 0xc3000100);
        g_assert_cmphex(pe.x[0], ==, RSI_SUCCESS);
        g_assert_cmphex(pe.x[1], ==, flags);
        /* No other index has anything, as RSI 1.0 wants it. */
        for (uint64_t index = 0xc3000000; index < 0xc3000200; index += 32) {
            pe = realm_calls(m, FEATURES_FID, index + 1);
            g_assert_cmphex(pe.x[0], ==, RSI_SUCCESS);
            g_assert_cmphex(pe.x[1], ==, 0);
        }
        pe = realm_calls(m, FEATURES_FID, 0x1c3000100);
        g_assert_cmphex(pe.x[1], ==, 0);
        machine_free(m);
    }
}

/* ---- migrations ---- */

/* From platform to platform; @weakest is what the Realm is told at each */
static void check_way(const uint16_t *lifecycles, const uint16_t *weakest,
                      size_t n)
{
    const MachineParams params = any_params();
    Machine *m = begins_on(&params, lifecycles[0]);
    Past began = ask(m);

    check_past(m, &began, 0, weakest[0]);
    for (size_t i = 1; i < n; i++) {
        m = move(m, lifecycles[i]);
        check_past(m, &began, i, weakest[i]);
    }
    machine_free(m);
}

#define WAY(lifecycles, weakest) do { \
        static const uint16_t way_[] = lifecycles, told_[] = weakest; \
        G_STATIC_ASSERT(sizeof(way_) == sizeof(told_)); \
        check_way(way_, told_, G_N_ELEMENTS(way_)); \
    } while (0)
#define LIST(...) { __VA_ARGS__ }

static void test_the_weakest_platform_is_not_forgotten(void)
{
    WAY(LIST(0x0000, 0x3000, 0x0000), LIST(0x0000, 0x0000, 0x0000));
    WAY(LIST(0x3000, 0x1000, 0x3000), LIST(0x3000, 0x1000, 0x1000));
    WAY(LIST(0x3000, 0x3001, 0x1000), LIST(0x3000, 0x3000, 0x1000));
}

/* Of those that are alike, the earlier one counts. */
static void test_of_two_that_are_alike_the_earlier_one_counts(void)
{
    WAY(LIST(0x3000, 0x3001, 0x30ff), LIST(0x3000, 0x3000, 0x3000));
    WAY(LIST(0x30ff, 0x3000), LIST(0x30ff, 0x30ff));
    WAY(LIST(0x5000, 0x1000, 0x3000), LIST(0x5000, 0x5000, 0x5000));
    WAY(LIST(0x3000, 0x2000, 0x1000), LIST(0x3000, 0x2000, 0x2000));
}

static MigHistory *history_of(Machine *m)
{
    RmmRealm *realm = realm_lock(m->rmm, m->rd);

    realm_unlock(realm);
    return &realm->history;
}

/*
 * A source that hides itself: its immutable state says secured platforms only,
 * while its token says what it is.
 */
static void test_a_source_cannot_leave_itself_out(void)
{
    static const uint16_t destinations[] = { 0x3000, 0x2000 };
    const MachineParams params = any_params();

    for (size_t i = 0; i < G_N_ELEMENTS(destinations); i++) {
        Machine *src = begins_on(&params, 0x1000), *dst;
        Past began = ask(src);

        history_of(src)->weakest_lifecycle = 0x3000;
        memset(history_of(src)->weakest_implementation, 0x77, 32);
        dst = move(src, destinations[i]);
        check_past(dst, &began, 1, 0x1000);     /* it came before */
        machine_free(dst);
    }
}

/* ...but it can put the blame on another one, as the text says. */
static void test_a_source_can_name_another_platform_that_is_not_secured(void)
{
    const MachineParams params = any_params();
    Machine *src = begins_on(&params, 0x1000), *dst;
    Past past;

    history_of(src)->weakest_lifecycle = 0x2000;
    memset(history_of(src)->weakest_implementation, 0x77, 32);
    dst = move(src, 0x3000);
    past = ask(dst);
    g_assert_cmphex(past.lifecycle, ==, 0x2000);
    for (int i = 0; i < 32; i++) {
        g_assert_cmphex(past.implementation[i], ==, 0x77);
    }
    machine_free(dst);
}

/* What it says of platforms before it counts: nobody else knows. */
static void test_a_source_tells_of_those_before_it(void)
{
    const MachineParams params = any_params();
    Machine *src = begins_on(&params, 0x3000), *dst;
    Past began = ask(src), past;

    history_of(src)->weakest_lifecycle = 0x4000;
    memset(history_of(src)->weakest_implementation, 0x77, 32);
    history_of(src)->migrations = 41;
    dst = move(src, 0x3000);
    past = ask(dst);
    g_assert_cmpmem(past.instance_id, 32, began.instance_id, 32);
    g_assert_cmpuint(past.migrations, ==, 42);
    g_assert_cmphex(past.lifecycle, ==, 0x4000);
    for (int i = 0; i < 32; i++) {
        g_assert_cmphex(past.implementation[i], ==, 0x77);
    }
    machine_free(dst);
}

/* ---- what travels ---- */

/* The result of an import from a source whose history is @change-d */
static uint64_t import_changed(void (*change)(MigHistory *h, size_t at),
                               size_t at)
{
    const MachineParams params = any_params();
    Machine *src = begins_on(&params, 0), *dst = platform(&params, 0);
    Record *begin;
    uint64_t result;

    change(history_of(src), at);
    OK(machine_connect(src, dst, &begin));
    result = machine_receive(dst, begin);
    g_assert_cmpint(machine_state(dst), ==, result == RMI_SUCCESS ?
                    REALM_IMPORT : REALM_FAILED);
    g_byte_array_unref(begin);
    machine_free(src);
    machine_free(dst);
    return result;
}

static void change_byte(MigHistory *h, size_t at)
{
    ((uint8_t *)h)[at] ^= 0x40;
}

static void change_migrations(MigHistory *h, size_t at)
{
    h->migrations = UINT64_MAX - at;
}

/* Offsets are the text's, from 0xc0 on. */
static void test_reserved_bytes_of_a_history_are_zero(void)
{
    for (size_t at = 0; at < 0x80; at++) {
        bool reserved = (at >= 0x2a && at < 0x30) || at >= 0x50;

        g_assert_cmphex(import_changed(change_byte, at), ==,
                        reserved ? REFUSED(MIG_CAUSE_FORMAT) : RMI_SUCCESS);
    }
    g_assert_cmphex(import_changed(change_migrations, 0), ==,
                    REFUSED(MIG_CAUSE_FORMAT));
    OK(import_changed(change_migrations, 1));
}

/* The source's RMM aborts: the Realm here is as it was. */
static void test_a_migration_that_fails_counts_for_nothing(void)
{
    const MachineParams params = any_params();
    Machine *src = begins_on(&params, 0x3000);
    Machine *dst = platform(&params, 0x1000);
    Past began = ask(src);

    step_connect(src, dst);
    step_round(src, dst, 1, 5);
    check_past(src, &began, 0, 0x3000);
    OK(MIG(src, MIG_EXPORT_ABORT));
    check_past(src, &began, 0, 0x3000);
    machine_free(src);
    machine_free(dst);
}

#define TEST(name) g_test_add_func("/history/" #name, test_##name)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(an_instance_id_is_drawn_when_a_realm_is_activated);
    TEST(a_realm_begins_on_its_own_platform);
    TEST(a_realm_that_may_not_migrate_can_ask);
    TEST(without_the_extension_there_is_no_such_call);
    TEST(the_call_has_one_number);
    TEST(it_is_no_call_of_the_host);
    TEST(features_are_those_that_the_realm_was_created_with);
    TEST(the_weakest_platform_is_not_forgotten);
    TEST(of_two_that_are_alike_the_earlier_one_counts);
    TEST(a_source_cannot_leave_itself_out);
    TEST(a_source_can_name_another_platform_that_is_not_secured);
    TEST(a_source_tells_of_those_before_it);
    TEST(reserved_bytes_of_a_history_are_zero);
    TEST(a_migration_that_fails_counts_for_nothing);
    g_test_add_func("/history/no_iv_is_used_twice", oracle_check);
    return g_test_run();
}
