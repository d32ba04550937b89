/*
 * A processor's registers as one blob (accel/tcg/realm/machine/context.c)
 *
 * Purpose: what is saved is loaded; and whatever memory is given back after
 * that, or after a failure, has nothing of it: neither the blob itself, nor
 * the channel's and the file's buffers.  Here the CPU's state is some
 * registers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <malloc.h>
#include "qapi/error.h"
#include "qemu/module.h"
#include "qemu/rcu_queue.h"
#include "migration/vmstate.h"
#include "target/arm/cpu.h"
#include "accel/tcg/realm/machine/context.h"
#include "accel/tcg/realm/machine/pe.h"

#define SIZE    65536           /* room for a context */
#define SECRET  0x5ec2e75ec2e75ec2ull

/* ---- What QEMU gives ---- */

CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);

uint64_t arm_cpu_mp_affinity(ARMCPU *cpu)
{
    return cpu->mp_affinity;
}

static CPUState *was_reset;

void cpu_reset(CPUState *cs)
{
    g_assert_null(was_reset);
    was_reset = cs;
    cs->halted = 0;
}

void async_run_on_cpu(CPUState *cs, run_on_cpu_func func, run_on_cpu_data data)
{
    func(cs, data);
}

/* Big enough that it is written and read in pieces. */
static int post_load_result;

static int post_load(void *opaque, int version_id)
{
    return post_load_result;
}

const VMStateDescription vmstate_arm_cpu = {
    .name = "cpu", .version_id = 22, .minimum_version_id = 22,
    .post_load = post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64_ARRAY(env.xregs, ARMCPU, 32),
        VMSTATE_UINT64(env.pc, ARMCPU),
        VMSTATE_END_OF_LIST()
    }
};

/* ---- What is given back ---- */

static bool watching;
static unsigned given_back, with_secret;

static bool has_secret(const uint8_t *p, size_t size)
{
    uint64_t host = SECRET, stream = cpu_to_be64(SECRET);

    return memmem(p, size, &host, 8) || memmem(p, size, &stream, 8);
}

void __real_g_free(void *p);
void __wrap_g_free(void *p);
void __wrap_g_free(void *p)
{
    if (p && watching) {
        given_back++;
        with_secret += has_secret(p, malloc_usable_size(p));
    }
    __real_g_free(p);
}

static void watch(void)
{
    watching = true;
    given_back = with_secret = 0;
}

static void assert_nothing_is_left(unsigned least)
{
    watching = false;
    g_assert_cmpuint(given_back, >=, least);
    g_assert_cmpuint(with_secret, ==, 0);
}

/* ---- Tests ---- */

static ARMCPU cpu;
static RealmPe pe;

static void set_registers(uint64_t value)
{
    for (unsigned i = 0; i < 32; i++) {
        cpu.env.xregs[i] = value;
    }
    cpu.env.pc = value;
}

static size_t save(uint8_t *buf)
{
    set_registers(SECRET);
    return realm_context_save(NULL, 0, buf, SIZE);
}

static void test_saved_and_loaded(void)
{
    g_autofree uint8_t *buf = g_malloc0(SIZE);
    size_t size;

    watch();
    size = save(buf);
    assert_nothing_is_left(2);
    g_assert_cmpuint(size, >=, 33 * 8);
    g_assert_true(has_secret(buf, size));
    set_registers(0);
    g_assert_true(realm_context_load(NULL, 0, buf, size));
    watch();
    g_assert_true(realm_contexts_apply(&error_abort));
    assert_nothing_is_left(3);
    g_assert_cmphex(cpu.env.xregs[31], ==, SECRET);
    g_assert_cmphex(cpu.env.pc, ==, SECRET);
}

static void test_room_is_too_small(void)
{
    g_autofree uint8_t *buf = g_malloc0(SIZE);

    set_registers(SECRET);
    watch();
    g_assert_cmpuint(realm_context_save(NULL, 0, buf, 100), ==, 0);
    assert_nothing_is_left(2);
    g_assert_false(has_secret(buf, SIZE));
}

static void check_not_applied(size_t cut)
{
    g_autofree uint8_t *buf = g_malloc0(SIZE);
    size_t size = save(buf) - cut;
    Error *err = NULL;

    g_assert_true(realm_context_load(NULL, 0, buf, size));
    watch();
    g_assert_false(realm_contexts_apply(&err));
    assert_nothing_is_left(3);
    g_assert_nonnull(strstr(error_get_pretty(err), "use the -cpu of the "
                                                   "source"));
    error_free(err);
}

/* Another machine's: the file ends early, or the CPU cannot be so. */
static void test_cannot_be_loaded(void)
{
    check_not_applied(8);
    post_load_result = -EINVAL;
    check_not_applied(0);
    post_load_result = 0;
}

/* Refused at once, since nothing in the state itself tells. */
static void test_other_vector_lengths(void)
{
    g_autofree uint8_t *buf = g_malloc0(SIZE);
    size_t size;

    cpu.sve_vq.map = 0xb;               /* 128, 256 and 512 bits */
    size = save(buf);
    cpu.sve_vq.map = 0xf;               /* ... and 384 */
    g_assert_false(realm_context_load(NULL, 0, buf, size));
    cpu.sve_vq.map = 0;                 /* no SVE */
    g_assert_false(realm_context_load(NULL, 0, buf, size));
    cpu.sve_vq.map = 0xb;
    g_assert_false(realm_context_load(NULL, 0, buf, 3));
    g_assert_false(realm_context_load(NULL, 0, buf, 4));
    g_assert_true(realm_context_load(NULL, 0, buf, size));
    g_assert_true(realm_contexts_apply(&error_abort));
    cpu.sve_vq.map = 0;
}

/* The state above has no vectors; QEMU's has their first 1024 bits. */
static void test_longest_vectors(void)
{
    g_autofree uint8_t *buf = g_malloc0(SIZE);
    ARMVectorReg *z = cpu.env.vfp.zregs;
    Error *err = NULL;
    size_t size;

    cpu.sve_vq.map = 0xffff;
    for (unsigned i = 0; i < 32 * 16; i++) {
        z[i / 16].d[16 + i % 16] = SECRET + i;
    }
    watch();
    size = save(buf);
    assert_nothing_is_left(2);
    memset(z, 0, 32 * sizeof(*z));
    g_assert_true(realm_context_load(NULL, 0, buf, size));
    watch();
    g_assert_true(realm_contexts_apply(&error_abort));
    assert_nothing_is_left(3);
    for (unsigned i = 0; i < 32 * 16; i++) {
        g_assert_cmphex(z[i / 16].d[16 + i % 16], ==, SECRET + i);
    }
    g_assert_true(realm_context_load(NULL, 0, buf, size - 8));
    g_assert_false(realm_contexts_apply(&err));
    error_free(err);
    memset(z, 0, 32 * sizeof(*z));
    cpu.sve_vq.map = 0;
}

static void test_dropped(void)
{
    g_autofree uint8_t *buf = g_malloc0(SIZE);
    size_t size = save(buf);

    g_assert_true(realm_context_load(NULL, 0, buf, size));
    set_registers(0);
    watch();
    realm_contexts_drop();
    assert_nothing_is_left(1);
    g_assert_true(realm_contexts_apply(&error_abort));
    g_assert_cmphex(cpu.env.pc, ==, 0);
}

static void test_no_such_vcpu(void)
{
    g_autofree uint8_t *buf = g_malloc0(SIZE);

    g_assert_cmpuint(realm_context_save(NULL, 1, buf, SIZE), ==, 0);
    g_assert_false(realm_context_load(NULL, 1, buf, 8));
}

static void add_cpu(void)
{
    static const TypeInfo type = {
        .name = TYPE_ARM_CPU, .parent = TYPE_OBJECT,
        .instance_size = sizeof(ARMCPU),
    };

    type_register_static(&type);
    object_initialize(&cpu, sizeof(cpu), TYPE_ARM_CPU);
    QTAILQ_INSERT_TAIL_RCU(&cpus_queue, &cpu.parent_obj, node);
    realm_pes = &pe;
}

static void test_wiped(void)
{
    was_reset = NULL;
    realm_context_wipe(NULL, 7);
    g_assert_null(was_reset);
    realm_context_wipe(NULL, 0);
    g_assert_true(was_reset == CPU(&cpu));
    g_assert_cmpuint(was_reset->halted, ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    add_cpu();
    g_test_add_func("/realm/context/is-loaded-as-saved",
                    test_saved_and_loaded);
    g_test_add_func("/realm/context/may-have-too-little-room",
                    test_room_is_too_small);
    g_test_add_func("/realm/context/that-does-not-fit-is-refused",
                    test_cannot_be_loaded);
    g_test_add_func("/realm/context/of-other-vector-lengths-is-refused",
                    test_other_vector_lengths);
    g_test_add_func("/realm/context/has-all-bits-of-the-longest-vectors",
                    test_longest_vectors);
    g_test_add_func("/realm/context/is-dropped-unused", test_dropped);
    g_test_add_func("/realm/context/of-no-vcpu", test_no_such_vcpu);
    g_test_add_func("/realm/context/is-wiped-of-the-vcpu-that-had-it",
                    test_wiped);
    return g_test_run();
}
